//! Files with mistakes: what a user is told about each, word for word.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grayflag::config::{self, Machine, World};
use grayflag::problem::{Problems, SourceFile};
use grayflag::{rule_test, rules};

/// The machine's files, with an environment of its own.
struct Bare;

impl World for Bare {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Machine.read(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Machine.list(folder)
    }
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

/// The problems of a fixture: of rules or of their tests if its name says so, of a configuration
/// otherwise.
fn problems(path: &Path) -> Problems {
    let name = path.file_name().unwrap().to_str().unwrap();
    if name.starts_with("rules-") {
        let file = SourceFile::from_bytes(path, fs::read(path).unwrap()).unwrap();
        rules::load(&[file]).1
    } else if name.starts_with("tests-") {
        rule_test::load(path, &Bare).unwrap().problems
    } else {
        let loaded = config::load(path, &Bare).unwrap();
        let mut problems = loaded.problems;
        problems.extend(loaded.advice.problems);
        problems
    }
}

/// Every fixture in order of name.
fn fixtures() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/data/bad").unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    paths.sort();
    paths
}

#[test]
fn every_mistake_is_told_with_place_and_remedy() {
    let update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut wrong = Vec::new();
    let fixtures = fixtures();
    assert!(fixtures.len() >= 130, "only {} fixtures", fixtures.len());
    for path in fixtures {
        let problems = problems(&path);
        assert!(!problems.is_empty(), "{} has no problem", path.display());
        let told = format!("{}{}\n", problems.render(false), problems.summary());
        let beside = path.with_extension("txt");
        if update {
            fs::write(&beside, &told).unwrap();
        } else if fs::read_to_string(&beside).unwrap_or_default() != told {
            wrong.push(format!("--- {} ---\n{told}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "review these and run again with UPDATE_SNAPSHOTS=1:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_message_shows_a_secret() {
    for path in fixtures() {
        let problems = problems(&path);
        let told = format!("{}{}", problems.render(true), problems.lines());
        assert!(!told.contains("hunter2"), "{}:\n{told}", path.display());
    }
}

#[test]
fn a_file_with_ten_mistakes_reports_all_ten() {
    let problems = problems(Path::new("tests/data/bad/config-ten-mistakes.toml"));
    let lines: Vec<_> = problems.iter().map(|problem| problem.place.line).collect();
    assert_eq!(lines, [2, 3, 6, 9, 10, 13, 16, 18, 23, 26]);
}

#[test]
fn places_in_lines_and_in_excerpts_agree() {
    for path in fixtures() {
        let problems = problems(&path);
        let rendered = problems.render(false);
        for problem in problems.iter() {
            let place = &problem.place;
            let at = format!("--> {}:{}:{}\n", place.file, place.line, place.column);
            assert!(rendered.contains(&at), "{at} is not in\n{rendered}");
        }
    }
}
