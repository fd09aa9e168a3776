//! When calls to a target are held back because too many of them fail (binding: `retry-and-failures.md`, the rows of
//! breakers). Pure rules over settings, a state and the time; who keeps the state, and for which target, is not decided here.

pub mod check;
pub mod machine;
pub mod preview;
pub mod settings;
pub mod status;
pub mod trials;
pub mod window;
