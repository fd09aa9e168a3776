//! `data`: the jobs of `chain`, in which each node's input reads the output of the one before it.

use serde_json::json;

use super::super::wire::JobText;
use super::chain::one_and_fifty;
use super::{Common, Variant};

/// Nodes of a chain.
const NODES: usize = 100;

/// The variants, the hardest first.
pub(crate) fn data(common: &Common) -> Vec<Variant> {
    let key = |position: usize| format!("s{position}");
    let nodes = (0..NODES).map(|position| match position.checked_sub(1).map(key) {
        None => common.node(&key(position), &[]),
        Some(before) => {
            let read = format!("${{{{ nodes.{before}.output.ok }}}}");
            let mut node = common.node(&key(position), &[before]);
            node["input"] = json!({ "job": JobText::number(), "ok": read });
            node
        }
    });
    one_and_fifty("data", common.job("bench-data", &nodes.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::common;
    use super::*;

    #[test]
    fn each_node_reads_the_one_before_it() {
        let mut text = Vec::new();
        data(&common())[0].job.write(7, &mut text);
        let job: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        assert_eq!(
            job["nodes"][2]["input"],
            json!({ "job": 7, "ok": "${{ nodes.s1.output.ok }}" })
        );
        assert_eq!(job["nodes"][2]["depends_on"], json!(["s1"]));
    }
}
