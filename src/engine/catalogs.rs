//! Catalogs, as whoever makes, changes and uses what they keep sees the engine.

use std::sync::Arc;

use domain::catalog::command::CatalogCommand;
use domain::catalog::paused::{CatalogPause, PauseTarget};
use domain::catalog::policy::CatalogPolicy;
use domain::catalog::state::CatalogState;
use domain::ids::{Namespace, PolicyId, SubjectId};
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

    /// A namespace's catalog as it is, or was within the last second.
    ///
    /// # Errors
    /// What keeps the store from answering, and `Damaged`.
    pub async fn recent(
        &self,
        namespace: &Namespace,
    ) -> Result<Option<Arc<CatalogState>>, EngineError> {
        let (catalogs, now) = (&self.0.catalogs, self.0.now());
        if let Some(known) = catalogs.recent(namespace, now) {
            return Ok(known);
        }
        let read = self.now(namespace).await?;
        catalogs.was_read(namespace, now, read.clone());
        Ok(read)
    }

    /// Makes, replaces or deletes a policy. Answers the policy as it was right after that, none where it is deleted.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn change(
        &self,
        namespace: &Namespace,
        policy: PolicyId,
        command: CatalogCommand,
        caller: Caller,
    ) -> Result<Changed<Option<Arc<CatalogPolicy>>>, EngineError> {
        let changed = self.commanded(namespace, command, caller).await?;
        let state = changed.subject.ok_or(Refusal::RetryPolicyNotFound)?;
        Ok(Changed { subject: state.policy(policy).map(Arc::clone), replayed: changed.replayed })
    }

    /// Pauses or resumes something. Answers the pause that holds right after that, if one does.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn steer(
        &self,
        namespace: &Namespace,
        target: &PauseTarget,
        command: CatalogCommand,
        caller: Caller,
    ) -> Result<Option<Arc<CatalogPause>>, EngineError> {
        let state = self.commanded(namespace, command, caller).await?.subject;
        Ok(state.and_then(|state| state.pauses.get(target).map(Arc::clone)))
    }

    /// The catalog right after a command; none where nothing was ever kept.
    async fn commanded(
        &self,
        namespace: &Namespace,
        command: CatalogCommand,
        caller: Caller,
    ) -> Result<Changed<Option<CatalogState>>, EngineError> {
        let subject = SubjectId::catalog(namespace.clone());
        let request =
            Request::Command { subject: subject.clone(), command: command.into(), caller };
        let response = self.0.ask(request).await?;
        self.0.catalogs.changed(namespace);
        if let Response::Command { answer: Answer::Replayed { seq }, .. } = response {
            let first = loader::load_at(self.0.store.as_ref(), &subject, seq).await?;
            let state = first.and_then(CatalogState::from_entity);
            return Ok(Changed { subject: state, replayed: true });
        }
        if matches!(response, Response::Command { answer: Answer::Done { seq: 0 }, .. }) {
            return Ok(Changed { subject: None, replayed: false });
        }
        let shown = response.into_shown::<CatalogState>();
        let state = shown.map_err(Response::not_asked_for)?;
        Ok(Changed { subject: Some(state), replayed: false })
    }
}
