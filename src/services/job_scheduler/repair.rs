//! From changes of a node as asked for to a checked command: bounds, and the policy that they name as it is now.

use domain::ids::{JobId, Namespace};
use domain::job::check::{check_node_patch, node_patch_policies};
use domain::job::command::JobCommand;
use domain::job::repair::NodePatchSpec;
use domain::refusal::Refusal;
use domain::retry::named::NamedPolicies;

use super::JobScheduler;
use crate::engine::core::message::Caller;
use crate::services::lifecycle::{EngineCallError, correlation_of};

/// Changes of a node that has not run, as asked for.
#[derive(Debug)]
pub struct RepairRequest {
    pub job: JobId,
    /// Its key, or its path in its groups.
    pub node: String,
    pub spec: NodePatchSpec,
    /// For the history.
    pub reason: Option<String>,
}

impl JobScheduler {
    /// Changes a node that has not run.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong, other refusals, and what keeps the engine from answering.
    pub async fn change_node(
        &self,
        namespace: &Namespace,
        request: RepairRequest,
        caller: Caller,
    ) -> Result<(), EngineCallError> {
        let correlation = correlation_of(&caller);
        let RepairRequest { job, node, spec, reason } = request;
        let work = Box::pin(async {
            let references = node_patch_policies(&spec);
            let named = if references.is_empty() {
                NamedPolicies::default()
            } else {
                let catalog = self.engine.catalogs().now(namespace).await?;
                NamedPolicies::of(&references, |text| catalog.as_ref()?.named(text))
            };
            let checked = check_node_patch(spec, reason.as_deref(), &self.check_settings(), &named);
            let patch = Box::new(checked.map_err(Refusal::Invalid)?);
            let command = JobCommand::PatchNode { node, patch, reason };
            self.engine.jobs().command(namespace, job, command, caller).await
        });
        self.operate("change_node", &correlation, work).await?;
        Ok(())
    }
}
