//! How long one decision takes at a group of 10,000 members (wanted: under 5 ms). Run it with
//! `cargo bench -p orrery-domain --bench decide`; each line is the least and the median of 21 decisions of one kind.

#![expect(clippy::print_stdout, reason = "figures for people")]
#![expect(clippy::disallowed_methods, reason = "a figure is made with the machine's own time")]
#![allow(dead_code, reason = "shared with the rules' tests, which use more of it")]

#[path = "../tests/job_rules/build.rs"]
mod build;
#[path = "../tests/job_rules/live.rs"]
mod live;
#[path = "../tests/job_rules/trees.rs"]
mod trees;

use std::sync::Arc;
use std::time::Instant;

use domain::job::command::JobCommand;
use domain::job::flow::Evaluator;
use domain::job::spec::CompleteWhen;
use domain::node::spec::NodeSpec;
use domain::payload::StoredPayload;

use build::{completes, job, lease, node, report};
use live::Live;
use trees::{condition, ends_when, for_each, gets, group};

const MEMBERS: u32 = 10_000;
const TIMES: usize = 21;

fn told(what: &str, live: &Live, command: &JobCommand) {
    let mut took: Vec<u128> = (0..TIMES)
        .map(|_| {
            let before = Instant::now();
            let decision = live.decide(command);
            let took = before.elapsed().as_micros();
            assert!(decision.is_ok(), "{what}: {decision:?}");
            took
        })
        .collect();
    took.sort_unstable();
    println!("{what:<48} {:>8} us {:>8} us", took[0], took[TIMES / 2]);
}

fn list() -> String {
    let items: Vec<String> = (0..MEMBERS).map(|item| item.to_string()).collect();
    format!("[{}]", items.join(","))
}

fn mapped(input: Option<&str>) -> Live {
    let member = match input {
        Some(input) => gets(input, node("", &[])),
        None => node("", &[]),
    };
    let each = ends_when(for_each("each", &["first"], &list(), member), CompleteWhen::Any);
    Live::submit_large(job(vec![node("first", &[]), each, node("join", &["each"])]))
}

fn complete(live: &mut Live, ix: u32) -> JobCommand {
    assert!(live.ask(&lease(vec![ix])).is_ok());
    report(ix, live.state.nodes[ix as usize].epoch, 1, completes(Some("{\"ok\":true}")))
}

fn main() {
    let mut plain = mapped(None);
    let first = complete(&mut plain, 0);
    told("expansion of a list without inputs", &plain, &first);
    assert!(plain.ask(&first).is_ok());
    told("lease of 250 members", &plain, &lease((3..253).collect()));
    let member = complete(&mut plain, 3);
    told("the end of a group of which one was enough", &plain, &member);
    told("cancel", &plain, &JobCommand::Cancel { reason: None });

    let mut computed = mapped(Some("{\"item\":\"${{ item }}\"}"));
    let first = complete(&mut computed, 0);
    told("expansion of a list with inputs", &computed, &first);
    assert!(computed.ask(&first).is_ok());
    if let Some(order) = computed.state.evaluation_order() {
        let list: Arc<str> = Arc::from(list());
        let mut load = |_: &StoredPayload| Some(Arc::clone(&list));
        let mut evaluator = Evaluator::new(&order, &mut load);
        let found = order.nodes.iter().filter_map(|asked| evaluator.evaluate(asked).ok()).collect();
        told("a slice of 500 evaluated members", &computed, &JobCommand::Evaluated(found));
    }

    let members: Vec<NodeSpec> = (0..MEMBERS).map(|ix| node(&format!("m{ix}"), &[])).collect();
    let nodes = vec![
        node("first", &[]),
        condition("c", &["first"], &[("${{ false }}", "big")], "small"),
        group("big", &["c"], members),
        node("small", &["c"]),
    ];
    let mut branches = Live::submit_large(job(nodes));
    let first = complete(&mut branches, 0);
    told("a branch that bypasses a group with its members", &branches, &first);
}
