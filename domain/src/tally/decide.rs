//! The rules of a tally. What cannot be done is not done, and nothing is refused.

use crate::refusal::Refusal;
use crate::subject::answer::Answer;
use crate::subject::context::Context;
use crate::subject::decision::Decision;
use crate::subject::envelope::Envelope;
use crate::subject::remembered::answered_before;
use crate::tally::command::TallyCommand;
use crate::tally::event::{TallyEvent, TallyFact};
use crate::tally::state::TallyState;

/// Decides a command on a tally; `state` is none when the stream does not exist.
pub fn decide(
    state: Option<&TallyState>,
    command: &TallyCommand,
    context: &Context,
) -> Result<Decision<TallyEvent>, Refusal> {
    if let Some(seq) = state.map_or(Ok(None), |known| answered_before(&known.commands, context))? {
        return Ok(Decision::unchanged(Answer::Replayed { seq }));
    }
    let open = state.is_some_and(|state| state.closed_at.is_none());
    let fact = match command {
        TallyCommand::Open { namespace, name } => state.is_none().then(|| {
            let (namespace, name) = (namespace.clone(), name.clone());
            TallyFact::Opened { namespace, name }
        }),
        TallyCommand::Add { amount } => open.then_some(TallyFact::Added { amount: *amount }),
        TallyCommand::Close => open.then_some(TallyFact::Closed),
    };
    let Some(fact) = fact else { return Ok(Decision::unchanged(Answer::Nothing)) };
    let (seq, newest_at) = state.map_or((0, context.now), |state| (state.seq, state.newest_at));
    let by = Envelope::of(context, context.now.max(newest_at), None);
    let event = Some(TallyEvent { by, fact });
    Ok(Decision { event, payloads: Vec::new(), answer: Answer::Done { seq: seq + 1 } })
}
