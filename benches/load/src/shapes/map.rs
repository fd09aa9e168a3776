//! `map`: a group that goes over 10,000 items, each a node that gets its item; one job at a time, and four.

use serde_json::json;

use super::super::wire::JobText;
use super::fan::one_and_four;
use super::{Common, Variant};

/// Items of the list.
const ITEMS: usize = 10_000;

/// The variants, the hardest first.
pub(crate) fn map(common: &Common) -> Vec<Variant> {
    let items: Vec<usize> = (0..ITEMS).collect();
    let group = json!({
        "key": "each", "type": "parallel_group", "for_each": items,
        "template": {
            "queue": common.queue,
            "input": { "job": JobText::number(), "item": "${{ item }}" },
        },
    });
    let job = common.job("bench-map", &[group]).with_steps(ITEMS);
    one_and_four("map", &format!("{ITEMS} items"), job)
}

#[cfg(test)]
mod tests {
    use super::super::tests::common;
    use super::*;

    #[test]
    fn a_map_has_a_step_for_each_item() {
        let variants = map(&common());
        assert_eq!(variants[0].job.steps(), ITEMS);
        let mut text = Vec::new();
        variants[0].job.write(3, &mut text);
        let job: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        assert_eq!(job["nodes"][0]["for_each"].as_array().map(Vec::len), Some(ITEMS));
        assert_eq!(job["nodes"][0]["template"]["input"]["job"], 3);
    }
}
