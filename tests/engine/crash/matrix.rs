//! The matrix: every fail point, some n-th times, and what happens to the files meanwhile. A short draw of it runs with
//! every test run; `scripts/soak` runs it whole.

use futures_util::StreamExt as _;
use futures_util::stream;
use orrery::environment::fail_points::Point;

use super::load::{HEAVY, SMALL, Size, WHOLE};
use super::matrix_cell::{self, Between};

/// Cells at once: more than that only wait for one another.
const AT_ONCE: usize = 3;

/// How a point is reached.
enum Way {
    /// By the ordinary load.
    Load,
    /// By a load that fills a WAL.
    Heavy,
    /// By what only several engines or a retention do; `apart` drives it.
    Apart,
}

fn way(point: Point) -> Way {
    use Point as P;
    match point {
        P::CheckpointWoken
        | P::CheckpointBegin
        | P::CheckpointDone
        | P::CheckpointFollow
        | P::CheckpointFollowed => Way::Heavy,
        P::NoticesWritten
        | P::NoticesDeleted
        | P::StreamDeleted
        | P::AppendNotice
        | P::Noticed
        | P::ClearNotices
        | P::NoticesCleared => Way::Apart,
        _ => Way::Load,
    }
}

pub(super) fn is_apart(point: Point) -> bool {
    matches!(way(point), Way::Apart)
}

fn size_of(point: Point, small: Size) -> Option<Size> {
    match way(point) {
        Way::Load => Some(small),
        Way::Heavy => Some(HEAVY),
        Way::Apart => None,
    }
}

/// The whole matrix takes long: what is broken is told at once.
#[expect(clippy::print_stderr, reason = "a long test says what it has found")]
fn tell(what: &str) {
    eprintln!("cell: {what}");
}

async fn all(cells: Vec<(Point, u32, Between, Size)>) -> Vec<String> {
    let ran = stream::iter(cells.into_iter().map(|(point, time, between, size)| async move {
        let armed = format!("{}:{time}", point.name());
        let reached =
            tokio::spawn(async move { (matrix_cell::run(&armed, between, size).await, armed) });
        match reached.await {
            Ok((true, _)) => None,
            Ok((false, armed)) => (time == 1).then(|| format!("{armed} was not reached")),
            Err(error) => {
                let what = format!("{}:{time} {between:?}: {error}", point.name());
                tell(&what);
                Some(what)
            }
        }
    }));
    ran.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_aborted_at_a_point_goes_on_to_a_right_end() {
    let mut cells = Vec::new();
    for &point in Point::ALL {
        // Filling a WAL takes seconds: the last of its points stands for those that are passed on the way.
        let is_passed_on_the_way =
            matches!(way(point), Way::Heavy) && point != Point::CheckpointFollowed;
        if let Some(size) = size_of(point, SMALL).filter(|_| !is_passed_on_the_way) {
            cells.push((point, 1, Between::Nothing, size));
        }
    }
    let broken = all(cells).await;
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Never part of a usual run: `scripts/test` passes them over by this name.
mod by_hand {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "minutes: run by scripts/soak"]
    async fn the_whole_crash_matrix_goes_on_to_a_right_end() {
        let mut cells = Vec::new();
        for between in [
            Between::Nothing,
            Between::ViewBehind,
            Between::ViewDeleted,
            Between::UnsyncedForgotten,
        ] {
            for &point in Point::ALL {
                let Some(size) = size_of(point, WHOLE) else { continue };
                for time in [1, 3, 17, 90] {
                    cells.push((point, time, between, size));
                }
            }
        }
        let broken = all(cells).await;
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    /// One cell: `ORRERY_CELL=write.committed:3 cargo test --test engine -- --ignored --exact
    /// crash::matrix::by_hand::one_cell`.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "a cell by hand: ORRERY_CELL=NAME:N[,view_behind|view_deleted|unsynced_forgotten]"]
    async fn one_cell() {
        let text = std::env::var_os("ORRERY_CELL").expect("ORRERY_CELL names a cell");
        let text = text.to_string_lossy().into_owned();
        let (armed, between) = text.split_once(',').unwrap_or((&text, ""));
        let between = match between {
            "view_behind" => Between::ViewBehind,
            "view_deleted" => Between::ViewDeleted,
            "unsynced_forgotten" => Between::UnsyncedForgotten,
            _ => Between::Nothing,
        };
        let point =
            Point::ALL.iter().find(|point| armed.starts_with(&format!("{}:", point.name())));
        let size = size_of(*point.expect("a point"), WHOLE).expect("a point of the product");
        assert!(matrix_cell::run(armed, between, size).await, "{armed} was not reached");
    }
}
