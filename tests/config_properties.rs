//! Nothing that a file can hold makes the reader panic, and what it tells has a place.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grayflag::config::{self, World};
use grayflag::problem::{PROBLEMS_MAX, Problems, SourceFile};
use grayflag::rules;
use proptest::prelude::*;

/// A world that holds one file only, under every name.
struct One(Vec<u8>);

impl World for One {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![folder.join("one.toml")])
    }
    fn variable(&self, name: &str) -> Option<String> {
        Some(name.to_owned())
    }
}

/// Reads the bytes both as a configuration and as rules, and shows all that is wrong.
fn read_all(bytes: &[u8]) {
    let path = Path::new("f.toml");
    let world = One(bytes.to_vec());
    let loaded = config::load(path, &world).unwrap();
    assert_eq!(loaded.config.is_none(), loaded.problems.has_errors());
    look(&loaded.problems, bytes);
    if let Ok(file) = SourceFile::from_bytes(path, bytes.to_vec()) {
        look(&rules::load(&[file]).1, bytes);
    }
    // The same input gives the same output.
    assert_eq!(config::load(path, &world).unwrap().problems, loaded.problems);
}

fn look(problems: &Problems, bytes: &[u8]) {
    let lines = bytes.split(|&b| b == b'\n').count();
    for problem in problems.iter() {
        assert!((1..=lines).contains(&problem.place.line), "{problem}");
        assert!(!problem.message.is_empty());
    }
    let shown = problems.render(false);
    assert_eq!(shown.is_empty(), problems.is_empty());
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

/// Valid and invalid files to begin with: mutations of them reach further than noise.
fn corpus() -> Vec<Vec<u8>> {
    let mut files = vec![config::default_text().replace("\n# ", "\n").into_bytes()];
    for folder in ["tests/data/bad", "tests/data/good"] {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
        paths.sort();
        files.extend(paths.iter().map(|path| fs::read(path).unwrap()));
    }
    files
}

/// One edit: what is cut at a place, and what is put there.
fn edit() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let tokens = prop::sample::select(vec![
        "\"",
        "'''",
        "\"\"\"",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        "==",
        ".",
        ",",
        "\n",
        "\r\n",
        "#",
        "\\",
        "\u{1b}[31m",
        "ä",
        "\u{feff}",
        "inf",
        "nan",
        "-0",
        "1e999",
        "0x",
        "99999999999999999999",
        "1979-05-27T07:32:00Z",
        "true",
        "{{",
        "{%",
        "password = ",
        "[signal]",
        "[[cause]]",
        "[signal.x]",
        "a.b.c = 1\n",
        "''",
        "\t",
    ]);
    let put = prop_oneof![
        tokens.prop_map(|token| token.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    (any::<prop::sample::Index>(), 0_usize..12, put)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "[\\[\\]{}=\"'.,#a-c0-9 \n\\\\-]{0,120}") {
        read_all(text.as_bytes());
    }

    #[test]
    fn any_mutation_is_read_without_a_panic(
        file in prop::sample::select(corpus()),
        edits in prop::collection::vec(edit(), 1..5),
    ) {
        let mut bytes = file;
        for (place, cut, put) in edits {
            let start = place.index(bytes.len() + 1);
            let end = (start + cut).min(bytes.len());
            bytes.splice(start..end, put);
        }
        read_all(&bytes);
    }
}

#[test]
fn files_full_of_mistakes_are_told_in_short() {
    let mut keys = String::new();
    for i in 0..20_000 {
        writeln!(keys, "k{i} = 1").unwrap();
    }
    for text in [
        keys,
        format!("signal = [{}]", "{ n = 1 },".repeat(20_000)),
        format!("[[signal]]\nrequires = [{}]", "1,".repeat(100_000)),
        "= =\n".repeat(50_000),
    ] {
        let file = SourceFile::from_bytes(Path::new("f.toml"), text.into_bytes()).unwrap();
        let problems = rules::load(&[file]).1;
        assert_eq!(problems.iter().count(), PROBLEMS_MAX);
        let shown = problems.render(false);
        assert!(shown.len() < 400 * PROBLEMS_MAX, "{} bytes", shown.len());
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for (open, close) in [("[", "]"), ("{ a = ", " }")] {
        let text = format!("x = {}1{}", open.repeat(100_000), close.repeat(100_000));
        read_all(text.as_bytes());
    }
    read_all(format!("{} = 1", vec!["a"; 100_000].join(".")).as_bytes());
    read_all(format!("[{}]", vec!["a"; 100_000].join(".")).as_bytes());
    let template = format!("{}x{}", "{% if a %}".repeat(10_000), "{% endif %}".repeat(10_000));
    read_all(format!("[[cause]]\nid = 'c'\n[cause.steps]\nfix = [\"{template}\"]").as_bytes());
}
