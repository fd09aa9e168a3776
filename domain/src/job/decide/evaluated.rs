//! What was evaluated beside the committer comes in. An answer counts only for a node that still waits for it since the
//! same moment: the job may have ended, or the node begun again, meanwhile.

use crate::job::decide::decision::JobDecision;
use crate::job::decide::draft::Draft;
use crate::job::fact::FlowFact;
use crate::job::flow::{Evaluated, OUTPUT_OF_JOB};
use crate::job::outcome::EndingStage;
use crate::job::state::JobState;
use crate::node::hold::Hold;
use crate::planted::{self, Planted};
use crate::subject::answer::Answer;
use crate::subject::context::Context;

pub(super) fn evaluated(state: &JobState, results: &[Evaluated], context: &Context) -> JobDecision {
    let waits = |result: &&Evaluated| {
        if result.node == OUTPUT_OF_JOB {
            return state.head.ending.is_some() && state.head.stage == EndingStage::Output;
        }
        let node = state.nodes.get(result.node as usize);
        let waits = node
            .is_some_and(|node| node.hold == Some(Hold::Evaluating) && node.since == result.since);
        let again = planted::on(Planted::MemberEvaluatedTwice)
            && node.is_some_and(|node| node.marks.queued)
            && state.prepared.contains_key(&result.node);
        waits || again
    };
    let mut wanted = results.iter().filter(waits).peekable();
    if wanted.peek().is_none() {
        return JobDecision::unchanged(Answer::Nothing);
    }
    let mut draft = Draft::new(state, context);
    for result in wanted {
        if result.node == OUTPUT_OF_JOB {
            draft.take_output(result.clone());
        } else {
            draft.take_evaluated(result.clone());
        }
    }
    let (event, payloads) = draft.into_event(FlowFact::Evaluated, context, None);
    JobDecision { payloads, ..JobDecision::done(state, event) }
}
