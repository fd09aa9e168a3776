//! The conformance suite of views. Each case is a sentence about the contract; `each_view!` runs it against every
//! implementation. Lists are compared with a naive walk over the same documents.

use std::sync::Arc;

use domain::ids::{EnvironmentName, SubjectId, SubjectKind};
use orrery::view::contract::{
    Columns, Document, JobColumns, JobQuery, JobSort, Page, PageStart, TOTAL_COUNTED_MAX, Total,
    View,
};
use orrery_testing::view::every_job;
use uuid::Uuid;

use super::samples::{NOW, job, job_in, namespace};

use crate::harness::view_document::One as _;

macro_rules! each_view {
    ($($case:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $case() {
                super::$case(&orrery_testing::view::MemoryView::default()).await;
            })+
        }
        mod delayed_in_memory {
            $(#[tokio::test] async fn $case() {
                use orrery_testing::view::{Faults, MemoryView};
                let faults = Faults { seed: 7, delay_turns_max: 3, ..Faults::default() };
                super::$case(&MemoryView::with_faults(faults)).await;
            })+
        }
        mod embedded {
            $(#[tokio::test] async fn $case() {
                let folder = tempfile::tempdir().expect("a folder");
                let file = folder.path().join("view.db");
                super::$case(&orrery::view::sqlite::SqliteView::open(&file).expect("a view")).await;
            })+
        }
        mod on_mongodb {
            $(#[tokio::test] #[ignore = "needs a mongod: scripts/test fetches one"] async fn $case() {
                let database = crate::storage::mongodb::Database::fresh().await;
                super::$case(&database.view()).await;
                database.end().await;
            })+
        }
        mod with_every_write_repeated_embedded {
            $(#[tokio::test] async fn $case() {
                let folder = tempfile::tempdir().expect("a folder");
                let file = folder.path().join("view.db");
                let view = std::sync::Arc::new(orrery::view::sqlite::SqliteView::open(&file).expect("a view"));
                super::$case(&crate::storage::lost_answers::LossyView::all_repeated(view)).await;
            })+
        }
        mod with_every_write_repeated_on_mongodb {
            $(#[tokio::test] #[ignore = "needs a mongod: scripts/test fetches one"] async fn $case() {
                let database = crate::storage::mongodb::Database::fresh().await;
                let view = std::sync::Arc::new(database.view());
                super::$case(&crate::storage::lost_answers::LossyView::all_repeated(view)).await;
                database.end().await;
            })+
        }
    };
}

each_view! {
    a_document_comes_back_as_it_was_flushed,
    documents_asked_for_together_come_in_their_subjects_places,
    an_older_seq_never_replaces_a_newer_one,
    every_column_can_change,
    each_filter_shows_exactly_what_matches,
    every_sort_pages_through_each_job_once,
    a_page_number_and_a_cursor_meet,
    a_name_prefix_has_no_patterns,
    totals_are_counted_only_so_far,
    a_deleted_document_is_gone_and_stays_gone,
    a_deletion_is_forgotten_when_its_time_is_over,
    named_subjects_come_in_name_order,
    lists_never_leave_their_namespace,
    a_view_of_another_store_is_emptied,
}

fn columns(number: i64) -> JobColumns {
    let every = |n: i64, text: &str| (number % n == 0).then(|| text.to_owned());
    JobColumns {
        name: format!("job-{}", number % 5),
        status: ["completed", "failed", "running"][usize::try_from(number % 3).unwrap_or(0)],
        job_type: every(2, "build"),
        environment: every(4, "gpu").unwrap_or_else(|| "default".to_owned()),
        parent_job_id: (number % 6 == 0).then(|| Uuid::from_u128(77)),
        triggered_by: every(7, "cron"),
        error_class: every(3, "timeout.attempt"),
        priority: u8::try_from(number % 10 + 1).unwrap_or(10),
        tags: [every(2, "even"), every(3, "third")].into_iter().flatten().collect(),
        // Pairs share a time, so that the id must break ties.
        created_at: NOW + number / 2,
        updated_at: NOW + 1_000 - number / 3,
    }
}

fn document(subject: &SubjectId, seq: u64, columns: JobColumns) -> Document {
    let body = format!("{{\"id\":\"{}\",\"seq\":{seq}}}", subject.id);
    Document {
        subject: subject.clone(),
        seq,
        columns: Columns::Job(Box::new(columns)),
        body: Arc::from(body),
        nodes: Vec::new(),
    }
}

fn environment(name: &str, seq: u64) -> Document {
    let parsed = EnvironmentName::parse(name).expect("a name");
    Document {
        subject: SubjectId::environment(namespace("default"), &parsed),
        seq,
        columns: Columns::Named { name: name.to_owned() },
        body: Arc::from(format!("{name}@{seq}")),
        nodes: Vec::new(),
    }
}

fn query() -> JobQuery {
    every_job(namespace("default"))
}

/// Sixty jobs that differ in everything; their ids are in another order than their times.
async fn sixty(view: &dyn View) -> Vec<Document> {
    let documents: Vec<_> = (0..60_i64)
        .map(|number| {
            let subject = job(u128::try_from((number * 37) % 61 + 1).unwrap_or(0));
            document(&subject, 1, columns(number))
        })
        .collect();
    view.flush(documents.clone()).await.expect("flushed");
    documents
}

fn of(document: &Document) -> &JobColumns {
    match &document.columns {
        Columns::Job(job) => job,
        Columns::Named { .. } | Columns::Deleted { .. } => panic!("these are jobs"),
    }
}

fn sort_value(sort: JobSort, document: &Document) -> (i64, Uuid) {
    let job = of(document);
    let value = match sort {
        JobSort::CreatedAt => job.created_at,
        JobSort::UpdatedAt => job.updated_at,
        JobSort::Priority => i64::from(job.priority),
    };
    (value, document.subject.id)
}

/// The bodies of what matches, in order, by a walk over all.
fn naive(
    all: &[Document],
    query: &JobQuery,
    matches: impl Fn(&JobColumns) -> bool,
) -> Vec<Arc<str>> {
    let mut found: Vec<_> = all.iter().filter(|document| matches(of(document))).collect();
    found.sort_by_key(|document| sort_value(query.sort, document));
    if query.descending {
        found.reverse();
    }
    found.into_iter().map(|document| Arc::clone(&document.body)).collect()
}

/// What a view may answer: jobs of one priority come by id, or by age and then by id.
fn orders(
    all: &[Document],
    query: &JobQuery,
    matches: impl Fn(&JobColumns) -> bool,
) -> Vec<Vec<Arc<str>>> {
    let by_id = naive(all, query, &matches);
    let mut found: Vec<_> = all.iter().filter(|document| matches(of(document))).collect();
    found.sort_by_key(|document| {
        let (value, id) = sort_value(query.sort, document);
        (value, of(document).created_at, id)
    });
    if query.descending {
        found.reverse();
    }
    let by_age = found.into_iter().map(|document| Arc::clone(&document.body)).collect();
    if query.sort == JobSort::Priority { vec![by_id, by_age] } else { vec![by_id] }
}

async fn list(view: &dyn View, query: &JobQuery) -> Page {
    view.jobs(query.clone()).await.expect("a page")
}

async fn a_document_comes_back_as_it_was_flushed(view: &dyn View) {
    let all = sixty(view).await;
    for document in &all {
        assert_eq!(view.get(&document.subject).await, Ok(Some(document.clone())));
    }
    assert_eq!(view.get(&job(9_999)).await, Ok(None));
    view.sync().await.expect("synced");
}

async fn documents_asked_for_together_come_in_their_subjects_places(view: &dyn View) {
    let all = sixty(view).await;
    let named = environment("gpu", 1);
    view.flush(vec![named.clone()]).await.expect("flushed");
    assert_eq!(view.documents(&[]).await, Ok(Vec::new()));
    let mut asked: Vec<SubjectId> = all.iter().rev().map(|found| found.subject.clone()).collect();
    asked.insert(7, job(9_999));
    asked.insert(20, named.subject.clone());
    asked.push(asked[0].clone());
    let mut wanted: Vec<Option<Document>> = all.iter().rev().cloned().map(Some).collect();
    wanted.insert(7, None);
    wanted.insert(20, Some(named));
    wanted.push(wanted[0].clone());
    assert_eq!(view.documents(&asked).await, Ok(wanted));
}

async fn an_older_seq_never_replaces_a_newer_one(view: &dyn View) {
    let at = |seq, status| document(&job(1), seq, JobColumns { status, ..columns(1) });
    view.flush(vec![at(5, "running"), at(3, "queued")]).await.expect("flushed");
    view.flush(vec![at(4, "scheduled")]).await.expect("flushed");
    assert_eq!(view.get(&job(1)).await, Ok(Some(at(5, "running"))));
    view.flush(vec![at(6, "completed")]).await.expect("flushed");
    assert_eq!(view.get(&job(1)).await, Ok(Some(at(6, "completed"))));
    let running = JobQuery { statuses: vec!["running"], ..query() };
    assert_eq!(list(view, &running).await.total, Total::Exact(0));
}

async fn every_column_can_change(view: &dyn View) {
    for (seq, number) in (1..).zip([6, 7, 12, 1, 0]) {
        let now = document(&job(1), seq, columns(number));
        view.flush(vec![now.clone()]).await.expect("flushed");
        assert_eq!(view.get(&job(1)).await, Ok(Some(now.clone())));
        for tag in ["even", "third"] {
            let tagged = JobQuery { tag: Some(tag.to_owned()), ..query() };
            let shown = u64::from(of(&now).tags.contains(&tag.to_owned()));
            assert_eq!(list(view, &tagged).await.total, Total::Exact(shown), "{tag} of {number}");
        }
    }
}

type Matches = Box<dyn Fn(&JobColumns) -> bool>;

/// Each filter with what it means.
fn filters() -> Vec<(JobQuery, Matches)> {
    let some = |text: &str| Some(text.to_owned());
    vec![
        (query(), Box::new(|_| true)),
        (JobQuery { statuses: vec!["failed"], ..query() }, Box::new(|job| job.status == "failed")),
        (
            JobQuery { statuses: vec!["failed", "running"], ..query() },
            Box::new(|job| job.status != "completed"),
        ),
        (JobQuery { job_type: some("build"), ..query() }, Box::new(|job| job.job_type.is_some())),
        (
            JobQuery { tag: some("third"), ..query() },
            Box::new(|job| job.tags.contains(&"third".to_owned())),
        ),
        (JobQuery { name_prefix: some("job-3"), ..query() }, Box::new(|job| job.name == "job-3")),
        (JobQuery { name_prefix: some("job"), ..query() }, Box::new(|_| true)),
        (JobQuery { name_prefix: some(""), ..query() }, Box::new(|_| true)),
        (
            JobQuery { environment: some("gpu"), ..query() },
            Box::new(|job| job.environment == "gpu"),
        ),
        (
            JobQuery { environment: some("default"), ..query() },
            Box::new(|job| job.environment == "default"),
        ),
        (
            JobQuery { parent_job_id: Some(Uuid::from_u128(77)), ..query() },
            Box::new(|job| job.parent_job_id.is_some()),
        ),
        (JobQuery { parent_job_id: Some(Uuid::from_u128(78)), ..query() }, Box::new(|_| false)),
        (
            JobQuery { triggered_by: some("cron"), ..query() },
            Box::new(|job| job.triggered_by.is_some()),
        ),
        (
            JobQuery { error_class: some("timeout.attempt"), ..query() },
            Box::new(|job| job.error_class.is_some()),
        ),
        (
            JobQuery { created_after: Some(NOW + 10), ..query() },
            Box::new(|job| job.created_at >= NOW + 10),
        ),
        (
            JobQuery { created_before: Some(NOW + 10), ..query() },
            Box::new(|job| job.created_at < NOW + 10),
        ),
        (
            JobQuery {
                statuses: vec!["completed"],
                tag: some("even"),
                job_type: some("build"),
                created_after: Some(NOW + 3),
                ..query()
            },
            Box::new(|job| {
                job.status == "completed" && job.job_type.is_some() && job.created_at >= NOW + 3
            }),
        ),
    ]
}

async fn each_filter_shows_exactly_what_matches(view: &dyn View) {
    let all = sixty(view).await;
    for (query, matches) in filters() {
        for sort in [JobSort::CreatedAt, JobSort::UpdatedAt, JobSort::Priority] {
            for descending in [false, true] {
                let query = JobQuery { sort, descending, ..query.clone() };
                let expected = orders(&all, &query, &matches);
                let page = list(view, &query).await;
                assert_eq!(page.total, Total::Exact(expected[0].len() as u64), "{query:?}");
                assert!(expected.contains(&page.items), "{query:?}: {page:?}");
                assert_eq!(page.next, None);
            }
        }
    }
}

async fn every_sort_pages_through_each_job_once(view: &dyn View) {
    let all = sixty(view).await;
    for (query, matches) in filters() {
        for sort in [JobSort::CreatedAt, JobSort::UpdatedAt, JobSort::Priority] {
            for descending in [false, true] {
                let mut query = JobQuery { sort, descending, page_size: 7, ..query.clone() };
                let mut seen = Vec::new();
                loop {
                    let page = list(view, &query).await;
                    seen.extend(page.items);
                    let Some((value, id)) = page.next else { break };
                    query.start = PageStart::After { value, id };
                }
                assert!(orders(&all, &query, &matches).contains(&seen), "{query:?}: {seen:?}");
            }
        }
    }
}

async fn a_page_number_and_a_cursor_meet(view: &dyn View) {
    sixty(view).await;
    let by_number = |page| JobQuery { start: PageStart::Page(page), page_size: 25, ..query() };
    let (first, second) = (list(view, &by_number(1)).await, list(view, &by_number(2)).await);
    let (value, id) = first.next.expect("there is more");
    let followed = JobQuery { start: PageStart::After { value, id }, ..by_number(1) };
    assert_eq!(list(view, &followed).await, second);
    let third = list(view, &by_number(3)).await;
    assert_eq!((third.items.len(), third.next), (10, None));
    let beyond = list(view, &by_number(4)).await;
    assert_eq!((beyond.items.len(), beyond.next, beyond.total), (0, None, Total::Exact(60)));
}

async fn a_name_prefix_has_no_patterns(view: &dyn View) {
    for (number, name) in (1..).zip(["100%", "100x", "a_b", "aXb", "Ä", "ä", "*", "\u{10FFFF}z"])
    {
        let columns = JobColumns { name: name.to_owned(), ..columns(1) };
        view.flush(vec![document(&job(number), 1, columns)]).await.expect("flushed");
    }
    for (prefix, shown) in
        [("100%", 1), ("100", 2), ("a_", 1), ("A", 0), ("Ä", 1), ("*", 1), ("\u{10FFFF}", 1)]
    {
        let named = JobQuery { name_prefix: Some(prefix.to_owned()), ..query() };
        assert_eq!(list(view, &named).await.total, Total::Exact(shown), "{prefix}");
    }
}

async fn totals_are_counted_only_so_far(view: &dyn View) {
    let many = i64::try_from(TOTAL_COUNTED_MAX).unwrap_or(0) + 20;
    let documents: Vec<_> = (1..=many)
        .map(|number| {
            let columns = JobColumns { tags: vec!["all".to_owned()], ..columns(number) };
            document(&job(u128::try_from(number).unwrap_or(0)), 1, columns)
        })
        .collect();
    for part in documents.chunks(1_000) {
        view.flush(part.to_vec()).await.expect("flushed");
    }
    for sort in [JobSort::CreatedAt, JobSort::UpdatedAt, JobSort::Priority] {
        let tagged = JobQuery { tag: Some("all".to_owned()), sort, page_size: 5, ..query() };
        let page = list(view, &tagged).await;
        assert_eq!(page.total, Total::AtLeast(TOTAL_COUNTED_MAX));
        let orders = orders(&documents, &tagged, |_| true);
        assert!(orders.iter().any(|order| order[..5] == page.items[..]), "{page:?}");
        let prefixed = JobQuery { name_prefix: Some("job-".to_owned()), tag: None, ..tagged };
        assert_eq!(list(view, &prefixed).await.items, page.items);
    }
    let some = JobQuery { created_before: Some(NOW + 5_000), ..query() };
    assert_eq!(list(view, &some).await.total, Total::Exact(9_999));
}

fn deletion(subject: &SubjectId, seq: u64) -> Document {
    let columns = Columns::Deleted { keep_until: NOW + 90_000 };
    Document { subject: subject.clone(), seq, columns, body: Arc::from(""), nodes: Vec::new() }
}

async fn a_deleted_document_is_gone_and_stays_gone(view: &dyn View) {
    sixty(view).await;
    let gone = job(1);
    view.flush(vec![deletion(&gone, 8)]).await.expect("flushed");
    assert_eq!(view.get(&gone).await, Ok(None));
    view.flush(vec![document(&gone, 7, columns(6))]).await.expect("passed over");
    assert_eq!(view.get(&gone).await, Ok(None));
    assert_eq!(list(view, &query()).await.total, Total::Exact(59));
    let tagged = JobQuery { tag: Some("even".to_owned()), ..query() };
    assert_eq!(list(view, &tagged).await.total, Total::Exact(29));
    let newer = document(&job(2), 9, columns(6));
    view.flush(vec![newer.clone(), deletion(&job(2), 8)]).await.expect("flushed");
    assert_eq!(view.get(&job(2)).await, Ok(Some(newer)), "a deletion has a seq like everything");
}

async fn a_deletion_is_forgotten_when_its_time_is_over(view: &dyn View) {
    view.flush(vec![deletion(&job(1), 8)]).await.expect("flushed");
    let again = |updated_at| document(&job(1), 1, JobColumns { updated_at, ..columns(6) });
    view.flush(vec![again(NOW + 89_999)]).await.expect("passed over");
    assert_eq!(view.get(&job(1)).await, Ok(None));
    view.flush(vec![again(NOW + 90_000)]).await.expect("flushed");
    assert_eq!(view.get(&job(1)).await, Ok(Some(again(NOW + 90_000))));
}

async fn named_subjects_come_in_name_order(view: &dyn View) {
    let names = ["gpu", "default", "cpu", "batch", "zone"];
    view.flush(names.iter().map(|name| environment(name, 2)).collect()).await.expect("flushed");
    view.flush(vec![environment("gpu", 1), environment("cpu", 3)]).await.expect("flushed");
    let page = |number| view.named(namespace("default"), SubjectKind::Environment, number, 2);
    let first = page(1).await.expect("a page");
    assert_eq!(first.items.iter().map(|body| &**body).collect::<Vec<_>>(), ["batch@2", "cpu@3"]);
    assert_eq!(first.total, Total::Exact(5));
    let last = page(3).await.expect("a page");
    assert_eq!(last.items.iter().map(|body| &**body).collect::<Vec<_>>(), ["zone@2"]);
    let gpu = environment("gpu", 2);
    assert_eq!(view.get(&gpu.subject).await, Ok(Some(gpu.clone())));
    view.flush(vec![deletion(&gpu.subject, 3), environment("gpu", 2)]).await.expect("flushed");
    assert_eq!(view.get(&gpu.subject).await, Ok(None));
    assert_eq!(page(1).await.expect("a page").total, Total::Exact(4));
    assert_eq!(list(view, &query()).await.total, Total::Exact(0), "they are no jobs");
}

async fn lists_never_leave_their_namespace(view: &dyn View) {
    let (here, there) = (job_in("here", 1), job_in("there", 1));
    view.flush(vec![document(&here, 1, columns(6)), document(&there, 2, columns(6))])
        .await
        .expect("flushed");
    for (query, _) in filters() {
        for (name, body) in [("here", "\"seq\":1"), ("there", "\"seq\":2")] {
            let page = list(view, &JobQuery { namespace: namespace(name), ..query.clone() }).await;
            assert!(page.items.iter().all(|item| item.contains(body)), "{query:?}");
        }
        let page = list(view, &JobQuery { namespace: namespace("nowhere"), ..query }).await;
        assert_eq!(page, Page { items: Vec::new(), total: Total::Exact(0), next: None });
    }
    view.flush(vec![deletion(&here, 2)]).await.expect("flushed");
    assert!(view.get(&there).await.expect("an answer").is_some());
}

async fn a_view_of_another_store_is_emptied(view: &dyn View) {
    assert_eq!(view.adopt("a", false).await, Ok(false));
    sixty(view).await;
    assert_eq!(view.adopt("a", false).await, Ok(false), "the rebuild was cut short");
    assert_eq!(list(view, &query()).await.total, Total::Exact(0));
    sixty(view).await;
    assert_eq!(view.adopt("a", true).await, Ok(false), "the rebuild is through");
    assert_eq!(list(view, &query()).await.total, Total::Exact(60), "and what it wrote stays");
    assert_eq!(view.adopt("a", false).await, Ok(true));
    assert_eq!(view.adopt("a", true).await, Ok(true));
    assert_eq!(list(view, &query()).await.total, Total::Exact(60));
    assert_eq!(view.adopt("b", false).await, Ok(false));
    assert_eq!(list(view, &query()).await.total, Total::Exact(0));
    assert_eq!(view.get(&job(1)).await, Ok(None));
}
