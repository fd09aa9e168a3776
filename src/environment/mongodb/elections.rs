//! How long a replica set may take to go on without a primary that hangs, read from its settings, and what to set instead.
//! Always holds: it is advice. Nothing that was acknowledged depends on it, so an engine starts all the same.
//! Absent: asking the server (`checks`). What was measured is in docs/operations.md, "Elections".

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else the driver can hold is no number"
)]

use bson::{Bson, Document};

/// A setting, and above what it makes a loss long.
struct Bound {
    name: &'static str,
    /// What the server takes when it is not set.
    usual: i64,
    most: i64,
    advised: i64,
}

/// In the replica set's configuration, `settings`. Only values that are clearly left at their defaults are told of: a set that
/// spans continents has its reasons for 5 s.
const SETTINGS: [Bound; 2] = [
    Bound { name: "electionTimeoutMillis", usual: 10_000, most: 5_000, advised: 2_000 },
    Bound { name: "heartbeatTimeoutSecs", usual: 10, most: 5, advised: 2 },
];
/// Parameters of each member: after how long, and after how many more tries, a secondary leaves a member that it reads
/// from and that says nothing.
const PARAMETERS: [Bound; 2] = [
    Bound { name: "oplogNetworkTimeoutBufferSeconds", usual: 5, most: 3, advised: 2 },
    Bound { name: "oplogFetcherSteadyStateMaxFetcherRestarts", usual: 1, most: 0, advised: 0 },
];

/// The names that `getParameter` is asked for.
pub(super) fn parameters() -> impl Iterator<Item = &'static str> {
    PARAMETERS.iter().map(|bound| bound.name)
}

/// What should be set otherwise, in words; nothing when all is well. `parameters` are those of one member, if it tells them.
pub(super) fn advice(config: &Document, parameters: Option<&Document>) -> Option<String> {
    let settings = config.get_document("settings").ok();
    let of_set = SETTINGS.iter().filter_map(|bound| bound.told(settings));
    let of_member = PARAMETERS.iter().filter_map(|bound| bound.told(Some(parameters?)));
    let told: Vec<String> = of_set.chain(of_member).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

impl Bound {
    fn told(&self, document: Option<&Document>) -> Option<String> {
        let value = document.and_then(|document| document.get(self.name)).and_then(whole);
        let value = value.unwrap_or(self.usual);
        (value > self.most).then(|| format!("{} is {value} (set {})", self.name, self.advised))
    }
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        // As a shell writes numbers.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a setting of this size has no fraction"
        )]
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_set_with_defaults_is_told_what_to_set_and_a_tuned_one_nothing() {
        let tuned =
            doc! { "settings": { "electionTimeoutMillis": 2_000, "heartbeatTimeoutSecs": 2.0 } };
        let parameters = doc! { "oplogNetworkTimeoutBufferSeconds": 2, "oplogFetcherSteadyStateMaxFetcherRestarts": 0_i64 };
        assert_eq!(advice(&tuned, Some(&parameters)), None);
        assert_eq!(advice(&tuned, None), None, "what cannot be seen is not told of");
        let told = advice(&doc! {}, Some(&doc! {})).unwrap_or_default();
        for word in
            ["electionTimeoutMillis is 10000 (set 2000)", "heartbeatTimeoutSecs is 10 (set 2)"]
        {
            assert!(told.contains(word), "{told}");
        }
        assert!(parameters.keys().all(|name| told.contains(name.as_str())), "{told}");
        let one =
            doc! { "settings": { "electionTimeoutMillis": 3_000, "heartbeatTimeoutSecs": 10 } };
        assert_eq!(advice(&one, None).as_deref(), Some("heartbeatTimeoutSecs is 10 (set 2)"));
    }
}
