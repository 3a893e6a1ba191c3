//! The architecture, read from the source tree: layers, stages of the engine, purity, sizes, and
//! the README's promise of two commands. A module that the tables below do not list fails, so
//! that adding one is a deliberate act.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![expect(clippy::string_slice, reason = "every index was found in the same text")]

use std::fs;
use std::path::Path;

use tables::{LAYERS, STAGES};

#[path = "architecture/tables.rs"]
mod tables;

/// What code that must give the same result for the same calls never says.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "tokio",
    "reqwest",
    "rusqlite",
    "tracing::",
    "::now()",
    "rand::",
    "rand_chacha::",
    "rand_distr::",
    "async fn",
];

/// Where [`IMPURE`] holds.
const PURE: &[&str] = &["src/engine/", "src/stats/", "src/rules/"];

/// A file that needs scrolling for longer than this holds more than one thing.
const LINES_MAX: usize = 500;

/// Stands on the line before a set-up command of the README.
const SETUP_MARK: &str = "<!-- set-up -->";

#[test]
fn dependencies_run_one_way() {
    assert_clean(&tree(&["src"]), layer_problems);
}

#[test]
fn a_stage_never_names_a_later_one() {
    assert_clean(&tree(&["src/engine"]), stage_problems);
}

#[test]
fn the_engine_and_what_it_stands_on_are_pure() {
    assert_clean(&tree(&["src"]), purity_problems);
}

#[test]
fn files_are_short_and_finished() {
    assert_clean(&tree(&["src", "tests", "benches", "fuzz"]), finish_problems);
}

#[test]
fn the_readme_needs_exactly_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands = setup_commands(&readme).unwrap();
    assert_eq!(commands.len(), 2, "set-up commands: {commands:?}");
    for script in commands.iter().filter_map(|command| command.strip_prefix("./")) {
        assert!(root().join(script).is_file(), "`./{script}` does not exist");
    }
}

/// One source file: its path from the package's root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Where the file stands in the module tree: `src/engine/detect/shift.rs` is
    /// `engine, detect, shift`.
    fn module(&self) -> Vec<String> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<_> = inner.split('/').map(str::to_owned).collect();
        if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
            parts.pop();
        }
        parts
    }

    /// Lines of product code with their numbers: without comments and without test modules,
    /// which may look anywhere.
    fn code(&self) -> Vec<(usize, &str)> {
        let mut lines = Vec::new();
        let mut numbered = self.text.lines().zip(1..);
        if self.path.ends_with("/tests.rs") {
            return lines;
        }
        while let Some((line, number)) = numbered.next() {
            if line.trim() == "#[cfg(test)]" {
                // The tree is formatted: an item ends with its own indentation and a brace.
                let end = line.replace("#[cfg(test)]", "}");
                let is_end = |line: &str| line == end || line.ends_with(';');
                let Some((first, _)) = numbered.next() else { break };
                if !is_end(first) {
                    numbered.by_ref().find(|(line, _)| *line == end);
                }
                continue;
            }
            let code = match line.find("//") {
                // Two slashes inside a word belong to an address in a text.
                Some(at) if line[..at].ends_with([' ', ';', '{', ',']) || at == 0 => &line[..at],
                _ => line,
            };
            lines.push((number, code));
        }
        lines
    }

    /// Every path that starts at `crate`, `grayflag`, `super` or `self`, with nested braces
    /// unfolded and resolved to its place in the module tree.
    fn names(&self) -> Vec<(usize, Vec<String>)> {
        let lines = self.code();
        let text = lines.iter().map(|(_, code)| *code).collect::<Vec<_>>().join("\n");
        let mut found = Vec::new();
        for start in ["crate::", "grayflag::", "super::", "self::"] {
            for (at, _) in text.match_indices(start) {
                if text[..at].ends_with(|c: char| is_word(c) || c == ':') {
                    continue;
                }
                let line = lines[text[..at].matches('\n').count()].0;
                for path in unfold(&text[at..]) {
                    found.push((line, self.resolve(&path)));
                }
            }
        }
        found.sort();
        found
    }

    fn resolve(&self, path: &[String]) -> Vec<String> {
        let mut place = match path.first().map(String::as_str) {
            Some("super" | "self") => self.module(),
            _ => Vec::new(),
        };
        for part in path {
            match part.as_str() {
                "crate" | "grayflag" | "self" => {}
                "super" => drop(place.pop()),
                name => place.push(name.to_owned()),
            }
        }
        place
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths of a use tree at the start of `text`: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn unfold(text: &str) -> Vec<Vec<String>> {
    let mut rest = text;
    unfold_from(&[], &mut rest)
}

fn unfold_from(prefix: &[String], rest: &mut &str) -> Vec<Vec<String>> {
    let mut path = prefix.to_vec();
    loop {
        *rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('{') {
            *rest = inner;
            let mut paths = Vec::new();
            while !rest.trim_start().is_empty() && !rest.trim_start().starts_with('}') {
                paths.extend(unfold_from(&path, rest));
                // To the next entry, past `as name` and whatever else an entry may end with.
                *rest = rest.trim_start_matches(|c| c != ',' && c != '}');
                *rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            let inside = rest.trim_start();
            *rest = inside.strip_prefix('}').unwrap_or(inside);
            return paths;
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if end > 0 {
            path.push(rest[..end].to_owned());
        }
        *rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(next) if end > 0 => *rest = next,
            _ => return vec![path],
        }
    }
}

fn row(table: &[&[&str]], name: &str) -> Option<usize> {
    table.iter().position(|row| row.contains(&name))
}

fn layer_problems(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut sideways = Vec::new();
    for source in sources {
        let module = source.module();
        // `lib.rs` only lists the modules.
        let Some(from) = module.first() else { continue };
        let Some(from_row) = row(LAYERS, from) else {
            problems.push(format!("{}: `{from}` is not in the table of layers", source.path));
            continue;
        };
        for (line, path) in source.names() {
            let Some((to, to_row)) = path.first().and_then(|to| Some((to, row(LAYERS, to)?)))
            else {
                continue;
            };
            if from_row < to_row {
                problems.push(format!("{}:{line}: `{from}` names `{to}` above it", source.path));
            } else if from_row == to_row && from != to {
                sideways.push((from.clone(), to.clone(), format!("{}:{line}", source.path)));
            }
        }
    }
    for (from, to, at) in &sideways {
        if sideways.iter().any(|(other, back, _)| other == to && back == from) {
            problems.push(format!("{at}: `{from}` and `{to}` name each other"));
        }
    }
    problems
}

fn stage_problems(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources {
        let module = source.module();
        let from = module.get(1).map_or("mod", String::as_str);
        let Some(from_row) = row(STAGES, from) else {
            problems.push(format!("{}: `{from}` is not in the table of stages", source.path));
            continue;
        };
        for (line, path) in source.names() {
            if path.first().is_none_or(|top| top != "engine") {
                continue;
            }
            // What is no stage is an item of `engine/mod.rs`, and that is later than all.
            let to = path.get(1).map_or("mod", String::as_str);
            if from_row < row(STAGES, to).unwrap_or(STAGES.len() - 1) {
                problems.push(format!("{}:{line}: `{from}` names the later `{to}`", source.path));
            }
        }
    }
    problems
}

fn purity_problems(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources.iter().filter(|one| PURE.iter().any(|pure| one.path.starts_with(pure))) {
        for (line, code) in source.code() {
            for token in IMPURE {
                let whole = |at: usize| token.starts_with(':') || !code[..at].ends_with(is_word);
                if code.match_indices(token).any(|(at, _)| whole(at)) {
                    problems.push(format!("{}:{line}: `{token}` in pure code", source.path));
                }
            }
        }
    }
    problems
}

fn finish_problems(sources: &[Source]) -> Vec<String> {
    // Put together here, so that this file does not name what it forbids.
    let unfinished = [concat!("to", "do!"), concat!("unimplement", "ed!"), concat!("FIX", "ME")];
    let mut problems = Vec::new();
    for source in sources {
        let lines = source.text.lines().count();
        if LINES_MAX <= lines {
            problems.push(format!("{}: {lines} lines; split it", source.path));
        }
        for (text, line) in source.text.lines().zip(1..) {
            for mark in unfinished.iter().filter(|mark| text.contains(**mark)) {
                problems.push(format!("{}:{line}: `{mark}`", source.path));
            }
        }
    }
    problems
}

/// The one command of each `sh` block, or what is wrong with the blocks.
fn setup_commands(readme: &str) -> Result<Vec<String>, String> {
    let mut commands = Vec::new();
    let lines: Vec<_> = readme.lines().collect();
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| **line == "```sh") {
        if at == 0 || lines[at - 1] != SETUP_MARK {
            return Err(format!("README.md:{}: an `sh` block without {SETUP_MARK}", at + 1));
        }
        let block: Vec<_> = lines[at + 1..].iter().take_while(|line| **line != "```").collect();
        match block.as_slice() {
            [command] => commands.push((**command).to_owned()),
            _ => return Err(format!("README.md:{}: not one command but {block:?}", at + 1)),
        }
    }
    let marks = lines.iter().filter(|line| **line == SETUP_MARK).count();
    if marks != commands.len() {
        return Err(format!("{marks} marks for {} `sh` blocks", commands.len()));
    }
    Ok(commands)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files under these folders of the package, in order of path.
fn tree(folders: &[&str]) -> Vec<Source> {
    let mut open: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
            sources.push(Source { path, text });
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn assert_clean(sources: &[Source], check: fn(&[Source]) -> Vec<String>) {
    assert!(!sources.is_empty(), "nothing was read");
    let problems = check(sources);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// That each check fails on what it forbids, and keeps quiet about its look-alikes.
mod bad_samples {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    /// The check's problems with one file; empty text for none.
    fn said(check: fn(&[Source]) -> Vec<String>, path: &str, text: &str) -> String {
        check(&[source(path, text)]).join("\n")
    }

    #[test]
    fn layers() {
        let upward = "//! Sums.\nuse crate::{time::Span, engine::{alert::Alert}};\n";
        assert_eq!(
            said(layer_problems, "src/stats/trend.rs", upward),
            "src/stats/trend.rs:2: `stats` names `engine` above it"
        );
        for (path, text) in [
            ("src/daemom.rs", ""),
            ("src/engine/mod.rs", "fn f() { crate::clock::read(); }"),
            ("src/config/mod.rs", "use super::cli::Args;"),
            ("src/source/mod.rs", "use super::{\n    config::Config,\n};"),
        ] {
            assert_ne!(said(layer_problems, path, text), "", "{path}: {text}");
        }
        for (path, text) in [
            ("src/cli/mod.rs", "use crate::{clock, daemon::run};"),
            ("src/main.rs", "fn main() { grayflag::cli::main() }"),
            ("src/changes/mod.rs", "use crate::source::Backend;"),
            ("src/engine/mod.rs", "// Not crate::clock, on purpose.\nuse crate::rules::Role;"),
            ("src/engine/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::lab::Lab;\n}\n"),
        ] {
            assert_eq!(said(layer_problems, path, text), "", "{path}: {text}");
        }
    }

    #[test]
    fn layers_side_by_side() {
        let both = [
            source("src/notify/mod.rs", "use crate::store::Outbox;"),
            source("src/store/mod.rs", "use crate::notify::Receiver;"),
        ];
        assert_eq!(layer_problems(&both).len(), 2);
        assert!(layer_problems(&both[..1]).is_empty());
    }

    #[test]
    fn stages() {
        assert_eq!(
            said(stage_problems, "src/engine/baseline.rs", "\nuse crate::engine::detect::Finding;"),
            "src/engine/baseline.rs:2: `baseline` names the later `detect`"
        );
        for (path, text) in [
            ("src/engine/guess.rs", ""),
            ("src/engine/detect/shift.rs", "use super::super::correlate::Group;"),
            ("src/engine/detect/mod.rs", "use crate::{engine::{alert, lifecycle::Incident}};"),
            ("src/engine/alert.rs", "use super::history::Ring;"),
            ("src/engine/correlate.rs", "use crate::engine::Engine;"),
        ] {
            assert_ne!(said(stage_problems, path, text), "", "{path}: {text}");
        }
        for (path, text) in [
            ("src/engine/mod.rs", "use self::snapshot::Snapshot;"),
            ("src/engine/detect/shift.rs", "use super::super::{alert::Alert, baseline::Centre};"),
            ("src/engine/detect/shift.rs", "use super::Finding;"),
            ("src/engine/lifecycle/mod.rs", "use super::outcome::Outcome;"),
        ] {
            assert_eq!(said(stage_problems, path, text), "", "{path}: {text}");
        }
    }

    #[test]
    fn purity() {
        for token in IMPURE {
            let text = format!("fn f() {{\n    x{token}y;\n}}").replace("xasync", "async");
            let text = if token.starts_with(':') { text } else { text.replace('x', "") };
            let said = said(purity_problems, "src/stats/mean.rs", &text);
            assert!(said.contains("src/stats/mean.rs:2: "), "{token}: {said}");
        }
        let reads = "fn f() { std::fs::read(p); }";
        assert_eq!(said(purity_problems, "src/store/mod.rs", reads), "");
        let tested = format!("#[cfg(test)]\nmod tests {{\n    {reads}\n}}\n");
        assert_eq!(said(purity_problems, "src/engine/mod.rs", &tested), "");
        let after = format!("{tested}{reads}");
        assert_ne!(said(purity_problems, "src/engine/mod.rs", &after), "");
        assert_eq!(
            said(purity_problems, "src/engine/mod.rs", "let x = operand::get(); // tokio"),
            ""
        );
    }

    #[test]
    fn finish() {
        let long = "\n".repeat(LINES_MAX);
        assert_ne!(said(finish_problems, "src/a.rs", &long), "");
        assert_eq!(said(finish_problems, "src/a.rs", &long[1..]), "");
        for bad in [concat!("to", "do!()"), concat!("// FIX", "ME: later")] {
            assert_ne!(said(finish_problems, "src/a.rs", bad), "", "{bad}");
        }
    }

    #[test]
    fn readme() {
        let block = |mark: &str, body: &str| format!("{mark}\n```sh\n{body}\n```\n");
        let good = block(SETUP_MARK, "cargo run") + &block(SETUP_MARK, "./tests/run.sh");
        assert_eq!(setup_commands(&good).unwrap(), ["cargo run", "./tests/run.sh"]);
        assert!(setup_commands(&block("", "cargo run")).is_err());
        assert!(setup_commands(&block(SETUP_MARK, "cd x\ncargo run")).is_err());
        assert!(setup_commands(SETUP_MARK).is_err());
    }
}
