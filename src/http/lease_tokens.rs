//! The text of a lease as a worker holds it: a capability. It names the job, the node, the epoch and the worker, and ends
//! with a MAC over them and the namespace under the deployment's key.
//!
//! Always holds: nothing that is shown elsewhere (ids, epochs, history, logs) helps to make one; one lease has exactly one
//! text, so a claim that comes again gets the same one on whichever engine; a text that was not made here changes nothing,
//! because nobody gets a [`HeldLease`] without it. Absent: whether the lease is still the newest one of its node, which the
//! job decides, and leases of before a restore, whose epochs are void.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use domain::ids::{LeaseId, Namespace, WorkerName};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::config::Secret;

/// Stands before all that is authenticated, so that a MAC made here means nothing elsewhere.
const PURPOSE: &[u8] = b"orrery lease 1\n";
/// Bytes of a MAC: nobody guesses 128 bits.
const MAC_BYTES: usize = 16;
/// Parts of a lease's name that stand before the worker: job, node, epoch.
const NAME_PARTS: usize = 3;

/// Makes and checks the texts of leases.
#[derive(Clone)]
pub struct LeaseTokens {
    /// InFlight the key, with nothing but the purpose in it yet.
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for LeaseTokens {
    /// The key is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseTokens").finish_non_exhaustive()
    }
}

/// A lease that whoever sent it holds: it was made for this worker, by an engine of this deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLease {
    pub id: LeaseId,
    /// The worker it was handed to.
    pub worker: WorkerName,
}

/// A text that is no lease of this deployment and namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no lease that was handed out in this namespace: send it back exactly as it came")]
pub struct NotHeld;

impl LeaseTokens {
    /// InFlight the key that the store keeps. Where a cluster secret is configured it goes into the key, so that reading the
    /// store alone is not enough to make a lease.
    pub fn new(stored: &Secret, configured: Option<&Secret>) -> Self {
        let mut derive = keyed_with(stored.reveal().as_bytes());
        derive.update(b"orrery lease key 1\n");
        derive.update(configured.map_or("", Secret::reveal).as_bytes());
        let mut keyed = keyed_with(&derive.finalize().into_bytes());
        keyed.update(PURPOSE);
        Self { keyed }
    }

    /// The text of a lease that is handed to this worker.
    pub fn issue(&self, namespace: &Namespace, lease: LeaseId, worker: &WorkerName) -> String {
        let mac = self.over(namespace, lease, worker).finalize().into_bytes();
        let mut text = lease.to_string();
        text.push('.');
        BASE64.encode_string(worker.as_str(), &mut text);
        text.push('.');
        BASE64.encode_string(&mac[..MAC_BYTES], &mut text);
        text
    }

    /// The lease that this text proves its sender to hold. Takes as long for a wrong MAC as for a right one.
    ///
    /// # Errors
    /// `NotHeld` for whatever `issue` did not make in this namespace, however it is made up.
    pub fn check(&self, namespace: &Namespace, text: &str) -> Result<HeldLease, NotHeld> {
        let (name, proof) = parts(text).ok_or(NotHeld)?;
        let (worker, mac) = proof.split_once('.').ok_or(NotHeld)?;
        let id = LeaseId::parse(name).map_err(|_| NotHeld)?;
        let worker = String::from_utf8(BASE64.decode(worker).map_err(|_| NotHeld)?);
        let worker = WorkerName::parse(&worker.map_err(|_| NotHeld)?).map_err(|_| NotHeld)?;
        let mac = BASE64.decode(mac).map_err(|_| NotHeld)?;
        let mac: [u8; MAC_BYTES] = mac.try_into().map_err(|_| NotHeld)?;
        self.over(namespace, id, &worker).verify_truncated_left(&mac).map_err(|_| NotHeld)?;
        Ok(HeldLease { id, worker })
    }

    /// Every part has a length of its own or is the last one, so no two leases are authenticated as the same bytes.
    fn over(&self, namespace: &Namespace, lease: LeaseId, worker: &WorkerName) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(&(namespace.as_str().len() as u64).to_be_bytes());
        mac.update(namespace.as_str().as_bytes());
        mac.update(lease.job.0.as_bytes());
        mac.update(&lease.node.to_be_bytes());
        mac.update(&lease.epoch.0.to_be_bytes());
        mac.update(worker.as_str().as_bytes());
        mac
    }
}

/// What a lease's text says it is, without any proof: for people and for whoever checks a run afterwards.
pub fn unproven(text: &str) -> Option<LeaseId> {
    LeaseId::parse(parts(text).map_or(text, |(name, _)| name)).ok()
}

/// The name, and what proves it.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (at, _) = text.match_indices('.').nth(NAME_PARTS - 1)?;
    Some((&text[..at], &text[at + 1..]))
}

fn keyed_with(key: &[u8]) -> Hmac<Sha256> {
    // A key of any length does.
    Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use domain::ids::{Epoch, JobId};

    use super::*;

    fn namespace(name: &str) -> Namespace {
        Namespace::parse(name).expect("a namespace")
    }

    fn worker(name: &str) -> WorkerName {
        WorkerName::parse(name).expect("a worker")
    }

    fn lease() -> LeaseId {
        let job = JobId::from_key(&namespace("a"), "key");
        LeaseId { job, node: 3, epoch: Epoch((1 << 32) + 7) }
    }

    fn tokens() -> LeaseTokens {
        LeaseTokens::new(&Secret::new("stored"), None)
    }

    #[test]
    fn a_lease_is_known_again_by_every_engine_of_the_deployment() {
        let text = tokens().issue(&namespace("a"), lease(), &worker("wörker.1/x"));
        let held = tokens().check(&namespace("a"), &text).expect("it was made here");
        assert_eq!(held, HeldLease { id: lease(), worker: worker("wörker.1/x") });
        assert_eq!(unproven(&text), Some(lease()));
        assert_eq!(tokens().issue(&namespace("a"), lease(), &worker("wörker.1/x")), text);
    }

    #[test]
    fn every_part_of_a_lease_is_proven() {
        let (here, bob) = (namespace("a"), worker("bob"));
        let tokens = tokens();
        let right = tokens.issue(&here, lease(), &bob);
        let (name, proof) = parts(&right).expect("two parts");
        let mac = proof.split_once('.').expect("a MAC").1;
        let other = LeaseId { epoch: Epoch(lease().epoch.0 + 1), ..lease() };
        let next = LeaseId { node: 4, ..lease() };
        let eve = BASE64.encode("eve");
        for forged in [
            lease().to_string(),
            format!("{other}.{proof}"),
            format!("{next}.{proof}"),
            format!("{name}.{eve}.{mac}"),
            format!("{name}..{mac}"),
            format!("{name}.{proof}."),
            format!("{name}.{proof}A"),
            format!("{name}.{proof}="),
            right[..right.len() - 1].to_owned(),
            format!("{right}.{mac}"),
            format!("{name}.{}.{}", BASE64.encode("bob"), BASE64.encode([0; 16])),
            format!("{name}.{}.", BASE64.encode("bob")),
            String::new(),
            "....".to_owned(),
            "nonsense".to_owned(),
        ] {
            assert_eq!(tokens.check(&here, &forged), Err(NotHeld), "{forged}");
        }
        assert_eq!(tokens.check(&namespace("b"), &right), Err(NotHeld), "another namespace");
    }

    #[test]
    fn one_lease_has_one_text() {
        let (here, tokens) = (namespace("a"), tokens());
        let right = tokens.issue(&here, lease(), &worker("bob"));
        // The last digit of 22 carries four bits that are not used: any but zero is another text of the same bytes.
        let last = right.chars().last().expect("a digit");
        let twin = char::from_u32(u32::from(last) + 1).expect("a digit");
        let twin = format!("{}{twin}", &right[..right.len() - 1]);
        assert_eq!(tokens.check(&here, &twin), Err(NotHeld));
    }

    #[test]
    fn what_lies_in_the_store_is_not_enough_where_a_secret_is_configured() {
        let (stored, here) = (Secret::new("stored"), namespace("a"));
        let with = LeaseTokens::new(&stored, Some(&Secret::new("configured")));
        let forged = LeaseTokens::new(&stored, None).issue(&here, lease(), &worker("bob"));
        assert_eq!(with.check(&here, &forged), Err(NotHeld));
        assert!(!format!("{with:?}").contains("configured"));
    }
}
