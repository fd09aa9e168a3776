//! What is asked of environments: the part of the handle that concerns them.

use domain::environment::command::{Definition, EnvironmentCommand};
use domain::environment::state::EnvironmentState;
use domain::ids::{EnvironmentName, Namespace, SubjectId};
use domain::refusal::Refusal;
use domain::subject::answer::Answer;

use crate::engine::core::entity::Entity;
use crate::engine::core::message::{Caller, Command, Request, Response, Shown};
use crate::engine::handle::{Changed, Engine, EngineError};
use crate::engine::loader;

impl Engine {
    /// An environment as its driver has it; none where there is none. `default` has no stream.
    ///
    /// # Errors
    /// What keeps the engine from answering.
    pub async fn environment(
        &self,
        namespace: &Namespace,
        name: &EnvironmentName,
    ) -> Result<Option<EnvironmentState>, EngineError> {
        let subject = SubjectId::environment(namespace.clone(), name);
        match self.ask(Request::Read { subject }).await?.into_read()? {
            Some(Shown::Environment(state)) => Ok(Some(*state).filter(|state| !state.deleted)),
            Some(Shown::Job(_)) | None => Ok(None),
        }
    }

    /// Makes an environment.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn define_environment(
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
        self.change_environment(namespace, name, command, caller).await
    }

    /// Changes or deletes an environment.
    ///
    /// # Errors
    /// Refusals of the rules, and what keeps the engine from answering.
    pub async fn change_environment(
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
        match self.ask(request).await? {
            Response::Command { answer: Answer::Replayed { seq }, .. } => {
                match loader::load_at(self.store.as_ref(), &subject, seq).await? {
                    Some(Entity::Environment(state)) => {
                        Ok(Changed { subject: *state, replayed: true })
                    }
                    Some(Entity::Job(_)) | None => Err(Refusal::EnvironmentNotFound.into()),
                }
            }
            Response::Command { shown: Some(Shown::Environment(state)), .. } => {
                Ok(Changed { subject: *state, replayed: false })
            }
            other @ (Response::Command { .. }
            | Response::Refused(_)
            | Response::Failed(_)
            | Response::Leases(_)
            | Response::Heartbeat { .. }
            | Response::Read(_)
            | Response::Queues { .. }
            | Response::Workers { .. }
            | Response::Inspection(_)) => Err(other.not_asked_for()),
        }
    }
}
