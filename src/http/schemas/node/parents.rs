//! When a node's parents let it start: one of three words, and for one of them an expression.
//! Absent: counting parents, which groups do; who asks for it is told so.

use std::fmt;

use domain::node::spec::DependencyCondition;
use domain::refusal::FieldError;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The words that there are, as they are written.
const WORDS: &[&str] = &["all", "any", "conditional"];

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum ParentsRule {
    Known(DependencyCondition),
    /// So many of the parents, or all but so many.
    Counted,
}

impl Default for ParentsRule {
    fn default() -> Self {
        Self::Known(DependencyCondition::All)
    }
}

impl<'de> Deserialize<'de> for ParentsRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadRule;
        impl<'de> Visitor<'de> for ReadRule {
            type Value = ParentsRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one of `all`, `any`, `conditional`")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<ParentsRule, E> {
                match word {
                    "all" => Ok(ParentsRule::Known(DependencyCondition::All)),
                    "any" => Ok(ParentsRule::Known(DependencyCondition::Any)),
                    "conditional" => Ok(ParentsRule::Known(DependencyCondition::Conditional)),
                    "at_least" | "tolerate" => Ok(ParentsRule::Counted),
                    _ => Err(E::unknown_variant(word, WORDS)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ParentsRule, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(ParentsRule::Counted)
            }
        }
        deserializer.deserialize_any(ReadRule)
    }
}

impl ParentsRule {
    /// The domain's rule, with its expression where it has one. `at` is where the node stands in the body.
    pub(super) fn into_rule(
        self,
        when: Option<&str>,
        at: &str,
        errors: &mut Vec<FieldError>,
    ) -> DependencyCondition {
        let rule = match self {
            Self::Known(rule) => rule,
            Self::Counted => {
                errors.push(FieldError::new(
                    format!("{at}/dependency_condition"),
                    "invalid_value",
                    "must be one of `all`, `any`, `conditional`; to count, make the parents members of a \
                     parallel_group with complete_when {\"at_least\": n} or {\"tolerate\": {\"count\": n}} and depend on \
                     the group, or write an expression over them: `conditional` with `when`",
                ));
                return DependencyCondition::All;
            }
        };
        let at = || format!("{at}/when");
        match (rule, when) {
            (DependencyCondition::Conditional, None) => errors.push(FieldError::new(
                at(),
                "required",
                "is required with dependency_condition `conditional`",
            )),
            (DependencyCondition::All | DependencyCondition::Any, Some(_)) => {
                errors.push(FieldError::new(
                    at(),
                    "invalid_value",
                    "is only for dependency_condition `conditional`",
                ));
            }
            (DependencyCondition::Conditional, Some(_))
            | (DependencyCondition::All | DependencyCondition::Any, None) => {}
        }
        rule
    }
}
