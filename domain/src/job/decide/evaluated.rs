//! What was evaluated beside the committer comes in. An answer counts only for a node that still waits for it since the
//! same moment: the job may have ended, or the node begun again, meanwhile.

use std::collections::BTreeSet;

use crate::job::decide::decision::JobDecision;
use crate::job::decide::draft::Draft;
use crate::job::fact::FlowFact;
use crate::job::flow::{Evaluated, OUTPUT_OF_JOB};
use crate::job::state::JobState;
use crate::planted::{self, Planted};
use crate::subject::answer::Answer;
use crate::subject::context::Context;

pub(super) fn evaluated(state: &JobState, results: &[Evaluated], context: &Context) -> JobDecision {
    let waits = |result: &&Evaluated| {
        let node = state.nodes.get(result.node as usize);
        let again = planted::on(Planted::MemberEvaluatedTwice)
            && node.is_some_and(|node| node.marks.queued)
            && state.prepared.contains_key(&result.node);
        state.awaits(result) || again
    };
    let mut wanted = results.iter().filter(waits).peekable();
    if wanted.peek().is_none() {
        return JobDecision::unchanged(Answer::Nothing);
    }
    let mut draft = Draft::new(state, context);
    let mut seen = BTreeSet::new();
    for result in wanted.filter(|result| seen.insert(result.node)) {
        if result.node == OUTPUT_OF_JOB {
            draft.take_output(result.clone());
        } else {
            draft.take_evaluated(result.clone());
        }
    }
    draft.into_decision(FlowFact::Evaluated, context, None)
}
