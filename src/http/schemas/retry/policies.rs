//! Retry policies of the catalog, as they are created, replaced and listed. Absent: the rules, which the domain checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::bounds;
use domain::catalog::policy::{CheckedDefinition, PolicyDefinition};
use domain::exact_json::ExactJson;
use domain::ids::PolicyName;
use domain::refusal::FieldError;
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::{PolicyFields, with_policy_fields};
use super::rules::{ClassifyBody, RuleBody, WindowBody};
use super::{ExhaustedWord, JitterBody, StrategyWord};
use crate::http::extract::bounded;
use crate::http::page::PageInfo;
use crate::http::schemas::later::Later;
use crate::view::resources::retry_policy::RetryPolicyResource;

/// A body with what the catalog keeps of a policy behind the fields of its own.
macro_rules! with_catalog_fields {
    ($(#[$about:meta])* $body:ident { $($own:tt)* }) => {
        with_policy_fields! {
            $(#[$about])*
            $body {
                $($own)*
                /// Free text that only people read.
                #[schema(max_length = 1_000)]
                description: Option<String>,
                /// For people and filters; each 1-50 characters, all different.
                #[serde(default, deserialize_with = "bounded::list::<{ bounds::TAGS_MAX }, _, _>")]
                #[schema(max_items = 20)]
                tags: Vec<String>,
                /// Small facts; keys `[a-z0-9._/-]{1,63}`.
                #[serde(default, deserialize_with = "bounded::values")]
                #[schema(value_type = BTreeMap<String, serde_json::Value>)]
                metadata: BTreeMap<String, ExactJson>,
                /// Types of jobs that get it where neither they nor a node say anything: exact, or with a `*` at the end. Of
                /// several policies the one that was created first.
                #[serde(default, deserialize_with = "bounded::list::<{ bounds::POLICY_LIST_MAX }, _, _>")]
                #[schema(max_items = 100)]
                applicable_job_types: Vec<String>,
            }
        }

        impl $body {
            /// The checked definition. `errors`: what is wrong with the fields of its own.
            fn define(
                mut self,
                errors: Vec<FieldError>,
            ) -> Result<CheckedDefinition, Vec<FieldError>> {
                let about = PolicyAbout {
                    description: self.description.take(),
                    tags: std::mem::take(&mut self.tags),
                    metadata: std::mem::take(&mut self.metadata),
                    applicable_job_types: std::mem::take(&mut self.applicable_job_types),
                };
                about.with(self.into(), errors)
            }
        }
    };
}

with_catalog_fields! {
    /// A retry policy under a name.
    #[schema(as = CreateRetryPolicy)]
    CreatePolicyBody {
        /// Names it inside its namespace; no UUID, no spaces around it.
        #[schema(min_length = 1, max_length = 255, examples("flaky http"))]
        name: String,
    }
}

with_catalog_fields! {
    /// A retry policy anew. What is left out is as if it were created without.
    #[schema(as = ReplaceRetryPolicy)]
    ReplacePolicyBody {
        /// A policy keeps its name: it may be left out.
        #[schema(min_length = 1, max_length = 255, nullable = false)]
        name: Option<String>,
    }
}

/// The retry policies of a namespace, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetryPolicyList)]
pub struct PolicyListAnswer {
    /// The rows of this page, in the order of the list.
    pub retry_policies: Vec<RetryPolicyResource>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// What is said about a policy beside its fields.
struct PolicyAbout {
    description: Option<String>,
    tags: Vec<String>,
    metadata: BTreeMap<String, ExactJson>,
    applicable_job_types: Vec<String>,
}

impl PolicyAbout {
    /// The checked definition.
    fn with(
        self,
        fields: PolicyFields,
        mut errors: Vec<FieldError>,
    ) -> Result<CheckedDefinition, Vec<FieldError>> {
        let policy = Arc::new(fields.into_policy("", &mut errors));
        let Self { description, tags, metadata, applicable_job_types } = self;
        let definition =
            PolicyDefinition { description, tags, metadata, applicable_job_types, policy };
        match CheckedDefinition::check(definition) {
            Ok(checked) if errors.is_empty() => Ok(checked),
            Ok(_) => Err(errors),
            Err(wrong) => {
                errors.extend(wrong);
                Err(errors)
            }
        }
    }
}

impl CreatePolicyBody {
    /// The name and the checked definition.
    pub fn into_definition(self) -> Result<(PolicyName, CheckedDefinition), Vec<FieldError>> {
        let name = PolicyName::parse_given(&self.name);
        let errors = name.as_ref().err().map(|error| FieldError::id("/name", error));
        let definition = self.define(errors.into_iter().collect())?;
        name.map(|name| (name, definition)).map_err(|error| vec![FieldError::id("/name", &error)])
    }
}

impl ReplacePolicyBody {
    /// The checked definition, of a policy of which `is_named` says whether this is its name.
    pub fn into_definition(
        mut self,
        is_named: impl FnOnce(&str) -> bool,
    ) -> Result<CheckedDefinition, Vec<FieldError>> {
        let another = self.name.take().filter(|name| !is_named(name));
        let errors = another.map(|_| {
            FieldError::new("/name", "contradiction", "must be the policy's name, which it keeps")
        });
        self.define(errors.into_iter().collect())
    }
}
