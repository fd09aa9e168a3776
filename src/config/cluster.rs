//! Several engines on one database: what this one is called, where the others reach it, and what they share.
//! Absent: who drives what, which nobody configures.

use std::net::SocketAddr;

use serde::Deserialize;

use super::Secret;

/// A secret that is shorter can be guessed.
const SECRET_CHARS_MIN: usize = 16;
/// As of other names.
const NAME_CHARS_MAX: usize = 255;

/// The `[cluster]` section.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// For people; empty: `engine-NUMBER`.
    pub name: String,
    advertise_address: String,
    secret: Secret,
}

impl ClusterSettings {
    /// Where the others reach this engine, when it listens here.
    pub fn address(&self, listens: SocketAddr) -> String {
        if self.advertise_address.is_empty() {
            listens.to_string()
        } else {
            self.advertise_address.clone()
        }
    }

    /// Whether others can reach it there: an address that stands for all of a machine's is none.
    pub fn is_reachable(&self, listens: SocketAddr) -> bool {
        !self.advertise_address.is_empty() || !listens.ip().is_unspecified()
    }

    /// The secret, where one is configured.
    pub fn secret(&self) -> Option<&Secret> {
        (!self.secret.reveal().is_empty()).then_some(&self.secret)
    }

    /// What cannot be used, by key.
    pub(super) fn refused(&self) -> Vec<(&'static str, String)> {
        let mut refused = Vec::new();
        if self.name.chars().count() > NAME_CHARS_MAX {
            refused
                .push(("cluster.name", format!("must have at most {NAME_CHARS_MAX} characters")));
        }
        if !self.advertise_address.is_empty() && !is_host_and_port(&self.advertise_address) {
            let rule = "must be HOST:PORT, such as \"10.0.0.7:8080\" or \"engine-a:8080\"";
            refused.push(("cluster.advertise_address", rule.to_owned()));
        }
        let length = self.secret.reveal().chars().count();
        if (1..SECRET_CHARS_MIN).contains(&length) {
            let rule = format!("must have at least {SECRET_CHARS_MIN} characters, or be empty");
            refused.push(("cluster.secret", rule));
        }
        refused
    }
}

fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let is_name = |host: &str| {
        host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    let is_v6 = || address.parse::<SocketAddr>().is_ok();
    port.parse::<u16>().is_ok_and(|port| port > 0) && !host.is_empty() && (is_name(host) || is_v6())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["10.0.0.7:8080", "engine-a:1", "engine_a.local:65535", "[::1]:80"] {
            assert!(is_host_and_port(good), "{good}");
        }
        for bad in
            ["", "engine", "engine:", ":80", "engine:0", "http://engine:80", "a b:80", "::1:80"]
        {
            assert!(!is_host_and_port(bad), "{bad}");
        }
    }
}
