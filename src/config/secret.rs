//! A value that must not be seen: what prints it prints a mask.
//! Always holds: `Debug` shows nothing of it, and what `config show` prints of a URI has no password.

use std::fmt;

use serde::Deserialize;

/// Text that is never printed as it is.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who connects with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What may be shown of anything: whether it is set.
    pub fn hidden(&self) -> String {
        if self.0.is_empty() { String::new() } else { "***".to_owned() }
    }

    /// What may be shown: a URI's scheme, user and host without the password and the options; nothing of anything
    /// else.
    pub fn masked(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return match self.0.split_once(':') {
                _ if self.0.is_empty() => String::new(),
                Some(("sqlite", _)) => self.0.clone(),
                Some(_) | None => "***".to_owned(),
            };
        };
        // Options can carry tokens as well.
        let rest =
            rest.split_once('?').map_or_else(|| rest.to_owned(), |(rest, _)| format!("{rest}?***"));
        // A password may hold an unescaped '@', so the host begins after the last one.
        match rest.rsplit_once('@') {
            Some((who, host)) => {
                let user = who.split_once(':').map_or(who, |(user, _)| user);
                format!("{scheme}://{user}:***@{host}")
            }
            None => format!("{scheme}://{rest}"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (text, shown) in [
            ("", ""),
            ("sqlite:./data", "sqlite:./data"),
            ("mongodb://host/db", "mongodb://host/db"),
            ("mongodb://me:pa@ss@host/db?authToken=pass", "mongodb://me:***@host/db?***"),
            ("plain-pass", "***"),
            ("odd:pass", "***"),
        ] {
            let secret = Secret::new(text);
            assert_eq!(secret.masked(), shown);
            assert!(!format!("{secret:?}").contains("pass"));
        }
    }
}
