//! The rules of a job held against a naive model: random graphs, random options, random commands (`walk`), what each
//! state must look like when every parent is read anew (`model`), named cases (`cases`, `explains`), and jobs at the bounds
//! (`large`). No clock and no chance but proptest's seed.

mod build;
mod cases;
mod explains;
mod large;
mod model;
mod walk;
