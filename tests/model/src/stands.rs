//! What holds of a job after every event: whoever may start has started or waits for a place, whoever may not has not, no
//! group whose end is decided goes on, and a job is over when nothing is left to do.

use domain::job::outcome::EndingStage;
use domain::job::status::JobStatus;
use domain::node::hold::Hold;
use domain::node::status::NodeStatus;

use super::{Model, Says, Wrong};

impl Model {
    pub(super) fn stands(&self) -> Result<(), Wrong> {
        for ix in self.all() {
            let is_current = self.is_current(ix);
            let fits = if is_current { self.node_stands(ix) } else { self.stale_stands(ix) };
            fits.map_err(|wrong| format!("{wrong}: node {ix} is {}", self.nodes[ix].status))?;
            if is_current && self.nodes[ix].has_begun() {
                self.group_stands(ix)?;
            }
        }
        self.places()?;
        self.job_stands()
    }

    /// Whether nodes of a job that stands so start at all, cleanups or others.
    fn job_lets_start(&self, cleanup: bool) -> bool {
        let cleaning = self.ending.is_some() && self.stage == EndingStage::Cleaning;
        self.admitted
            && !self.status.is_over()
            && if cleanup { cleaning } else { self.ending.is_none() }
    }

    /// Whether neither the end of the job nor that of a group around a node keeps it from starting.
    pub fn may_go_on(&self, ix: usize) -> bool {
        self.job_lets_start(self.is_cleanup(ix))
            && self.containers(ix).all(|group| self.is_open(group))
    }

    fn node_stands(&self, ix: usize) -> Result<(), Wrong> {
        let wrong = |what: &str| Err(what.to_owned());
        let (node, queued, open) = (&self.nodes[ix], self.is_queued(ix), self.may_go_on(ix));
        if queued && !open {
            return wrong("it waits for a place, and its job or group ends");
        }
        let asks_somebody = matches!(node.hold, Some(Hold::OutcomeUnknown | Hold::Exhausted));
        let begins = |group: usize| self.nodes[group].status != NodeStatus::Pending;
        if node.status != NodeStatus::Pending && !node.container.is_none_or(begins) {
            return wrong("its group has not begun");
        }
        match node.status {
            NodeStatus::Pending if open => self.pending_stands(ix),
            NodeStatus::Running => wrong_if(queued, "it runs, and waits for a place"),
            NodeStatus::Waiting if !open => {
                wrong_if(!node.has_begun() || node.ending.is_none(), "it is left behind")
            }
            NodeStatus::Ready | NodeStatus::Retrying if !open => wrong("it is left behind"),
            NodeStatus::Waiting if queued != (node.hold == Some(Hold::Limit)) => {
                wrong("it waits for a place without one being full, or unseen")
            }
            NodeStatus::Waiting if asks_somebody => {
                wrong_if(self.status != JobStatus::Paused, "nobody asks what became of it")
            }
            NodeStatus::Pending | NodeStatus::Waiting => Ok(()),
            _ => wrong_if(queued, "it waits for a place as well"),
        }
    }

    fn pending_stands(&self, ix: usize) -> Result<(), Wrong> {
        let queued = self.is_queued(ix);
        match self.says(ix) {
            Says::Starts if !queued && !self.is_on_an_untaken_branch(ix) => {
                Err("it may start, and does not".to_owned())
            }
            Says::Starts => wrong_if(!queued, "another branch was taken"),
            Says::Waits => {
                wrong_if(queued || self.is_on_an_untaken_branch(ix), "it waits for its parents")
            }
            Says::Blocked => {
                wrong_if(queued || self.is_on_an_untaken_branch(ix), "it can never start")
            }
            Says::Bypassed => Err("all before it counts as nothing".to_owned()),
            Says::Skipped => Err("it was not skipped".to_owned()),
        }
    }

    /// What a list left behind that was made anew.
    fn stale_stands(&self, ix: usize) -> Result<(), Wrong> {
        let rests = !self.nodes[ix].status.is_at_work() && !self.is_queued(ix);
        wrong_if(!rests, "its list was made anew, and it is at work")
    }

    fn group_stands(&self, ix: usize) -> Result<(), Wrong> {
        if self.nodes[ix].ending.is_some() {
            let mut members = self.nodes[ix].members.iter();
            let busy = members.any(|member| self.is_active(*member));
            return wrong_if(!busy, &format!("group {ix} ends, and waits for nothing"));
        }
        if let Some(to) = self.group_decided(ix) {
            return Err(format!("group {ix} is {to}, and goes on"));
        }
        wrong_if(self.is_stuck(ix), &format!("nobody in group {ix} will ever go on"))
    }

    fn job_stands(&self) -> Result<(), Wrong> {
        let busy = self.all().any(|ix| self.is_active(ix));
        let offers = matches!(self.status, JobStatus::Scheduled | JobStatus::Running);
        let running = self.many(&[NodeStatus::Running]);
        if self.status.is_over() {
            wrong_if(busy, "over, and something is at work")?;
            return self.rests();
        }
        match (self.ending, self.stage) {
            (None, _) => {
                wrong_if(offers && !busy, "settled, and it goes on")?;
                self.ends_early()
            }
            (Some(_), EndingStage::Stopping) => {
                wrong_if(running == 0, "an ending that waits for nothing")?;
                self.rests()
            }
            (Some(_), EndingStage::Output) => {
                wrong_if(busy, "its output is made, and something is at work")
            }
            (Some(_), EndingStage::Cleaning) => {
                let others = self.all().any(|ix| self.is_active(ix) && !self.is_cleanup(ix));
                wrong_if(others, "it cleans up, and something else is at work")?;
                wrong_if(!busy, "it cleans up, and nothing is at work")
            }
        }
    }

    /// A job of which only some can fail, or that ends with its condition, does so at once.
    fn ends_early(&self) -> Result<(), Wrong> {
        if !self.admitted {
            return Ok(());
        }
        let outermost = self.outermost();
        let failed = outermost.iter().any(|ix| self.fails_for_good(*ix));
        wrong_if(self.plan.fail_fast && failed, "a failure, and it does not end fast")?;
        let settled = outermost.iter().all(|ix| self.nodes[*ix].status.is_settled());
        let decided = self.job_decided().is_some() && !settled;
        wrong_if(self.plan.complete_early && decided, "its condition is decided, and it goes on")
    }

    /// In a job that is over, or about to be, only what is blocked for good is still pending; cleanups have their time to come.
    fn rests(&self) -> Result<(), Wrong> {
        let (over, fails) = (self.status.is_over(), self.status == JobStatus::Failed);
        for ix in self.all().filter(|ix| self.nodes[*ix].status == NodeStatus::Pending) {
            let keeps = if self.is_cleanup(ix) { !over && self.admitted } else { fails };
            wrong_if(!keeps, &format!("node {ix} is pending, and its job ends"))?;
        }
        Ok(())
    }
}

pub(super) fn wrong_if(wrong: bool, what: &str) -> Result<(), Wrong> {
    if wrong { Err(what.to_owned()) } else { Ok(()) }
}
