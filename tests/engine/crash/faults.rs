//! Writes that fail, in a real process: a full disk is refused and served on, a failed write or sync ends the engine.
//! Always holds: after a failed sync nothing is written any more, since nobody knows what is on the disk.

use super::load::{HEAVY, SMALL};
use super::matrix_cell::{self, Between, Ends};

const STORE_ENDS: &str = "the event store cannot go on";
const VIEW_ENDS: &str = "the view cannot go on";

async fn met(armed: &str, ends: Ends, size: super::load::Size) {
    assert!(matrix_cell::run_to(armed, ends, Between::Nothing, size).await, "{armed} was not met");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_disk_is_full_refuses_and_goes_on_by_itself() {
    met("write.commit:12-90=full", Ends::Never, SMALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_write_cannot_be_synced_ends_and_loses_nothing() {
    // Only this one time: an engine that tried again would go on.
    for armed in ["write.commit:1=io", "write.commit:25=io"] {
        met(armed, Ends::Saying(STORE_ENDS), SMALL).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_checkpoint_cannot_be_synced_ends_and_loses_nothing() {
    met("checkpoint.begin:1=io", Ends::Saying(STORE_ENDS), HEAVY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_view_cannot_be_synced_ends_and_loses_nothing() {
    met("view.sync:6=io", Ends::Saying(VIEW_ENDS), SMALL).await;
}
