//! Lists of what the living engines know by name: queues and workers.

use std::fmt::Display;

use domain::ids::Millis;

use crate::engine::cluster_queries::Everywhere;
use crate::engine::core::message::Names;
use crate::http::page::{NamedRequest, PAGED_ITEMS_MAX, PageInfo, TotalCount};

/// The names to ask the engines for.
pub(super) fn names_of(asked: &NamedRequest) -> Names {
    Names::part(asked.after(), asked.wanted())
}

/// The page of what they found, the engines that did not say, and what the list says about itself.
pub(super) fn page_of<T, N: Display>(
    asked: &NamedRequest,
    found: Everywhere<T>,
    name: impl Fn(&T) -> N,
    as_of: Millis,
) -> (Vec<T>, Vec<u32>, PageInfo) {
    let total = if found.is_exact {
        TotalCount::of(found.known)
    } else {
        TotalCount::AtLeast(found.known.min(u64::from(PAGED_ITEMS_MAX)))
    };
    let (facts, page) = asked.cut(found.facts, name, total, as_of);
    (facts, found.silent, page)
}
