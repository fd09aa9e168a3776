//! Which variants the arguments ask for, and how they change what a shape says.

use std::path::Path;
use std::time::Duration;

use crate::arguments::{LoadArgs, Shape};
use crate::failure::Failure;
use crate::shapes::{self, Common, Variant};
use crate::{document, wfformat};

/// Jobs that may be open when a schedule says when they are sent: a bound on the bench's memory alone.
const OPEN_MAX_ON_SCHEDULE: usize = 5_000_000;

/// What is to be run, in order.
///
/// # Errors
/// When a recorded workflow cannot be read, or says something that no job can mean.
pub(crate) fn of(args: &LoadArgs, common: &Common) -> Result<Vec<Variant>, Failure> {
    let variants = match &args.shape {
        Shape::Single => shapes::single(common),
        Shape::Chain => shapes::chain(common),
        Shape::Data => shapes::data(common),
        Shape::Fan => shapes::fan(common),
        Shape::Map => shapes::map(common),
        Shape::Dag => shapes::dag(common),
        Shape::Idle => shapes::idle(common),
        Shape::Aged { jobs } => shapes::aged(common, *jobs),
        Shape::All => [
            shapes::single(common),
            shapes::chain(common),
            shapes::fan(common),
            shapes::dag(common),
            shapes::idle(common),
        ]
        .concat(),
        Shape::Backlog { nodes, .. } => vec![shapes::backlog(common, *nodes)],
        Shape::Many { .. } => shapes::many(common, "empty"),
        Shape::Wfformat { file, scale, jobs } => {
            vec![recorded(common, file, *scale, usize::from(*jobs))?]
        }
    };
    Ok(adjusted(variants, args))
}

/// The variants of `many`, named after what they run beside.
pub(crate) fn many(common: &Common, beside: &str, args: &LoadArgs) -> Vec<Variant> {
    adjusted(shapes::many(common, beside), args)
}

/// The variant of so many ready nodes. Connections, workers and leases are its own.
pub(crate) fn backlog(common: &Common, nodes: usize, args: &LoadArgs) -> Variant {
    let mut variant = shapes::backlog(common, nodes);
    adjust(&mut variant, args, "requests/s");
    variant
}

/// Variants as the arguments want them.
fn adjusted(mut variants: Vec<Variant>, args: &LoadArgs) -> Vec<Variant> {
    for variant in &mut variants {
        adjust(variant, args, "jobs/s");
        if args.rate.is_some() {
            // The schedule alone says when a job is sent.
            variant.open_max = OPEN_MAX_ON_SCHEDULE;
        }
        if let Some(connections) = args.connections {
            variant.connections = usize::from(connections);
        }
        if let Some(workers) = args.workers {
            variant.workers = usize::from(workers);
        }
        if let Some(max) = args.lease_max {
            variant.lease_max = usize::from(max);
        }
    }
    variants
}

/// What the arguments say about any variant; `unit` is what its rate counts.
fn adjust(variant: &mut Variant, args: &LoadArgs, unit: &str) {
    if let Some(rate) = args.rate {
        variant.every = Some(Duration::from_secs_f64(1.0 / rate));
        variant.name = format!("{}, {rate} {unit}", variant.name);
    }
    if args.fail > 0.0 {
        variant.name = format!("{}, {} % fail", variant.name, args.fail * 100.0);
    }
}

fn recorded(common: &Common, file: &Path, scale: f64, jobs: usize) -> Result<Variant, Failure> {
    let failed = |cause: String| Failure::Failed(format!("{}: {cause}", file.display()));
    let bytes = document::read(file).map_err(|cause| failed(cause.to_string()))?;
    let workflow =
        wfformat::job_of(&bytes, &common.queue).map_err(|cause| failed(cause.to_string()))?;
    shapes::recorded(common, &workflow, scale, jobs).map_err(failed)
}
