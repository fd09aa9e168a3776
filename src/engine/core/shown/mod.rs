//! What the view has been told of the subjects that are driven here, and what it must be told next.

mod document;
mod pages;
mod projection;

pub(crate) use self::document::{deleted_until, document};
pub(crate) use self::pages::with_all_pages;
pub(crate) use self::projection::{Committed, Projection, SlotView};
