//! Who should drive what, and what an engine does about it: pure, from what was read to what is to be changed.
//! Always holds: engines that read the same want the same (rendezvous hashing: an engine that comes or goes moves only
//! its own share); only the driver lets go of a group whose driver lives; what a leaving engine drives goes at once, if there is anybody.
//! Absent: reading, changing, believing.

use domain::dice::{GOLDEN, splitmix64};
use domain::ids::GroupId;

use super::contract::{EngineId, EngineRecord, GroupRecord, HandOver, Roster, Take};

/// What an engine is to change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharePlan {
    /// Groups that are its own to take.
    pub take: Vec<Take>,
    /// Groups that are others' to drive.
    pub hand_over: Vec<HandOver>,
}

/// The fences at which this engine let go of a group, by group: up to there it drives it no more, whatever an older
/// reading says.
pub type ReleasedFences = [u64; domain::bounds::GROUPS as usize];

/// Whether `me` drives a group by this record.
pub fn is_mine(record: &GroupRecord, me: EngineId, released: &ReleasedFences) -> bool {
    let gone = released.get(usize::from(record.group.index())).copied().unwrap_or(u64::MAX);
    record.driver == Some(me) && record.fence > gone
}

/// Engines to be evicted before anything is taken of them: their tenure is over, or a group names them and nobody else
/// knows them.
pub fn dead(roster: &Roster, me: EngineId) -> Vec<EngineId> {
    let known = |engine: EngineId| roster.engines.iter().any(|record| record.engine == engine);
    let silent = roster.engines.iter().filter(|record| !record.lives).map(|record| record.engine);
    let unknown =
        roster.groups.iter().filter_map(|group| group.driver).filter(|driver| !known(*driver));
    let mut dead: Vec<EngineId> = silent.chain(unknown).filter(|engine| *engine != me).collect();
    dead.sort_unstable();
    dead.dedup();
    dead
}

/// Who should drive a group: of the engines that live and stay, the one that the group's hash likes best.
pub fn should_drive(group: GroupId, engines: &[EngineRecord]) -> Option<EngineId> {
    let stays = engines.iter().filter(|record| record.lives && !record.leaving);
    stays
        .map(|record| record.engine)
        .max_by_key(|engine| (rendezvous_weight(group, *engine), *engine))
}

/// What `me` is to change. `evicted`: engines that are known to be evicted; what they drove is free.
pub fn plan(
    roster: &Roster,
    me: EngineId,
    evicted: &[EngineId],
    released: &ReleasedFences,
) -> SharePlan {
    let mut plan = SharePlan::default();
    if !roster.engines.iter().any(|record| record.engine == me) {
        // Evicted, or not seen yet: the next renewal tells.
        return plan;
    }
    for record in &roster.groups {
        let GroupRecord { group, driver, fence, .. } = *record;
        let wanted = should_drive(group, &roster.engines);
        let free = driver.is_none_or(|driver| evicted.contains(&driver));
        let given_up = driver == Some(me) && !is_mine(record, me, released);
        if wanted == Some(me) {
            if free || given_up {
                plan.take.push(Take { group, fence });
            }
        } else if driver == Some(me) && wanted.is_some() {
            plan.hand_over.push(HandOver { group, fence, next: wanted });
        }
    }
    plan
}

/// The same on every machine and in every version, since engines of two versions share the groups (splitmix64).
fn rendezvous_weight(group: GroupId, engine: EngineId) -> u64 {
    let seed = (u64::from(engine) << 8) | u64::from(group.index());
    splitmix64(seed.wrapping_mul(GOLDEN))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEVER: ReleasedFences = [0; domain::bounds::GROUPS as usize];

    fn engine(engine: EngineId, lives: bool, leaving: bool) -> EngineRecord {
        EngineRecord {
            engine,
            name: String::new(),
            address: String::new(),
            version: String::new(),
            public_key: String::new(),
            started_at: 0,
            renewed_at: 0,
            lives,
            leaving,
        }
    }

    fn roster(engines: &[EngineRecord], driver: impl Fn(GroupId) -> Option<EngineId>) -> Roster {
        let record = |group| GroupRecord {
            driver: driver(group),
            fence: 1,
            ..GroupRecord::untouched(group)
        };
        Roster { engines: engines.to_vec(), groups: GroupId::all().map(record).collect() }
    }

    #[test]
    fn shares_are_about_even() {
        for count in 2..=8_u32 {
            let engines: Vec<_> = (1..=count).map(|e| engine(e, true, false)).collect();
            for of in 1..=count {
                let share =
                    GroupId::all().filter(|group| should_drive(*group, &engines) == Some(of));
                let share = share.count();
                let even = 64 / count as usize;
                assert!(share >= even / 3 && share <= even * 2, "{of} of {count}: {share}");
            }
        }
    }

    #[test]
    fn the_living_are_never_robbed_and_the_dead_only_after_their_eviction() {
        let engines = [engine(1, true, false), engine(2, true, false), engine(3, false, false)];
        let of_two = roster(&engines, |_| Some(2));
        assert_eq!(plan(&of_two, 1, &[], &NEVER), SharePlan::default());
        let of_dead = roster(&engines, |_| Some(3));
        assert_eq!(dead(&of_dead, 1), [3]);
        assert_eq!(plan(&of_dead, 1, &[], &NEVER), SharePlan::default());
        assert!(!plan(&of_dead, 1, &[3], &NEVER).take.is_empty());
        let of_unknown = roster(&engines, |_| Some(9));
        assert_eq!(dead(&of_unknown, 1), [3, 9]);
    }

    #[test]
    fn what_was_let_go_of_is_not_driven_on_an_old_reading_and_can_be_taken_back() {
        let alone = roster(&[engine(1, true, false)], |_| Some(1));
        let gone = [1; domain::bounds::GROUPS as usize];
        assert!(alone.groups.iter().all(|record| is_mine(record, 1, &NEVER)));
        assert!(!alone.groups.iter().any(|record| is_mine(record, 1, &gone)));
        assert_eq!(plan(&alone, 1, &[], &NEVER), SharePlan::default());
        assert_eq!(plan(&alone, 1, &[], &gone).take.len(), 64);
    }

    #[test]
    fn an_engine_that_leaves_hands_over_to_whoever_stays_and_drives_on_when_nobody_does() {
        let leaving = [engine(1, true, true), engine(2, true, false), engine(3, false, false)];
        let handed = plan(&roster(&leaving, |_| Some(1)), 1, &[], &NEVER).hand_over;
        assert_eq!(handed.len(), 64);
        assert!(handed.iter().all(|group| group.next == Some(2)));
        let last = [engine(1, true, true), engine(4, true, true)];
        assert_eq!(plan(&roster(&last, |_| Some(1)), 1, &[], &NEVER), SharePlan::default());
    }

    proptest! {
        #[test]
        fn an_engine_that_comes_or_goes_moves_only_its_own_share(
            ids in proptest::collection::btree_set(1..10_000_u32, 2..9),
        ) {
            let all: Vec<_> = ids.iter().map(|id| engine(*id, true, false)).collect();
            let gone = all.first().map(|record| record.engine);
            for group in GroupId::all() {
                let before = should_drive(group, &all);
                let after = should_drive(group, all.get(1..).unwrap_or_default());
                prop_assert!(before == after || before == gone);
            }
        }

        #[test]
        fn every_free_group_is_taken_by_exactly_one(
            ids in proptest::collection::btree_set(1..10_000_u32, 1..6),
            leaving in 0..3_u32,
        ) {
            let all: Vec<_> = ids.iter().map(|id| engine(*id, true, id % 3 == leaving)).collect();
            let free = roster(&all, |_| None);
            let staying = all.iter().filter(|record| !record.leaving).count();
            let takes: usize =
                ids.iter().map(|id| plan(&free, *id, &[], &NEVER).take.len()).sum();
            prop_assert_eq!(takes, if staying == 0 { 0 } else { 64 });
        }
    }
}
