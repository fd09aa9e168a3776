//! What groups have of their own: members written out or made from a list, how many of them work at once, and when they
//! are enough. Absent: the rules about members among each other, which the domain checks.

use domain::job::spec::CompleteWhen;
use domain::node::spec::{GroupSpec, MembersSpec, NodeSpec};
use domain::refusal::FieldError;
use serde_json::value::RawValue;

use super::list::{MemberTemplate, Members};
use crate::http::schemas::complete_when::CompleteWhenBody;
use crate::http::schemas::payload;

/// What a body says of a group.
#[derive(Debug)]
pub(super) struct GroupFields {
    pub(super) nodes: Option<Box<Members>>,
    pub(super) for_each: Option<Box<RawValue>>,
    pub(super) template: Option<Box<MemberTemplate>>,
    pub(super) max_parallel: Option<u32>,
    pub(super) complete_when: Option<CompleteWhenBody>,
}

impl GroupFields {
    /// The domain's unchecked group. `at` is where its node stands in the body.
    pub(super) fn into_spec(self, at: &str, errors: &mut Vec<FieldError>) -> GroupSpec {
        let complete_when = self.complete_when.map_or(CompleteWhen::All, |body| {
            body.into_rule(&format!("{at}/complete_when"), errors)
        });
        let nodes = self.nodes.map(|nodes| nodes.0.into_specs(&format!("{at}/nodes"), errors));
        let template =
            self.template.map(|template| template.into_spec(&format!("{at}/template"), errors));
        if let Some(list) = &self.for_each {
            check_list(list, &format!("{at}/for_each"), errors);
        }
        GroupSpec {
            members: members(nodes, self.for_each, template, at, errors),
            max_parallel: self.max_parallel,
            complete_when,
        }
    }
}

/// Either `nodes`, or `for_each` and `template`.
fn members(
    nodes: Option<Vec<NodeSpec>>,
    for_each: Option<Box<RawValue>>,
    template: Option<NodeSpec>,
    at: &str,
    errors: &mut Vec<FieldError>,
) -> MembersSpec {
    let mut wrong = |field: &str, code, message| {
        errors.push(FieldError::new(format!("{at}/{field}"), code, message));
    };
    match (nodes, for_each, template) {
        (Some(nodes), None, None) => MembersSpec::Nodes(nodes),
        (None, Some(list), Some(template)) => {
            let list = payload::on_one_line(list);
            MembersSpec::ForEach { list, template: Box::new(template) }
        }
        (None, Some(_), None) => {
            wrong("template", "required", "is required with for_each");
            MembersSpec::Nodes(Vec::new())
        }
        (None, None, Some(_)) => {
            wrong("for_each", "required", "is required with template");
            MembersSpec::Nodes(Vec::new())
        }
        (None, None, None) => {
            wrong("nodes", "required", "is required, or for_each with template");
            MembersSpec::Nodes(Vec::new())
        }
        (Some(nodes), for_each, _) => {
            let field = if for_each.is_some() { "for_each" } else { "template" };
            wrong(field, "invalid_value", "cannot stand beside nodes");
            MembersSpec::Nodes(nodes)
        }
    }
}

/// What is neither a list nor a text can never become a list.
fn check_list(list: &RawValue, at: &str, errors: &mut Vec<FieldError>) {
    if !list.get().starts_with(['[', '"']) {
        let message = "must be an array, or a text that is one expression, whose value is a list";
        errors.push(FieldError::new(at, "wrong_type", message));
        return;
    }
    payload::check(Some(list), at, errors);
}
