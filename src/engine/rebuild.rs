//! Making the view from the streams: at the first start on a folder, after the view was lost, and when asked.
//! Absent on purpose: any decision; lists are incomplete while it works, and everything else is right.

use std::sync::atomic::Ordering;

use domain::ids::GroupId;

use crate::engine::core::message::Input;
use crate::engine::core::projection;
use crate::engine::handle::Engine;
use crate::engine::loader;
use crate::event_store::contract::EventStore;
use crate::view::contract::View;

/// Subjects listed, and documents flushed, at once.
const SUBJECTS_PAGE: usize = 2_000;

/// Makes the view this store's, from the streams where it is not.
pub(super) async fn adopt_view(engine: Engine, store_id: String) -> Option<Input> {
    let rebuilt = match engine.view.adopt(&store_id, true).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            rebuild_view(engine.store.as_ref(), engine.view.as_ref(), &store_id).await.map(|_| ())
        }
        Err(error) => Err(error.to_string()),
    };
    match rebuilt {
        Ok(()) => engine.gauges.view_whole.store(true, Ordering::Relaxed),
        Err(error) => {
            tracing::error!(%error, "the view could not be made whole: lists are incomplete");
        }
    }
    None
}

/// Writes the document of every stream. Answers how many.
///
/// # Errors
/// What keeps a store from answering, in words.
pub async fn rebuild_view(
    store: &dyn EventStore,
    view: &dyn View,
    store_id: &str,
) -> Result<u64, String> {
    view.adopt(store_id, false).await.map_err(|error| error.to_string())?;
    let mut count = 0;
    for group in GroupId::all() {
        let mut after = None;
        loop {
            let subjects = store
                .subjects(group, after.clone(), SUBJECTS_PAGE)
                .await
                .map_err(|error| error.to_string())?;
            let Some(last) = subjects.last().cloned() else { break };
            let mut documents = Vec::with_capacity(subjects.len());
            for subject in subjects {
                match loader::load(store, &subject).await {
                    Ok(stream) => {
                        let document = stream
                            .entity
                            .and_then(|entity| projection::document(&subject, &entity, stream.seq));
                        documents.extend(document);
                    }
                    Err(error) => tracing::error!(%subject, %error, "left out of the view"),
                }
            }
            count += documents.len() as u64;
            view.flush(documents).await.map_err(|error| error.to_string())?;
            after = Some(last);
        }
    }
    view.sync().await.map_err(|error| error.to_string())?;
    view.adopt(store_id, true).await.map_err(|error| error.to_string())?;
    Ok(count)
}
