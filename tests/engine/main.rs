//! The one integration binary: the engine with real storage, one module an area.

#![expect(clippy::expect_used, reason = "a test that cannot go on says why")]

mod api;
mod crash;
mod engine;
mod forwarding;
mod harness;
mod real;
mod services;
mod simulation;
mod storage;
