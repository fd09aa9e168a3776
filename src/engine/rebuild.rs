//! Making the view from the streams: at the first start on a folder, after the view was lost, and when asked.
//! Absent on purpose: any decision; lists are incomplete while it works, and everything else is right.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::ids::{GroupId, SubjectId};
use futures_util::stream::{self, Stream, StreamExt};

use crate::engine::core::message::Input;
use crate::engine::core::shown;
use crate::engine::loader;
use crate::engine::shared::Shared;
use crate::environment::fail_points::{self, Point};
use crate::event_store::contract::{EventStore, StoreResult};
use crate::view::contract::{Document, View};

/// Subjects listed, and documents flushed, at once.
const SUBJECTS_PAGE: usize = 2_000;
/// Pages of nodes flushed at once: 100,000 nodes.
const PAGES_MAX: usize = 1_000;

/// Makes the view this store's, from the streams where it is not.
pub(super) async fn adopt_view(
    engine: Arc<Shared>,
    view_id: String,
    node_pages: bool,
) -> Option<Input> {
    // Called whole only once it is: an engine that dies while it makes the view must not leave half of one behind.
    let rebuilt = match engine.view.adopt(&view_id, false).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let (store, view) = (engine.store.as_ref(), engine.view.as_ref());
            rebuild_view(store, view, (&view_id, node_pages), |_| {}).await.map(|_| ())
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

/// What a view was made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    pub documents: u64,
    /// Streams that cannot be read, and are not in it.
    pub left_out: u64,
}

/// Streams read at once: a store that is far away is not waited for one stream at a time.
const LOADS_MAX: usize = 32;

/// The documents of these subjects; none for a stream that nothing is shown of, an error for one that cannot be read.
fn documents_of(
    store: &dyn EventStore,
    subjects: Vec<SubjectId>,
    node_pages: bool,
) -> impl Stream<Item = StoreResult<Option<Document>>> + Send {
    let loads = subjects.into_iter().map(move |subject| async move {
        let loaded = loader::load(store, &subject).await.map(|stream| {
            let entity = stream.entity?;
            let document = shown::document(&subject, &entity, stream.seq)?;
            Some(if node_pages { shown::with_all_pages(document, &entity) } else { document })
        });
        loaded.inspect_err(|error| tracing::error!(%subject, %error, "left out of the view"))
    });
    stream::iter(loads).buffered(LOADS_MAX)
}

/// Writes the document of every stream, with the pages of its nodes when they are asked for; `seen` hears after each page how many streams were read.
///
/// # Errors
/// What keeps a store from answering, in words.
pub async fn rebuild_view(
    store: &dyn EventStore,
    view: &dyn View,
    (view_id, node_pages): (&str, bool),
    mut seen: impl FnMut(u64) + Send,
) -> Result<Rebuilt, String> {
    view.adopt(view_id, false).await.map_err(|error| error.to_string())?;
    let (mut rebuilt, mut streams) = (Rebuilt::default(), 0);
    for group in GroupId::all() {
        let mut after = None;
        loop {
            let subjects = store
                .subjects(group, after.clone(), SUBJECTS_PAGE)
                .await
                .map_err(|error| error.to_string())?;
            // What comes into being after this is shown by its driver: the walk does not run after it.
            let whole = subjects.len() < SUBJECTS_PAGE;
            let Some(last) = subjects.last().cloned() else { break };
            let (mut documents, mut pages) = (Vec::new(), 0);
            streams += subjects.len() as u64;
            let mut made = pin!(documents_of(store, subjects, node_pages));
            while let Some(document) = made.next().await {
                match document {
                    Ok(document) => {
                        rebuilt.documents += u64::from(document.is_some());
                        pages += document.as_ref().map_or(0, |document| document.nodes.len());
                        documents.extend(document);
                    }
                    Err(_) => rebuilt.left_out += 1,
                }
                if pages >= PAGES_MAX {
                    pages = 0;
                    let some = std::mem::take(&mut documents);
                    view.flush(some).await.map_err(|error| error.to_string())?;
                }
            }
            view.flush(documents).await.map_err(|error| error.to_string())?;
            fail_points::pass(Point::ViewRebuilt);
            seen(streams);
            if whole {
                break;
            }
            after = Some(last);
        }
    }
    fail_points::pass(Point::ViewRebuilt);
    view.sync().await.map_err(|error| error.to_string())?;
    view.adopt(view_id, true).await.map_err(|error| error.to_string())?;
    Ok(rebuilt)
}
