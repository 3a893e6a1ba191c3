//! The page on methods and the code speak of the same things.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::BTreeSet;
use std::path::Path;

/// Every Rust source below a folder, as one text.
fn sources(folder: &Path) -> String {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    let mut text = String::new();
    for path in entries {
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text
}

fn page() -> String {
    std::fs::read_to_string("docs/methods.md").unwrap()
}

#[test]
fn every_reference_to_the_methods_resolves() {
    let page = page();
    let code = sources(Path::new("src"));
    let mut found = BTreeSet::new();
    for comment in code.split("METHODS ").skip(1) {
        let section: String =
            comment.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        found.insert(section.trim_end_matches('.').to_owned());
    }
    assert!(found.len() > 10, "{found:?}");
    for section in found {
        assert!(page.contains(&format!("\n## {section} ")), "METHODS {section}");
    }
}

#[test]
fn constants_and_tests_that_the_page_names_exist() {
    let code = sources(Path::new("src")) + &sources(Path::new("tests"));
    let page = page();
    let named: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|quoted| quoted.split_whitespace().next())
        .filter(|word| word.contains('_') && !word.contains(['/', '.']))
        .collect();
    assert!(named.len() > 40, "{named:?}");
    for name in named {
        assert!(code.contains(name.trim_end_matches("()")), "`{name}`");
    }
}
