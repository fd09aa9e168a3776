//! What surrounds the code fits the code: the compose file parses and publishes nothing, the image runs as nobody
//! and asks the binary for its health, links between pages lead somewhere, the tables of docs/states.md are the
//! rules' own, the example of docs/history-format.md verifies, and every page of an error has its code.
//!
//! Reads the tree only; starts nothing.

#[path = "repository/language.rs"]
mod language;
#[path = "repository/walkthroughs.rs"]
mod walkthroughs;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use domain::ids::{JobId, Namespace, SubjectId};
use domain::job::status::JobStatus;
use domain::node::status::NodeStatus;
use domain::retry::breaker::status::CircuitState;
use saphyr::{LoadableYamlNode, Yaml};
use uuid::Uuid;

type Outcome = Result<(), Box<dyn Error>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Result<String, Box<dyn Error>> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}").into())
}

fn words<'a>(list: &'a Yaml<'a>) -> Vec<&'a str> {
    list.as_vec().into_iter().flatten().filter_map(Yaml::as_str).collect()
}

#[test]
fn the_compose_file_keeps_the_engine_on_this_machine_and_its_data_in_a_volume() -> Outcome {
    let text = read("docker-compose.yml")?;
    let documents = Yaml::load_from_str(&text)?;
    let compose = documents.first().ok_or("an empty file")?;
    let engine = &compose["services"]["engine"];
    let ports = words(&engine["ports"]);
    assert!(
        !ports.is_empty() && ports.iter().all(|port| port.starts_with("127.0.0.1:")),
        "{ports:?}"
    );
    let volumes = words(&engine["volumes"]);
    let (name, folder) =
        volumes.first().and_then(|volume| volume.split_once(':')).ok_or("no volume")?;
    assert!(compose["volumes"].as_mapping_get(name).is_some(), "`{name}` is not declared");
    let command = words(&engine["command"]);
    assert_eq!(command.first(), Some(&"serve"));
    assert!(
        command.windows(2).any(|pair| pair == ["--data", folder]),
        "{command:?} does not use {folder}"
    );
    assert_eq!(engine["read_only"].as_bool(), Some(true));
    Ok(())
}

#[test]
fn the_compose_file_runs_two_engines_on_a_replica_set_that_initiates_itself() -> Outcome {
    let documents = Yaml::load_from_str(&read("docker-compose.yml")?)?;
    let services = &documents.first().ok_or("an empty file")?["services"];
    for name in ["engine-a", "engine-b"] {
        let engine = &services[name];
        assert!(words(&engine["ports"]).iter().all(|port| port.starts_with("127.0.0.1:")));
        assert_eq!(words(&engine["profiles"]), ["mongodb"], "{name}");
        for member in ["db1", "db2", "db3"] {
            let waits = &engine["depends_on"][member]["condition"];
            assert_eq!(waits.as_str(), Some("service_healthy"), "{name} waits for {member}");
        }
    }
    let initiates = words(&services["db1"]["healthcheck"]["test"]).join(" ");
    for word in
        ["rs.initiate", "db1:27017", "db2:27017", "db3:27017", "electionTimeoutMillis: 2000"]
    {
        assert!(initiates.contains(word), "{word}");
    }
    for member in ["db1", "db2", "db3"] {
        assert!(services[member].as_mapping_get("ports").is_none(), "{member} is published");
        assert!(services[member]["healthcheck"].as_mapping().is_some(), "{member}");
    }
    let uri = &services["engine-a"]["environment"]["ORRERY__STORAGE__URI"];
    assert!(uri.as_str().is_some_and(|uri| uri.contains("replicaSet=orrery")), "{uri:?}");
    Ok(())
}

#[test]
fn the_image_runs_as_nobody_and_asks_the_binary_for_its_health() -> Outcome {
    let image = read("Dockerfile")?;
    let last_user = image.lines().rfind(|line| line.starts_with("USER "));
    assert_eq!(last_user, Some("USER 65532:65532"));
    assert!(
        image.contains("HEALTHCHECK") && image.contains(r#""healthcheck"]"#),
        "no health check"
    );
    assert_eq!(
        image.lines().filter(|line| line.starts_with("FROM ")).count(),
        2,
        "build and run are two stages"
    );
    let manifest = read("Cargo.toml")?;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .ok_or("no rust-version")?;
    let toolchain = format!("FROM rust:{}-", version.trim_matches('"'));
    assert!(image.contains(&toolchain), "the image is not built with {toolchain}");
    Ok(())
}

/// The rows of the table after `<!-- rows: name -->`: from, and the states it may become.
fn rows(page: &str, name: &str) -> Vec<(String, BTreeSet<String>)> {
    let mark = format!("<!-- rows: {name} -->");
    let lines = page.lines().skip_while(|line| *line != mark).skip(3);
    let rows = lines.map_while(|line| line.trim_matches('|').split_once('|'));
    rows.map(|(from, to)| {
        let to = to.split(',').map(|state| state.trim().to_owned()).filter(|state| state != "none");
        (from.trim().to_owned(), to.collect())
    })
    .collect()
}

#[test]
fn the_tables_of_states_are_the_rules_own() -> Outcome {
    let page = read("docs/states.md")?;
    let as_set = |next: Vec<&str>| next.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    let jobs = JobStatus::ALL.map(|from| {
        (from.as_str().to_owned(), as_set(from.next().iter().map(|to| to.as_str()).collect()))
    });
    let nodes = NodeStatus::ALL.map(|from| {
        (from.as_str().to_owned(), as_set(from.next().iter().map(|to| to.as_str()).collect()))
    });
    let breakers = CircuitState::ALL.map(|from| {
        (from.as_str().to_owned(), as_set(from.next().iter().map(|to| to.as_str()).collect()))
    });
    for (name, mut code) in
        [("job", jobs.to_vec()), ("node", nodes.to_vec()), ("circuit breaker", breakers.to_vec())]
    {
        let mut written = rows(&page, name);
        written.sort();
        code.sort();
        assert_eq!(written, code, "the table of {name}s");
    }
    Ok(())
}

/// Every page of the repository itself, the build's folder and hidden ones left out.
fn pages() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut pages = Vec::new();
    let mut open = vec![root().to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "target" && name != "orrery-data" && !name.starts_with('.')
            {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    Ok(pages)
}

#[test]
fn links_between_pages_lead_somewhere() -> Outcome {
    let mut broken = Vec::new();
    for page in pages()? {
        let text = fs::read_to_string(&page)?;
        let Some(folder) = page.parent() else { continue };
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains("://") && !folder.join(file).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    Ok(())
}

#[test]
fn the_example_of_the_history_format_verifies_and_its_list_of_facts_is_whole() -> Outcome {
    let page = read("docs/history-format.md")?;
    let after = page.split("<!-- example: ").nth(1).ok_or("no example")?;
    let (subject, after) = after.split_once(" -->").ok_or("no subject")?;
    let id = subject.strip_prefix("job/default/").ok_or("another kind of subject")?;
    let subject = SubjectId::job(Namespace::default_namespace(), JobId(Uuid::parse_str(id)?));
    let export = after
        .split("```ndjson\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .ok_or("no export")?;
    let verified = domain::history::verify(&subject, export.as_bytes())?;
    assert_eq!(verified.count, 3);

    let mut files = Vec::new();
    rust_files(&root().join("domain/src/job/fact"), &mut files)?;
    let texts: Vec<String> = files.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    let in_code: BTreeSet<&str> = texts
        .iter()
        .filter_map(|text| text.split("fn type_name").nth(1)?.split("\n    }\n").next())
        .flat_map(|names| names.split('"').skip(1).step_by(2))
        .collect();
    let listed = page.split("<!-- facts -->").nth(1).ok_or("no list of facts")?;
    let on_page: BTreeSet<&str> =
        listed.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(in_code.len() > 10, "{in_code:?}");
    assert_eq!(on_page, in_code);
    Ok(())
}

#[test]
fn every_error_page_belongs_to_a_code() -> Outcome {
    // The other way round the compiler sees to it: `code.rs` includes each code's page.
    let codes = read("src/http/problem/code.rs")?;
    for page in fs::read_dir(root().join("docs/errors"))? {
        let path = page?.path();
        let code = path.file_stem().unwrap_or_default().to_string_lossy();
        assert!(codes.contains(&format!("\"{code}\"")), "no code `{code}` for {}", path.display());
        let text = fs::read_to_string(&path)?;
        assert!(
            text.starts_with('#') && text.contains(code.as_ref()),
            "{} does not name its code",
            path.display()
        );
    }
    Ok(())
}

#[test]
fn files_and_folders_that_pages_name_are_there() -> Outcome {
    let mut gone = Vec::new();
    for page in pages()? {
        let text = fs::read_to_string(&page)?;
        for named in text.split('`').skip(1).step_by(2) {
            let path = named.split_whitespace().next().unwrap_or_default();
            let ours = ["src/", "domain/", "tests/", "docs/", "config/", "scripts/", ".ci/"];
            let concrete = !path.contains(['<', '*', '{']);
            if concrete
                && ours.iter().any(|folder| path.starts_with(folder))
                && !root().join(path).exists()
            {
                gone.push(format!("{}: {path}", page.display()));
            }
        }
    }
    assert!(gone.is_empty(), "{gone:#?}");
    Ok(())
}

/// Whether an expression such as `(MIT OR Apache-2.0) AND Unicode-3.0` holds with these licences allowed. `/` is the old
/// way of writing OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut tokens = spaced.split_whitespace().peekable();
    any_of(&mut tokens, allowed)
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(tokens: &mut Tokens<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut holds = all_of(tokens, allowed);
    while tokens.next_if_eq(&"OR").is_some() {
        holds |= all_of(tokens, allowed);
    }
    holds
}

fn all_of(tokens: &mut Tokens<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut holds = one(tokens, allowed);
    while tokens.next_if_eq(&"AND").is_some() {
        holds &= one(tokens, allowed);
    }
    holds
}

fn one(tokens: &mut Tokens<'_>, allowed: &BTreeSet<&str>) -> bool {
    match tokens.next() {
        Some("(") => {
            let holds = any_of(tokens, allowed);
            tokens.next();
            holds
        }
        Some(licence) => match tokens.next_if_eq(&"WITH").and_then(|_| tokens.next()) {
            Some(exception) => allowed.contains(format!("{licence} WITH {exception}").as_str()),
            None => allowed.contains(licence),
        },
        None => false,
    }
}

#[test]
fn every_locked_dependency_has_a_licence_that_deny_toml_allows() -> Outcome {
    let text = read("deny.toml")?;
    let list = text.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.ok_or("deny.toml allows no licences")?;
    let allowed: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    assert!(is_allowed("(MIT OR GPL-3.0) AND Unicode-3.0", &allowed));
    assert!(!is_allowed("MIT AND GPL-3.0", &allowed) && !is_allowed("GPL-3.0/AGPL-3.0", &allowed));
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(root())
        .output()?;
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default(), &allowed))
        .map(|package| format!("{}: {}", package["name"], package["license"]))
        .collect();
    assert!(packages.len() > 300 && refused.is_empty(), "{refused:#?}");
    Ok(())
}

/// What stands before a file's own tests.
fn without_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod").map_or(text, |(code, _)| code)
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn every_metric_is_written_and_by_one_file_only() -> Outcome {
    let table = read("src/telemetry/metrics.rs")?;
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files)?;
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| Ok((path.clone(), fs::read_to_string(path)?)))
        .collect::<Result<_, std::io::Error>>()?;
    let mut metrics = 0;
    for line in table.lines() {
        let Some((name, _)) = line.trim().split_once(" = \"") else { continue };
        let is_name = line.starts_with("    ")
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if !is_name || name.is_empty() {
            continue;
        }
        metrics += 1;
        // Two writers of a counter add up what happened once; two of a gauge show now one, now the other.
        let writers: Vec<&PathBuf> = texts
            .iter()
            .filter(|(_, text)| {
                without_tests(text).match_indices("!(").any(|(at, _)| {
                    let (before, after) = text.split_at(at);
                    let is_macro =
                        ["gauge", "counter", "histogram"].iter().any(|kind| before.ends_with(kind));
                    let argument = after[2..].trim_start();
                    let rest = argument.strip_prefix(name);
                    is_macro && rest.is_some_and(|rest| rest.trim_start().starts_with([',', ')']))
                })
            })
            .map(|(path, _)| path)
            .collect();
        assert_eq!(writers.len(), 1, "{name} is written by {writers:?}");
    }
    assert!(metrics > 40, "{metrics}");
    Ok(())
}

/// What a file writes where it sends somebody away until later.
const SENT_AWAY: [&str; 8] = [
    "Problem::new(Code::Overloaded",
    "Problem::new(Code::TooManyWaiting",
    "Code::DeadlineExceeded } else",
    "Failure::Overloaded",
    "Failure::ViewBehind)",
    "Err(EngineError::ViewBehind)",
    "Err(OperationError::",
    "Refusal::quota(",
];

/// Files that pass on what a gate said: the mappings of failures, the word in which the core's pace is published, the route
/// between engines.
const PASSES_ON: [&str; 4] = [
    "src/http/problem.rs",
    "src/http/routes/forward.rs",
    "src/engine/error.rs",
    "src/engine/mailbox.rs",
];

#[test]
fn every_gate_that_sends_requests_away_is_in_the_table() -> Outcome {
    let page = read("docs/overload.md")?;
    let gates = page.lines().skip_while(|line| !line.starts_with("| gate |")).skip(2);
    let mut told = BTreeSet::new();
    for row in gates.take_while(|line| line.starts_with('|')) {
        let files = row.split('|').nth(2).unwrap_or_default().split('`');
        told.extend(files.filter(|file| file.contains('/')).map(str::to_owned));
    }
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files)?;
    rust_files(&root().join("domain/src"), &mut files)?;
    let mut found = BTreeSet::new();
    for file in files {
        let path = file.strip_prefix(root())?.to_string_lossy().into_owned();
        let text = fs::read_to_string(&file)?;
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        if !is_test && SENT_AWAY.iter().any(|word| without_tests(&text).contains(word)) {
            found.insert(path);
        }
    }
    for file in &found {
        let known = told.contains(file) || PASSES_ON.contains(&file.as_str());
        assert!(known, "{file} sends requests away, and docs/overload.md has no row for it");
    }
    for file in told {
        assert!(root().join(&file).exists(), "docs/overload.md: {file} is not there");
        let is_folder = file.ends_with('/');
        let answers_itself = is_folder || found.contains(&file);
        assert!(answers_itself, "docs/overload.md: {file} sends nobody away any more");
    }
    Ok(())
}
