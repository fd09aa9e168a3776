//! When what a list shows was so. Lists come from the view, written behind the streams; with `consistent` they wait,
//! at most 2 s, until the view shows what was acknowledged before they were asked.

use std::time::Duration;

use domain::ids::{Millis, Namespace};

use super::problem::{Code, Problem};
use super::state::Api;

/// The longest wait of a consistent list.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Between two looks: a fraction of the time between two flushes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The time up to which the view shows everything.
pub async fn as_of(api: &Api, namespace: &Namespace, consistent: bool) -> Result<Millis, Problem> {
    let engine = api.engine();
    let asked_at = engine.now();
    if !consistent {
        return Ok(shown_until(api, asked_at));
    }
    let clock = &api.outside().clock;
    let last_look = clock.monotonic().saturating_add(WAIT_MAX);
    loop {
        // An answer of the core is a turn of it after we were asked, and a turn says how far the view is behind.
        engine.queues(namespace).await?;
        let shown = shown_until(api, asked_at);
        if shown >= asked_at && engine.turned_at() >= asked_at {
            return Ok(shown);
        }
        if clock.monotonic() >= last_look {
            return Err(Problem::new(Code::ViewBehind, "the view did not catch up within 2 s"));
        }
        clock.sleep(LOOK_EVERY).await;
    }
}

/// With nothing left to show, the view is as new as the question.
fn shown_until(api: &Api, asked_at: Millis) -> Millis {
    let engine = api.engine();
    match engine.counts().view_lag_ms {
        0 => asked_at,
        lag => engine.turned_at().saturating_sub(lag),
    }
}
