//! What GET /engines shows of each engine. Absent: engines that are evicted; their groups are the others'.

use serde::Serialize;
use utoipa::ToSchema;

use super::time;
use crate::http::page::PageInfo;
use crate::membership::contract::{EngineId, EngineRecord};
use crate::services::driver::Seen;

/// The engines, by number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EngineList)]
pub struct EngineListAnswer {
    /// The rows of this page, in the order of the list.
    pub engines: Vec<EngineAnswer>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// An engine of the deployment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Engine)]
pub struct EngineAnswer {
    /// Its number: each start is a new one.
    #[schema(value_type = u32)]
    engine: EngineId,
    /// What it is called.
    name: String,
    /// Where other engines reach it.
    address: String,
    /// Of its program.
    version: String,
    /// It is the one that answers.
    answers: bool,
    /// Its lease holds. The groups of one whose lease is over are taken over.
    lives: bool,
    /// It is about to end, and hands over what it drives.
    leaving: bool,
    #[schema(format = "date-time")]
    started_at: String,
    /// When its tenure was last renewed.
    #[schema(format = "date-time")]
    renewed_at: String,
    /// The groups of jobs, 0 to 63, that it drives.
    groups: Vec<u8>,
}

/// All of them.
pub fn engines_of(seen: &Seen) -> Vec<EngineAnswer> {
    let groups = |engine: EngineId| {
        let driven = seen.roster.groups.iter().filter(|group| group.driver == Some(engine));
        driven.map(|group| group.group.index()).collect()
    };
    let answer = |record: &EngineRecord| EngineAnswer {
        engine: record.engine,
        name: record.name.clone(),
        address: record.address.clone(),
        version: record.version.clone(),
        answers: record.engine == seen.me,
        lives: record.lives,
        leaving: record.leaving,
        started_at: time::format(record.started_at),
        renewed_at: time::format(record.renewed_at),
        groups: groups(record.engine),
    };
    seen.roster.engines.iter().map(answer).collect()
}
