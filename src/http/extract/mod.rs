//! What handlers take out of a request, each refusing with a problem of its own: JSON bodies (`json`, `depth`,
//! `batch`, `bounded`, `rules`, `pointer`, `parsers`), query parameters (`query`), path ids (`path`) and headers (`headers`).
//! Always holds: nothing unknown is passed over in silence, and no rejection of a library reaches a caller.

pub mod batch;
pub mod bounded;
mod depth;
pub mod headers;
pub mod json;
mod parsers;
pub mod path;
pub(crate) mod pointer;
pub mod query;
mod ranges;
pub(crate) mod rules;
