//! One document of a view, which the contract gives by the hundred only.

use domain::ids::SubjectId;
use orrery::view::contract::{Document, View, ViewResult};

/// Any view.
pub(crate) trait One: View {
    /// Its document.
    async fn get(&self, subject: &SubjectId) -> ViewResult<Option<Document>> {
        Ok(self.documents(std::slice::from_ref(subject)).await?.pop().flatten())
    }
}

impl<T: View + ?Sized> One for T {}
