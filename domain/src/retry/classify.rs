//! What a failure's class says about another execution, where neither the report nor the policy says otherwise:
//! the taxonomy of `retry-and-failures.md` section 5 as one table.
//! A word that is not in the table is kept as given and judged like `bug`. No class at all says nothing: the policy
//! alone decides.
//! Absent on purpose: how classes are found from HTTP status codes (the HTTP executor's), escalation, breakers.

/// What a class says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassRule {
    /// How often an attempt may be followed by another.
    pub again: Again,
    /// The failure leaves open whether the work was done: only a node that may run twice is run again.
    pub only_if_idempotent: bool,
    /// Waits start at no less than [`SLOW_BASE_MS`], unless the report asks for a wait of its own.
    pub slow: bool,
}

/// How often an attempt may be followed by another. Counts are executions, the first included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// As often as the policy says.
    AsPolicy,
    /// Half the policy's executions, rounded up.
    HalfOfPolicy,
    /// As the policy says, but at most so many executions.
    AtMost(u32),
    /// Final, unless the report or the policy's list of retryable types says otherwise.
    Final,
    /// Final, whatever anybody says.
    Never,
}

/// Base of the waits after `throttled`, in milliseconds: the scale on which services meter their callers.
pub const SLOW_BASE_MS: u64 = 1_000;

/// The error type of a name that does not resolve: asking a third time finds nothing new.
const NAME_NOT_FOUND: &str = "NXDOMAIN";

const fn rule(again: Again) -> ClassRule {
    ClassRule { again, only_if_idempotent: false, slow: false }
}

const fn if_idempotent(again: Again) -> ClassRule {
    ClassRule { again, only_if_idempotent: true, slow: false }
}

/// "Retry up to 2, then escalate": two retries after the first execution, which is also the engine's default policy.
const BUG: ClassRule = rule(Again::AtMost(3));

/// The word for a failure whose reporter names no class: it says nothing, and the policy alone decides.
pub const UNCLASSIFIED: &str = "unclassified";

/// Class words and their rules, in the order of the taxonomy.
const TABLE: &[(&str, ClassRule)] = &[
    ("network.connect", rule(Again::AsPolicy)),
    ("network.reset", if_idempotent(Again::AsPolicy)),
    ("tls.handshake_timeout", rule(Again::AsPolicy)),
    ("tls.certificate", rule(Again::Final)),
    ("timeout.attempt", if_idempotent(Again::AsPolicy)),
    ("timeout.job", rule(Again::Final)),
    ("timeout.queue", rule(Again::Final)),
    ("timeout.total", rule(Again::Final)),
    ("heartbeat.missed", rule(Again::AsPolicy)),
    ("throttled", ClassRule { again: Again::AsPolicy, only_if_idempotent: false, slow: true }),
    ("server.unavailable", rule(Again::AsPolicy)),
    ("server.error", if_idempotent(Again::HalfOfPolicy)),
    ("request.timeout", rule(Again::AsPolicy)),
    ("conflict", rule(Again::Final)),
    ("validation", rule(Again::Final)),
    ("auth", rule(Again::AtMost(2))),
    ("forbidden", rule(Again::Final)),
    ("not_found", rule(Again::Final)),
    ("precondition", rule(Again::Final)),
    ("unsupported", rule(Again::Final)),
    ("quota.hard", rule(Again::Final)),
    ("data", rule(Again::AtMost(2))),
    ("cancelled", rule(Again::Never)),
    ("terminated", rule(Again::Never)),
    ("bug", BUG),
    (UNCLASSIFIED, rule(Again::AsPolicy)),
];

/// What this class says about an error of this type.
pub fn rule_of(class: &str, error_type: &str) -> ClassRule {
    if class.is_empty() {
        return rule(Again::AsPolicy);
    }
    if class == "network.connect" && error_type == NAME_NOT_FOUND {
        return rule(Again::AtMost(2));
    }
    TABLE.iter().find(|(word, _)| *word == class).map_or(BUG, |(_, rule)| *rule)
}

/// Whether the taxonomy has this word.
pub fn is_known(class: &str) -> bool {
    TABLE.iter().any(|(word, _)| *word == class)
}

/// How many class words the taxonomy has.
pub const CLASSES: usize = TABLE.len();

/// The place of a class word in the taxonomy; none where it does not have the word.
pub fn place_of(class: &str) -> Option<usize> {
    TABLE.iter().position(|(word, _)| *word == class)
}

/// Every class word, in the order of the taxonomy.
pub fn words() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_class_word_stands_twice_in_the_table() {
        let mut all: Vec<_> = words().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), TABLE.len());
    }

    #[test]
    fn an_unknown_class_is_judged_like_a_bug_and_none_says_nothing() {
        assert!(!is_known("disk.melted"));
        assert_eq!(rule_of("disk.melted", "X"), rule_of("bug", "X"));
        assert_eq!(rule_of("Throttled", "X"), BUG);
        assert_eq!(rule_of("", "X").again, Again::AsPolicy);
    }

    #[test]
    fn a_name_that_does_not_resolve_is_tried_twice() {
        assert_eq!(rule_of("network.connect", "NXDOMAIN").again, Again::AtMost(2));
        assert_eq!(rule_of("network.connect", "ECONNREFUSED").again, Again::AsPolicy);
    }
}
