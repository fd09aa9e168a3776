//! The binary: hands the arguments to `cli` and turns the result into an exit code.

use std::process::ExitCode;

/// Many small, short-lived values (events, requests) are what this program allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    orrery::cli::main()
}
