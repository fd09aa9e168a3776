//! Lists: filters, sorting, paging by number and by cursor, and what is refused.

use serde_json::{Value, json};

use super::service::Service;

fn names(list: &Value) -> Vec<&str> {
    let jobs = list["jobs"].as_array().expect("jobs");
    jobs.iter().filter_map(|job| job["name"].as_str()).collect()
}

async fn with_jobs(count: usize) -> Service {
    let service = Service::start().await;
    for number in 0..count {
        let tag = if number % 2 == 0 { "even" } else { "odd" };
        let priority = 1 + number % 10;
        service
            .job(&json!({"name": format!("job-{number:02}"), "tags": [tag], "priority": priority,
                "job_type": "t", "nodes": [{"key": "a"}]}))
            .await;
        service.clock.advance(std::time::Duration::from_millis(10));
    }
    service
}

#[tokio::test]
async fn every_job_is_met_once_by_page_and_by_cursor() {
    let service = with_jobs(7).await;
    let first = service.settled_list("/api/v1/jobs?page_size=3&sort=created_at").await;
    let next = first.header("link").to_owned();
    let first = first.ok(200);
    assert_eq!(names(&first), ["job-00", "job-01", "job-02"]);
    assert_eq!((&first["page"], &first["page_size"]), (&1.into(), &3.into()));
    assert_eq!((&first["has_next"], &first["total_count"]), (&true.into(), &7.into()));
    assert!(first["as_of"].as_str().is_some_and(|at| at.ends_with('Z')), "{first}");
    let second = service.get("/api/v1/jobs?page_size=3&sort=created_at&page=2").await.ok(200);
    assert_eq!(names(&second), ["job-03", "job-04", "job-05"]);
    let path = next.trim_start_matches('<').split('>').next().expect("a link").to_owned();
    let second_by_link = service.get(&path).await.ok(200);
    assert_eq!(names(&second_by_link), names(&second));
    let cursor = second_by_link["next_cursor"].as_str().expect("a cursor");
    let path = format!("/api/v1/jobs?page_size=3&sort=created_at&cursor={cursor}");
    let last = service.get(&path).await.ok(200);
    assert_eq!(names(&last), ["job-06"]);
    assert_eq!((&last["has_next"], &last["next_cursor"]), (&false.into(), &Value::Null));
}

#[tokio::test]
async fn filters_hold_together() {
    let service = with_jobs(6).await;
    let list = service.settled_list("/api/v1/jobs?tag=odd&sort=-priority").await.ok(200);
    assert_eq!(names(&list), ["job-05", "job-03", "job-01"]);
    let list = service.get("/api/v1/jobs?tag=odd&name_prefix=job-03&job_type=t").await.ok(200);
    assert_eq!(names(&list), ["job-03"]);
    let list = service.get("/api/v1/jobs?status=completed,failed").await.ok(200);
    assert_eq!(names(&list), Vec::<&str>::new());
    assert_eq!(list["total_count"], 0);
    let headers = [("orrery-namespace", "other")];
    let other = service.call(axum::http::Method::GET, "/api/v1/jobs", &headers, None).await;
    assert_eq!(other.ok(200)["total_count"], 0);
}

#[tokio::test]
async fn unknown_and_malformed_parameters_are_refused_with_their_name() {
    let service = Service::start().await;
    for (query, name) in [
        ("limit=10", "limit"),
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=1&page=2", "page"),
        ("page_size=101", "page_size"),
        ("page=1000&page_size=100", "page"),
        ("cursor=zzz", "cursor"),
        ("sort=name", "sort"),
        ("status=done", "status"),
        ("created_after=yesterday", "created_after"),
        ("parent_job_id=7", "parent_job_id"),
        ("tag=%ff", "tag"),
    ] {
        let answer = service.get(&format!("/api/v1/jobs?{query}")).await;
        let problem = answer.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], name, "{query}: {problem}");
    }
    for path in ["queues", "workers", "environments", "services", "engines"] {
        let answer = service.get(&format!("/api/v1/{path}?nope=1")).await;
        let problem = answer.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "nope");
    }
}

#[tokio::test]
async fn queues_and_workers_show_what_waits_and_who_asks() {
    let service = Service::start().await;
    service.job(&json!({"name": "x", "nodes": [{"key": "a"}, {"key": "b", "queue": "q2"}]})).await;
    let body = json!({"worker": "w-1"});
    service.post("/api/v1/queues/default/lease", &body).await.ok(200);
    let queues = service.get("/api/v1/queues").await.ok(200)["queues"].clone();
    let find = |name: &str| {
        let queues = queues.as_array().expect("queues");
        queues.iter().find(|queue| queue["queue"] == name).cloned().expect("the queue")
    };
    assert_eq!((&find("default")["ready"], &find("default")["running"]), (&0.into(), &1.into()));
    assert_eq!(find("q2")["ready"], 1);
    let workers = service.get("/api/v1/workers").await.ok(200)["workers"].clone();
    assert_eq!((&workers[0]["worker"], &workers[0]["leased"]), (&"w-1".into(), &1.into()));
    assert_eq!(workers[0]["queues"], json!(["default"]));
}
