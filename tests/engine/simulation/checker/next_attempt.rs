//! What the next attempt of a node is told: the newest failure and the newest details that an event has, both until the
//! node settles; and that nothing is said that no worker said.

use domain::job::event::JobEvent;
use domain::node::attempt::AttemptError;
use domain::node::status::NodeStatus;
use domain::payload::Payload;
use orrery::engine::core::message::Granted;

use super::ClientLog;
use super::job::JobStory;

/// What earlier attempts left.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Left {
    pub(super) error: Option<AttemptError>,
    pub(super) details: Option<Payload>,
}

impl JobStory {
    /// What an event carries of heartbeats was said by the attempt that runs.
    pub(super) fn hears(&mut self, event: &JobEvent, log: &ClientLog) -> Result<(), String> {
        for heard in &event.heard {
            let node = &mut self.nodes[heard.node as usize];
            if node.status != NodeStatus::Running || node.epoch != heard.epoch.0 {
                return Err("invariant 6: heard of an attempt that does not run".to_owned());
            }
            let said = log.said.get(&(self.id, heard.node, heard.epoch.0));
            let Some(details) = &heard.details else { continue };
            if !said.is_some_and(|said| said.contains(details)) {
                return Err("invariant 4: nobody said this in a heartbeat".to_owned());
            }
            node.left.details = Some(details.clone());
        }
        Ok(())
    }

    /// What a lease tells of attempts before is what they left when it was given.
    pub(super) fn is_told_rightly(&self, granted: &Granted, log: &ClientLog) -> Result<(), String> {
        let key = (granted.lease.node, granted.lease.epoch.0);
        let Some(row) = self.leases.get(&key) else { return Ok(()) };
        if granted.work.previous.as_deref() != row.left.error.as_ref() {
            return Err("invariant 4: a lease that tells of another failure".to_owned());
        }
        // Given again under its claim, it may tell what the attempt itself said meanwhile.
        let own = log.said.get(&(self.id, key.0, key.1));
        let details = granted.work.details.as_ref();
        let is_own = details.is_some_and(|details| own.is_some_and(|own| own.contains(details)));
        if details != row.left.details.as_ref() && !is_own {
            return Err("invariant 4: a lease that tells of other details".to_owned());
        }
        Ok(())
    }
}
