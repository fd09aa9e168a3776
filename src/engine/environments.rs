//! Environments, as whoever makes and changes them sees the engine.

use std::sync::Arc;

use domain::environment::command::{Definition, EnvironmentCommand};
use domain::environment::state::EnvironmentState;
use domain::ids::{EnvironmentName, Namespace, SubjectId};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;

use crate::engine::core::entity::Entity;
use crate::engine::core::message::{Caller, Command, Request, Response, Shown};
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
        match self.0.ask(Request::Read { subject }).await?.into_read()? {
            Some(Shown::Environment(state)) => Ok(Some(*state).filter(|state| !state.deleted)),
            Some(Shown::Job(_)) | None => Ok(None),
        }
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
        let request = Request::Command {
            subject: subject.clone(),
            command: Command::Environment(command),
            caller,
        };
        let response = self.0.ask(request).await?;
        if let Response::Command { answer: Answer::Replayed { seq }, .. } = response {
            return match loader::load_at(self.0.store.as_ref(), &subject, seq).await? {
                Some(Entity::Environment(state)) => Ok(Changed { subject: *state, replayed: true }),
                Some(Entity::Job(_)) | None => Err(Refusal::EnvironmentNotFound.into()),
            };
        }
        if let Response::Command { shown: Some(Shown::Environment(state)), .. } = response {
            return Ok(Changed { subject: *state, replayed: false });
        }
        Err(response.not_asked_for())
    }
}
