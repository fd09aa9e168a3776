//! The conformance suite of memberships. Each case is a sentence about the contract; `each_membership!` runs it against
//! memory and MongoDB. A tenure is ended as its time would end it: by the store's clock, or in the stored document.

use std::sync::Arc;
use std::time::Duration;

use bson::doc;
use domain::ids::GroupId;
use orrery::environment::SimulatedClock;
use orrery::membership::alone::Alone;
use orrery::membership::contract::{
    EngineId, GroupRecord, HandOver, Introduction, Membership, Renewal, Roster, TENURE, Take,
};
use orrery_testing::membership::MemoryMembership;

use super::mongodb::Database;
use super::samples::NOW;

/// So much of a tenure is left a moment before it is over: an eviction that is early by a second comes within it.
const LEFT: Duration = Duration::from_millis(900);

/// A membership, and a way to end tenures.
enum Stage<'a> {
    InMemory(MemoryMembership, SimulatedClock),
    OnMongodb(&'a Database),
}

impl Stage<'_> {
    fn membership(&self) -> Arc<dyn Membership> {
        match self {
            Self::InMemory(membership, _) => Arc::new(membership.door()),
            Self::OnMongodb(database) => Arc::new(database.membership()),
        }
    }

    /// This engine's tenure, as long as it was from its last renewal, is over in a moment; those of the others hold.
    async fn nearly_end_lease(&self, engine: EngineId, others: &[EngineId]) {
        match self {
            Self::InMemory(membership, clock) => {
                clock.advance(TENURE.saturating_sub(LEFT));
                for other in others {
                    membership.renew(*other, false).await.expect("an answer");
                }
            }
            Self::OnMongodb(database) => {
                let before = stored(database, engine).await;
                let [renewed_at, until] = ["renewed_at", "until"].map(|field| time(&before, field));
                let length = until.expect("an end") - renewed_at.expect("a renewal");
                assert_eq!(u128::try_from(length), Ok(TENURE.as_millis()));
                let left = i64::try_from(LEFT.as_millis()).expect("a second");
                let soon = vec![doc! { "$set": { "until": { "$add": ["$$NOW", left] } } }];
                let engines =
                    database.connection.database().collection::<bson::Document>("engines");
                let changed = engines.update_one(doc! { "_id": i64::from(engine) }, soon).await;
                assert_eq!(changed.expect("an answer").matched_count, 1);
            }
        }
    }

    /// Whether this eviction was not before the end of the tenure. On a machine that stood still meanwhile the tenure may
    /// be over by now: the stored times say whether it was.
    async fn is_in_time(&self, engine: EngineId, evicted: bool) -> bool {
        match self {
            Self::InMemory(..) => !evicted,
            Self::OnMongodb(database) => {
                let after = stored(database, engine).await;
                !evicted || time(&after, "evicted_at") >= time(&after, "until")
            }
        }
    }

    /// The time of this engine's tenure is over; those of the others hold.
    async fn end_lease(&self, engine: EngineId, others: &[EngineId]) {
        match self {
            Self::InMemory(membership, clock) => {
                clock.advance(TENURE + Duration::from_millis(1));
                for other in others {
                    membership.renew(*other, false).await.expect("an answer");
                }
            }
            Self::OnMongodb(database) => {
                let engines =
                    database.connection.database().collection::<bson::Document>("engines");
                let past = vec![doc! { "$set": { "until": { "$subtract": ["$$NOW", 1_i64] } } }];
                let changed = engines.update_one(doc! { "_id": i64::from(engine) }, past).await;
                assert_eq!(changed.expect("an answer").matched_count, 1);
            }
        }
    }
}

async fn stored(database: &Database, engine: EngineId) -> bson::Document {
    let engines = database.connection.database().collection::<bson::Document>("engines");
    let found = engines.find_one(doc! { "_id": i64::from(engine) }).await;
    found.expect("an answer").expect("an engine")
}

fn time(of: &bson::Document, field: &str) -> Option<i64> {
    of.get_datetime(field).ok().map(|at| at.timestamp_millis())
}

macro_rules! each_membership {
    ($($case:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $case() {
                let clock = super::SimulatedClock::at(super::NOW);
                let membership = super::MemoryMembership::new(super::Arc::new(clock.clone()));
                super::$case(&super::Stage::InMemory(membership, clock)).await;
            })+
        }
        mod on_mongodb {
            $(#[tokio::test] #[ignore = "needs a mongod: scripts/test fetches one"] async fn $case() {
                let database = super::Database::fresh().await;
                super::$case(&super::Stage::OnMongodb(&database)).await;
                database.end().await;
            })+
        }
    };
}

each_membership! {
    every_start_is_an_engine_of_its_own,
    an_engine_is_shown_as_it_introduced_itself,
    a_group_goes_to_one_of_two_that_want_it,
    only_its_driver_hands_a_group_over_and_only_under_the_fence_it_saw,
    an_engine_whose_tenure_holds_is_not_evicted,
    an_engine_is_not_evicted_a_moment_before_its_lease_is_over,
    a_evicted_engine_is_told_so_and_stays_evicted,
    a_late_renewal_is_in_time_when_it_is_before_the_eviction,
    an_engine_that_nobody_knows_is_evicted_when_asked_for,
    an_engine_that_leaves_is_gone_at_once,
    everybody_sees_the_key_that_an_engine_shows,
}

fn introduction() -> Introduction {
    Introduction {
        name: String::new(),
        address: "$host:1".to_owned(),
        version: "0.1.0".to_owned(),
        public_key: "$key".to_owned(),
    }
}

fn group(number: usize) -> GroupId {
    GroupId::all().nth(number).expect("a group")
}

async fn join(membership: &Arc<dyn Membership>) -> EngineId {
    membership.join(&introduction()).await.expect("a number")
}

async fn look(membership: &Arc<dyn Membership>) -> Roster {
    membership.look().await.expect("a roster")
}

async fn record(membership: &Arc<dyn Membership>, number: usize) -> GroupRecord {
    look(membership).await.groups[number]
}

async fn every_start_is_an_engine_of_its_own(stage: &Stage<'_>) {
    let (a, b) = (stage.membership(), stage.membership());
    let numbers = [join(&a).await, join(&b).await, join(&a).await];
    assert_eq!(numbers, [1, 2, 3]);
    let roster = look(&b).await;
    assert_eq!(roster.engines.iter().map(|e| e.engine).collect::<Vec<_>>(), numbers);
    let untouched: Vec<_> = GroupId::all().map(GroupRecord::untouched).collect();
    assert_eq!(roster.groups, untouched);
}

async fn an_engine_is_shown_as_it_introduced_itself(stage: &Stage<'_>) {
    let membership = stage.membership();
    let named = Introduction { name: "$name".to_owned(), ..introduction() };
    let (one, two) = (join(&membership).await, membership.join(&named).await.expect("a number"));
    assert!(matches!(membership.renew(two, true).await, Ok(Renewal::Held { at: Some(_) })));
    let roster = look(&membership).await;
    let shown: Vec<_> = roster
        .engines
        .iter()
        .map(|e| (e.engine, e.name.as_str(), e.address.as_str(), e.lives, e.leaving))
        .collect();
    assert_eq!(
        shown,
        [(one, "engine-1", "$host:1", true, false), (two, "$name", "$host:1", true, true)]
    );
    let two = &roster.engines[1];
    assert!(two.started_at > 0 && two.renewed_at >= two.started_at);
}

async fn a_group_goes_to_one_of_two_that_want_it(stage: &Stage<'_>) {
    let (a, b) = (stage.membership(), stage.membership());
    let (one, two) = (join(&a).await, join(&b).await);
    let all = |fence| GroupId::all().map(|group| Take { group, fence }).collect::<Vec<_>>();
    let (first, second) = tokio::join!(a.take(one, all(0)), b.take(two, all(0)));
    first.and(second).expect("answers");
    let before = look(&a).await.groups;
    assert!(before.iter().all(|group| group.fence == 1 && group.driver.is_some()));
    // Both saw the same, and somebody was faster.
    a.take(one, all(0)).await.expect("an answer");
    assert_eq!(look(&b).await.groups, before);
    b.take(two, all(1)).await.expect("an answer");
    assert!(look(&a).await.groups.iter().all(|g| (g.driver, g.fence) == (Some(two), 2)));
}

async fn only_its_driver_hands_a_group_over_and_only_under_the_fence_it_saw(stage: &Stage<'_>) {
    let (a, b) = (stage.membership(), stage.membership());
    let (one, two) = (join(&a).await, join(&b).await);
    let takes = (0..2).map(|number| Take { group: group(number), fence: 0 }).collect();
    a.take(one, takes).await.expect("an answer");
    let over = |fence| HandOver { group: group(0), fence, next: Some(two) };
    b.hand_over(two, vec![over(1)]).await.expect("an answer");
    a.hand_over(one, vec![over(0)]).await.expect("an answer");
    assert_eq!(record(&a, 0).await.driver, Some(one));
    a.hand_over(one, vec![over(1), HandOver { group: group(1), fence: 1, next: None }])
        .await
        .expect("an answer");
    let freed = record(&b, 0).await;
    assert_eq!((freed.driver, freed.fence, freed.next), (None, 2, Some(two)));
    assert_eq!(record(&b, 1).await.next, None);
    b.take(two, vec![Take { group: group(0), fence: 2 }]).await.expect("an answer");
    let taken = record(&a, 0).await;
    assert_eq!((taken.driver, taken.fence, taken.next), (Some(two), 3, None));
}

async fn an_engine_whose_tenure_holds_is_not_evicted(stage: &Stage<'_>) {
    let (a, b) = (stage.membership(), stage.membership());
    let (one, two) = (join(&a).await, join(&b).await);
    assert_eq!(b.evict(one).await, Ok(false));
    stage.end_lease(one, &[two]).await;
    assert!(look(&b).await.engines.iter().any(|e| e.engine == one && !e.lives));
    assert!(matches!(a.renew(one, false).await, Ok(Renewal::Held { .. })));
    assert_eq!(b.evict(one).await, Ok(false));
    assert!(look(&b).await.engines.iter().all(|e| e.lives));
}

async fn an_engine_is_not_evicted_a_moment_before_its_lease_is_over(stage: &Stage<'_>) {
    let (a, b) = (stage.membership(), stage.membership());
    let (one, two) = (join(&a).await, join(&b).await);
    // The tenure that it joined with, and one that it renewed.
    for renews in [false, true] {
        if renews {
            assert!(matches!(a.renew(one, false).await, Ok(Renewal::Held { .. })));
        }
        stage.nearly_end_lease(one, &[two]).await;
        let evicted = b.evict(one).await.expect("an answer");
        assert!(stage.is_in_time(one, evicted).await, "renewed: {renews}");
        if evicted {
            return;
        }
    }
}

async fn a_evicted_engine_is_told_so_and_stays_evicted(stage: &Stage<'_>) {
    let (a, b) = (stage.membership(), stage.membership());
    let (one, two) = (join(&a).await, join(&b).await);
    a.take(one, vec![Take { group: group(0), fence: 0 }]).await.expect("an answer");
    stage.end_lease(one, &[two]).await;
    assert_eq!(b.evict(one).await, Ok(true));
    assert_eq!(a.renew(one, false).await, Ok(Renewal::Evicted));
    assert_eq!((b.evict(one).await, a.evict(one).await), (Ok(true), Ok(true)));
    assert_eq!(look(&b).await.engines.iter().map(|e| e.engine).collect::<Vec<_>>(), [two]);
    assert_eq!(record(&b, 0).await.driver, Some(one), "an eviction frees nothing by itself");
    b.take(two, vec![Take { group: group(0), fence: 1 }]).await.expect("an answer");
    // What the evicted one still sends changes nothing.
    let late = HandOver { group: group(0), fence: 1, next: None };
    a.hand_over(one, vec![late]).await.expect("an answer");
    assert_eq!(record(&b, 0).await.driver, Some(two));
    assert_eq!(join(&a).await, 3, "and it may begin a new life");
}

async fn a_late_renewal_is_in_time_when_it_is_before_the_eviction(stage: &Stage<'_>) {
    let (a, b) = (stage.membership(), stage.membership());
    let (one, two) = (join(&a).await, join(&b).await);
    for _ in 0..20 {
        stage.end_lease(one, &[two]).await;
        let (renewed, evicted) = tokio::join!(a.renew(one, false), b.evict(one));
        let held = matches!(renewed.expect("an answer"), Renewal::Held { .. });
        assert_ne!(held, evicted.expect("an answer"), "one of them comes first");
        if !held {
            break;
        }
    }
}

async fn an_engine_that_nobody_knows_is_evicted_when_asked_for(stage: &Stage<'_>) {
    let membership = stage.membership();
    assert_eq!(membership.evict(77).await, Ok(true));
    assert_eq!(membership.renew(77, false).await, Ok(Renewal::Evicted));
    assert_eq!(look(&membership).await.engines, []);
}

async fn an_engine_that_leaves_is_gone_at_once(stage: &Stage<'_>) {
    let (a, b) = (stage.membership(), stage.membership());
    let (one, two) = (join(&a).await, join(&b).await);
    a.leave(one).await.expect("an answer");
    assert_eq!(look(&b).await.engines.iter().map(|e| e.engine).collect::<Vec<_>>(), [two]);
    assert_eq!(b.evict(one).await, Ok(true));
    assert_eq!(a.renew(one, false).await, Ok(Renewal::Evicted));
}

async fn everybody_sees_the_key_that_an_engine_shows(stage: &Stage<'_>) {
    let (a, b) = (stage.membership(), stage.membership());
    let one = join(&a).await;
    let seen = look(&b).await.engines;
    let shown = seen.iter().find(|record| record.engine == one).expect("it is there");
    assert_eq!(shown.public_key, "$key");
}

#[tokio::test]
async fn an_engine_that_is_alone_drives_everything_whatever_is_done() {
    let alone: Arc<dyn Membership> = Arc::new(Alone::new(Arc::new(SimulatedClock::at(NOW))));
    let me = join(&alone).await;
    let all = GroupId::all().map(|group| HandOver { group, fence: 1, next: None }).collect();
    alone.hand_over(me, all).await.expect("an answer");
    alone.renew(me, true).await.expect("an answer");
    let roster = look(&alone).await;
    assert!(roster.groups.iter().all(|group| group.driver == Some(me)));
    assert_eq!((roster.engines.len(), alone.evict(me).await), (1, Ok(false)));
}
