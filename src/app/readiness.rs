//! What must hold for an engine to get requests, beside its services; looked at with each `/readyz`, and never waited
//! for.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::engine::handle::Engine;
use crate::event_store::sqlite::DataFolder;
use crate::http::state::{ReadyCheck, ReadyChecks};
use crate::services::driver::Driver;

/// The checks of this engine; `folder` is that of an embedded store.
pub(super) fn checks(
    engine: &Engine,
    driver: &Arc<Driver>,
    folder: Option<Arc<DataFolder>>,
    leave: &CancellationToken,
) -> Box<ReadyChecks> {
    let (engine, driver, leave) = (engine.clone(), Arc::clone(driver), leave.clone());
    let check = |name: &str, ok: bool, detail: &str| ReadyCheck {
        name: name.to_owned(),
        ok,
        detail: (!ok).then(|| detail.to_owned()),
    };
    Box::new(move || {
        let mut checks = vec![
            check("serving", !leave.is_cancelled(), "the engine is stopping"),
            check("event_store", engine.store_answers(), "the last append was not answered"),
            check("engine_tenure", driver.holds(), "the engine's tenure was not renewed in time"),
            // It serves with any clock, and says so.
            ReadyCheck { name: "clock".to_owned(), ok: true, detail: driver.clock_difference() },
        ];
        if let Some(folder) = &folder {
            let gone = folder.is_in_place().err();
            checks.push(check("data_folder", gone.is_none(), gone.as_deref().unwrap_or_default()));
        }
        checks
    })
}
