# `just` alone lists the recipes; `just verify` is what CI runs.

_list:
    @just --list --unsorted

# Types and borrows, the quickest answer.
check:
    cargo check --workspace --all-targets

# Every test, with one line of sums at the end.
test *ARGS:
    scripts/test {{ ARGS }}

# The laws of the tree only (std, no engine).
laws:
    cargo test --test architecture --test repository

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The document of the API, as served at /openapi.json.
openapi:
    cargo run --quiet -- openapi

# Tests over and over, with fresh draws.
soak MINUTES="60":
    scripts/soak {{ MINUTES }}

# Everything CI runs, in the same order.
verify:
    bash .ci/run
