//! Pages of a job's nodes and history, and what they can be asked for. Absent: nodes and rows themselves, which
//! `services::queries` makes.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::http::page::PageInfo;
use crate::services::queries::{HistoryRow, NodeAnswer};
use crate::view::resources::words::NodeStatusWord;

/// A page of nodes, in the order of the submission.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeList)]
pub struct NodeListAnswer {
    /// The rows of this page, in the order of the list.
    pub nodes: Vec<NodeAnswer>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// A page of history, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryList)]
pub struct HistoryListAnswer {
    /// The rows of this page, in the order of the list.
    pub events: Vec<HistoryRow>,
    #[serde(flatten)]
    pub page: PageInfo,
}

/// What a list of nodes can be asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NodeListParameters {
    /// Any of these states; with commas, or repeated.
    #[param(nullable = false, style = Form, explode = false)]
    pub status: Option<Vec<NodeStatusWord>>,
    /// What their paths begin with: `each[` are the members of the group `each` and what is in them.
    #[param(nullable = false, max_length = 800)]
    pub path_prefix: Option<String>,
}

/// What a history can be asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryParameters {
    /// `json` for pages of rows; `ndjson` for the whole export, which verifies.
    #[param(nullable = false, pattern = "^(json|ndjson)$", default = "json")]
    pub format: Option<String>,
    /// Counted from 1.
    #[param(minimum = 1, default = 1, nullable = false)]
    pub page: Option<u32>,
    /// Rows of a page; page * page_size goes to 10,000, the cursor goes on.
    #[param(minimum = 1, maximum = 1_000, default = 50, nullable = false)]
    pub page_size: Option<u32>,
    /// The next_cursor of an earlier page.
    #[param(nullable = false)]
    pub cursor: Option<String>,
}
