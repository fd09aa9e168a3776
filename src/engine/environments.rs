//! Environments, as whoever makes and changes them sees the engine.

use std::sync::Arc;

use domain::environment::command::{Definition, EnvironmentCommand};
use domain::environment::state::EnvironmentState;
use domain::ids::{EnvironmentName, Namespace, SubjectId};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;

use crate::engine::core::kinds::InTable;
use crate::engine::core::message::{Caller, Request, Response};
use crate::engine::error::EngineError;
use crate::engine::jobs::Changed;
use crate::engine::loader;
use crate::engine::shared::Shared;

/// The environments of an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Environments(pub(super) Arc<Shared>);

impl Environments {
    /// An environment as its driver has it; none where there is none. `default` has no stream.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn get(
        &self,
        namespace: &Namespace,
        name: &EnvironmentName,
    ) -> Result<Option<EnvironmentState>, EngineError> {
        let subject = SubjectId::environment(namespace.clone(), name);
        let shown = self.0.ask(Request::Read { subject }).await?.into_read()?;
        Ok(shown.and_then(EnvironmentState::from_shown).filter(|state| !state.deleted))
    }

    /// Makes an environment.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn define(
        &self,
        namespace: &Namespace,
        name: &EnvironmentName,
        definition: Definition,
        caller: Caller,
    ) -> Result<Changed<EnvironmentState>, EngineError> {
        let command = EnvironmentCommand::Define {
            namespace: namespace.clone(),
            name: name.clone(),
            definition,
        };
        self.change(namespace, name, command, caller).await
    }

    /// Changes or deletes an environment.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn change(
        &self,
        namespace: &Namespace,
        name: &EnvironmentName,
        command: EnvironmentCommand,
        caller: Caller,
    ) -> Result<Changed<EnvironmentState>, EngineError> {
        let subject = SubjectId::environment(namespace.clone(), name);
        let request =
            Request::Command { subject: subject.clone(), command: command.into(), caller };
        let response = self.0.ask(request).await?;
        if let Response::Command { answer: Answer::Replayed { seq }, .. } = response {
            let first = loader::load_at(self.0.store.as_ref(), &subject, seq).await?;
            let state = first.and_then(EnvironmentState::from_entity);
            let state = state.ok_or(Refusal::EnvironmentNotFound)?;
            return Ok(Changed { subject: state, replayed: true });
        }
        match response.into_shown::<EnvironmentState>() {
            Ok(state) => Ok(Changed { subject: state, replayed: false }),
            Err(response) => Err(response.not_asked_for()),
        }
    }
}
