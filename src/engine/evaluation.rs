//! Evaluating expressions beside the committer: what they read is fetched first, then everything is evaluated. The rules
//! are the domain's; this is where the payloads come from.
//! Always holds: an answer comes back, or an error of the store; what has no value is an answer. Hazard: an evaluation
//! keeps its thread busy, so it lets others go first now and then.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::SubjectId;
use domain::job::flow::{Evaluated, EvaluationOrder, Evaluator};
use domain::payload::StoredPayload;

use crate::event_store::contract::{EventStore, EventStoreError};

/// Nodes that are evaluated before others may use the thread.
const NODES_AT_ONCE: usize = 50;

/// What is found for each node of an order.
///
/// # Errors
/// The store does not answer, or lacks a payload that the order names.
pub async fn evaluate(
    store: &dyn EventStore,
    subject: &SubjectId,
    order: &EvaluationOrder,
) -> Result<Vec<Evaluated>, EventStoreError> {
    let wanted = order.stored();
    if let Some(refused) = order.refused(&wanted) {
        return Ok(refused);
    }
    let hashes: Vec<[u8; 32]> = wanted.iter().map(|payload| payload.sha256.0).collect();
    let mut texts: BTreeMap<[u8; 32], Arc<str>> = BTreeMap::new();
    if !hashes.is_empty() {
        let found = store.payloads(subject, &hashes).await?;
        for (hash, bytes) in hashes.iter().zip(found) {
            let text = bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok().map(Arc::from));
            let text = text.ok_or_else(|| EventStoreError::Damaged {
                subject: subject.to_string(),
                reason: "a payload that an expression reads is missing".to_owned(),
            })?;
            texts.insert(*hash, text);
        }
    }
    let mut load = |payload: &StoredPayload| texts.get(&payload.sha256.0).cloned();
    let mut evaluator = Evaluator::new(order, &mut load);
    let mut results = Vec::with_capacity(order.nodes.len());
    for nodes in order.nodes.chunks(NODES_AT_ONCE) {
        // All that an order names was fetched: nothing is missing.
        results.extend(nodes.iter().filter_map(|node| evaluator.evaluate(node).ok()));
        tokio::task::yield_now().await;
    }
    Ok(results)
}
