//! `orrery policies` against an engine, with the documents in `examples/policies/`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::process::{EngineProcess, tried};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
    let entries = std::fs::read_dir(folder).expect("the examples");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn every_example_is_previewed_created_shown_replaced_and_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EngineProcess::start(&folder.path().join("data")).await;
    let url = engine.url();
    let run = |args: &[&str]| tried(&[&["policies"], args, &["--url", &url]].concat());
    let files = examples();
    assert_eq!(files.len(), 5);
    for file in &files {
        let path = file.to_str().expect("UTF-8");
        let read: Value =
            serde_json::from_slice(&std::fs::read(file).expect("read")).expect("JSON");
        let name = read["name"].as_str().expect("a name");
        let (code, out, said) =
            run(&["preview", "--file", path, "--type", "Timeout", "--status", "503"]);
        assert_eq!(code, 0, "{path}: {said}");
        assert!(out.starts_with("AFTER ATTEMPT"), "{out}");
        let (code, made, said) = run(&["create", path]);
        assert_eq!(code, 0, "{path}: {said}");
        let (code, _, said) = run(&["create", path]);
        assert_eq!(code, 4, "the name is taken: {said}");
        let decided = |args: &[&str]| -> Value {
            let (_, out, said) = run(&[&["preview"], args, &["-o", "json"]].concat());
            let shown: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{said}"));
            shown["decision"].clone()
        };
        assert_eq!(decided(&[made.trim()]), decided(&["--file", path]), "the same by its id");
        let (code, shown, _) = run(&["show", name]);
        assert!(code == 0 && shown.contains(made.trim()), "{shown}");
        let (_, shown, _) = run(&["show", name, "-o", "json"]);
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let version = shown["version"].to_string();
        let (code, _, said) = run(&["replace", name, path, "--if-version", "999"]);
        assert_eq!(code, 4, "{said}");
        let (code, _, said) = run(&["replace", name, path, "--if-version", &version]);
        assert_eq!(code, 0, "{said}");
    }
    let (_, listed, said) = run(&["list", "--page-size", "2"]);
    assert_eq!((listed.lines().count(), said.trim()), (3, "more: orrery policies list --page 2"));
    let (_, listed, _) = run(&["list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["total_count"], 5);
    let (code, _, _) = run(&["delete", "once"]);
    assert_eq!(code, 0);
    for args in [&["show", "once"][..], &["delete", "once"], &["preview", "--file", "nothing.json"]]
    {
        assert_eq!(run(args).0, 3, "{args:?}");
    }
    let wrong = folder.path().join("wrong.json");
    std::fs::write(&wrong, r#"{"name": "w", "max_attempts": 0}"#).expect("written");
    let (code, _, said) = run(&["create", wrong.to_str().expect("UTF-8")]);
    assert!(code == 1 && said.contains("/max_attempts"), "{code} {said}");
}
