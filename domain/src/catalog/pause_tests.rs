//! Pauses against a naive list of them, and each refusal.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Script, attempts, context, create, keyed};
use crate::bounds;
use crate::catalog::command::CatalogCommand;
use crate::catalog::paused::{PauseEnd, PauseTarget};
use crate::ids::{Millis, Namespace, QueueName};
use crate::refusal::{Quota, Refusal};
use crate::subject::answer::Answer;
use crate::subject::context::Context;

fn queue(number: usize) -> PauseTarget {
    let name = QueueName::parse(&format!("q{number}"));
    PauseTarget::Queue(name.unwrap_or_else(|error| panic!("{error}")))
}

fn pause(target: PauseTarget, until: Option<PauseEnd>, reason: Option<&str>) -> CatalogCommand {
    let (namespace, reason) = (Namespace::default_namespace(), reason.map(str::to_owned));
    CatalogCommand::Pause { namespace, target, until, reason }
}

fn resume(target: PauseTarget) -> CatalogCommand {
    CatalogCommand::Resume { target, reason: None }
}

fn at(now: Millis) -> Context {
    Context { now, ..context() }
}

fn ask(script: &mut Script, command: &CatalogCommand, now: Millis) -> Answer {
    script.run(command, &at(now)).unwrap_or_else(|error| panic!("{error}"))
}

proptest! {
    #[test]
    fn what_is_paused_is_what_a_naive_list_says(
        steps in prop::collection::vec((0_usize..4, 0_u8..4, 1_u64..3_000, 0_i64..2_000), 0..60),
    ) {
        let mut script = Script::default();
        let mut naive: BTreeMap<PauseTarget, Option<Millis>> = BTreeMap::new();
        let mut now = 1_000;
        for (of, what, ms, passes) in steps {
            now += passes;
            let target = queue(of);
            let end = now + Millis::try_from(ms).unwrap_or(0);
            match what {
                0 => { ask(&mut script, &pause(target.clone(), None, None), now); naive.insert(target, None); }
                1 => {
                    ask(&mut script, &pause(target.clone(), Some(PauseEnd::After(ms)), None), now);
                    naive.insert(target, Some(end));
                }
                2 => {
                    ask(&mut script, &pause(target.clone(), Some(PauseEnd::At(end)), None), now);
                    naive.insert(target, Some(end));
                }
                _ => { ask(&mut script, &resume(target.clone()), now); naive.remove(&target); }
            }
            naive.retain(|_, until| until.is_none_or(|until| until > now));
            let known = script.state.iter().flat_map(|state| state.paused_at(now));
            let known: Vec<_> = known.map(|(target, pause)| (target.clone(), pause.until)).collect();
            prop_assert_eq!(known, naive.clone().into_iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn pausing_again_says_anew_why_and_the_same_again_writes_nothing() {
    let mut script = Script::default();
    ask(&mut script, &pause(queue(0), None, Some("a")), 1_000);
    let same = ask(&mut script, &pause(queue(0), None, Some("a")), 1_001);
    assert!(matches!(same, Answer::Done { seq: 1 }));
    let other = ask(&mut script, &pause(queue(0), None, Some("b")), 1_002);
    assert!(matches!(other, Answer::Done { seq: 2 }));
    let kept = script.state.iter().flat_map(|state| state.pauses.values()).next();
    assert_eq!(kept.and_then(|pause| pause.reason.as_deref()), Some("b"));
    assert!(matches!(ask(&mut script, &resume(queue(1)), 1_003), Answer::Done { seq: 2 }));
    assert!(matches!(
        ask(&mut Script::default(), &resume(queue(1)), 1_003),
        Answer::Done { seq: 0 }
    ));
    let keyed = script.run(&resume(queue(1)), &keyed("k", b"{}"));
    assert!(matches!(keyed, Ok(Answer::Done { seq: 3 })));
}

#[test]
fn a_time_that_is_over_or_far_away_is_refused() {
    for time in [-1, 1_000, 1_001 + bounds::PAUSE_AHEAD_MS_MAX] {
        let command = pause(queue(0), Some(PauseEnd::At(time)), None);
        let refused = Script::default().run(&command, &context());
        let Err(Refusal::Invalid(errors)) = refused else { panic!("{refused:?}") };
        assert_eq!(errors[0].pointer, "/expires_at");
    }
}

#[test]
fn policies_and_pauses_together_are_no_more_than_may_be_and_what_is_over_is_forgotten() {
    let mut script = Script::default();
    ask(&mut script, &create("p", attempts(2)), 1_000);
    for number in 0..bounds::CATALOG_POLICIES_MAX - 1 {
        ask(&mut script, &pause(queue(number), Some(PauseEnd::After(1_000)), None), 1_000);
    }
    let one_more = pause(queue(9_999), None, None);
    let refused = script.run(&one_more, &context());
    assert!(matches!(refused, Err(Refusal::QuotaExceeded { quota: Quota::CatalogEntries, .. })));
    ask(&mut script, &pause(queue(0), None, None), 1_000);
    ask(&mut script, &one_more, 2_001);
    assert_eq!(script.state.map(|state| state.pauses.len()), Some(2));
}
