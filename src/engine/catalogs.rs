//! Catalogs, as whoever makes, changes and uses what they keep sees the engine.

use std::sync::Arc;

use domain::catalog::command::CatalogCommand;
use domain::catalog::policy::CatalogPolicy;
use domain::catalog::state::CatalogState;
use domain::ids::{Namespace, SubjectId};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;

use crate::engine::core::kinds::InTable;
use crate::engine::core::message::{Caller, Request, Response};
use crate::engine::error::EngineError;
use crate::engine::jobs::Changed;
use crate::engine::loader;
use crate::engine::shared::Shared;

/// The catalogs of an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalogs(pub(super) Arc<Shared>);

impl Catalogs {
    /// A namespace's catalog as it is now; none where nothing was ever kept.
    ///
    /// # Errors
    /// What keeps the store from answering, and `Damaged`.
    pub async fn now(
        &self,
        namespace: &Namespace,
    ) -> Result<Option<Arc<CatalogState>>, EngineError> {
        Ok(self.0.catalogs.now(self.0.store.as_ref(), namespace).await?)
    }

    /// Makes, replaces or deletes a policy. Answers the policy as it was right after that, none where it is deleted.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn change(
        &self,
        namespace: &Namespace,
        command: CatalogCommand,
        caller: Caller,
    ) -> Result<Changed<Option<Arc<CatalogPolicy>>>, EngineError> {
        let (subject, policy) = (SubjectId::catalog(namespace.clone()), command.policy());
        let request =
            Request::Command { subject: subject.clone(), command: command.into(), caller };
        let response = self.0.ask(request).await?;
        let (state, replayed) =
            if let Response::Command { answer: Answer::Replayed { seq }, .. } = response {
                let first = loader::load_at(self.0.store.as_ref(), &subject, seq).await?;
                let state = first.and_then(CatalogState::from_entity);
                (state.ok_or(Refusal::RetryPolicyNotFound)?, true)
            } else {
                let shown = response.into_shown::<CatalogState>();
                (shown.map_err(Response::not_asked_for)?, false)
            };
        Ok(Changed { subject: state.policy(policy).map(Arc::clone), replayed })
    }
}
