//! Who drives a job, from what this engine saw of the others at its last look, and where the driver has it.
//! Always holds: engines that saw the same say the same, but for which of them answers. Absent: asking anybody.

use std::time::Duration;

use domain::ids::{GroupId, Millis};
use serde::Serialize;
use utoipa::ToSchema;

use super::time;
use crate::membership::contract::{EngineId, EngineRecord, TENURE};
use crate::services::driver::Seen;
use crate::services::queries::Memory;

/// Who drives a job: offers its work, fires its timers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Driving)]
pub struct DrivingAnswer {
    /// The group of jobs, 0 to 63, that it belongs to.
    group: u8,
    /// The engine that drives it; null: nobody right now.
    #[schema(value_type = Option<u32>)]
    engine: Option<EngineId>,
    /// What that engine is called.
    name: Option<String>,
    /// Where it is reached.
    address: Option<String>,
    /// Its lease holds until then unless it is renewed; then others take over. Null where an engine is alone.
    #[schema(format = "date-time")]
    lease_until: Option<String>,
    /// It is the engine that answers.
    answers: bool,
    /// The reason in words, for people.
    message: String,
    /// Where the driver has the job.
    memory: MemoryWord,
    /// When a parked job is taken up by itself at the latest; null: when something is asked of it.
    #[schema(format = "date-time")]
    parked_until: Option<String>,
}

/// Where a job's driver has it.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobMemory)]
pub enum MemoryWord {
    /// The subject is in the driver's memory.
    Held,
    /// Its stream is being read.
    Loading,
    /// Dropped until it is due, or somebody asks something of it.
    Parked,
    /// Over, and shown: nothing is kept of it but its stream.
    Retired,
    /// Its stream cannot be read.
    Unreadable,
    /// Its driver does not say, or nobody drives it.
    Unknown,
}

impl DrivingAnswer {
    /// Of a group, as seen. `alone`: there are no other engines, and no lease counts.
    pub fn of(group: GroupId, memory: Memory, seen: &Seen, alone: bool) -> Self {
        let roster = &seen.roster;
        let record = roster.groups.iter().find(|record| record.group == group);
        let named = record.and_then(|record| record.driver);
        let known = named.and_then(|named| roster.engines.iter().find(|one| one.engine == named));
        let driver = known.filter(|engine| engine.lives);
        let next = record.and_then(|record| record.next);
        let (memory, parked_until) = match memory {
            Memory::Held => (MemoryWord::Held, None),
            Memory::Loading => (MemoryWord::Loading, None),
            Memory::Parked(until) => (MemoryWord::Parked, until),
            Memory::Retired => (MemoryWord::Retired, None),
            Memory::Unreadable => (MemoryWord::Unreadable, None),
            Memory::Unknown => (MemoryWord::Unknown, None),
        };
        Self {
            group: group.index(),
            engine: driver.map(|driver| driver.engine),
            name: driver.map(|driver| driver.name.clone()),
            address: driver.map(|driver| driver.address.clone()),
            lease_until: known.filter(|_| !alone).map(|one| time::format(lease_until(one))),
            answers: driver.is_some_and(|driver| driver.engine == seen.me),
            message: words(group, (named, known, next), alone),
            memory,
            parked_until: parked_until.map(time::format),
        }
    }
}

fn lease_until(engine: &EngineRecord) -> Millis {
    let lease = |lease: Duration| Millis::try_from(lease.as_millis()).unwrap_or(Millis::MAX);
    engine.renewed_at.saturating_add(lease(TENURE))
}

fn words(
    group: GroupId,
    (named, known, next): (Option<EngineId>, Option<&EngineRecord>, Option<EngineId>),
    alone: bool,
) -> String {
    let group = group.index();
    match (named, known) {
        (_, Some(engine)) if engine.lives => {
            let EngineRecord { engine: number, name, address, .. } = engine;
            let leaving = if engine.leaving { ", and is about to hand it over" } else { "" };
            let until = time::format(lease_until(engine));
            let until =
                if alone { String::new() } else { format!(" (its tenure holds until {until})") };
            format!("engine {number} ({name}) at {address} drives group {group}{until}{leaving}")
        }
        (Some(number), Some(engine)) => format!(
            "nobody drives group {group} right now: the lease of engine {number} ended at {}, and \
             its groups are taken over",
            time::format(lease_until(engine)),
        ),
        (Some(number), None) => format!(
            "nobody drives group {group} right now: engine {number} is gone, and its groups are \
             taken over"
        ),
        (None, _) => match next {
            Some(next) => format!(
                "nobody drives group {group} right now: it was handed over to engine {next}, which \
                 takes it at its next look"
            ),
            None => format!(
                "nobody drives group {group} right now: an engine takes it at its next look"
            ),
        },
    }
}
