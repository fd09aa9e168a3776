//! The binary: hands the arguments to `cli` and turns the result into an exit code.

fn main() {}
