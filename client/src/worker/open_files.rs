//! Files that a worker may have open: each attempt needs some, and a worker without them could run nothing.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::console::Console;

/// Beside the attempts: connections to the engine, the runtime's own, what a start of a process needs for a moment.
const BASE: u64 = 64;
/// An attempt's: its control socket, two pipes, and the handle of its process.
const PER_ATTEMPT: u64 = 4;

/// How many attempts at a time can run of `wanted`, after the limit was raised as far as needed and allowed.
pub(super) fn allow(wanted: usize, console: &Console) -> usize {
    let attempts = u64::try_from(wanted).unwrap_or(u64::MAX);
    let needed = BASE.saturating_add(attempts.saturating_mul(PER_ATTEMPT));
    let limit = getrlimit(Resource::Nofile);
    let mut allowed = limit.current.unwrap_or(u64::MAX);
    if allowed < needed {
        // No further than needed: commands inherit the limit, and some walk through all the numbers below it.
        let most = limit.maximum.unwrap_or(u64::MAX).min(needed);
        let raised = Rlimit { current: Some(most), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            allowed = most;
        }
    }
    let fits = fitting(allowed);
    if fits < wanted {
        console.say(&format!(
            "the limit of open files is {allowed}, and {wanted} attempts at a time need {needed}: only {fits} run at a \
             time"
        ));
    }
    wanted.min(fits)
}

fn fitting(allowed: u64) -> usize {
    let attempts = allowed.saturating_sub(BASE) / PER_ATTEMPT;
    usize::try_from(attempts).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_attempts_run_as_have_their_files_and_at_least_one() {
        assert_eq!(fitting(BASE + 10 * PER_ATTEMPT), 10);
        assert_eq!(fitting(BASE + 10 * PER_ATTEMPT - 1), 9);
        assert_eq!(fitting(3), 1);
    }
}
