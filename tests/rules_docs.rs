//! What `docs/rules.md` and the doc comments say about rule files is what the parser reads.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use grayflag::problem::SourceFile;
use grayflag::rules::{self, Role, STEP_FACTS, WITHIN_DEFAULT, WITHIN_MAX};
use grayflag::time::Span;
use toml::{Table, Value};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The part of `docs/rules.md` between two headings.
fn section(from: &str, to: &str) -> String {
    let text = read("docs/rules.md");
    let (_, after) = text.split_once(&format!("{from}\n")).unwrap();
    after.split_once(&format!("\n{to}\n")).unwrap().0.to_owned()
}

/// The rows of the tables of a section, as cells.
fn rows(section: &str) -> Vec<Vec<&str>> {
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What the parser says about a form of `see`: one line per problem, each with its hint.
fn problems_with(see: &str) -> Vec<String> {
    let text = format!(
        "[[cause]]\nid = 'c'\ntitle = 't'\nexplain = 'e'\nprior = 0.1\n\
         [[cause.evidence]]\nsee = {see}\nlikely = 0.9\notherwise = 0.1\n"
    );
    let (_, problems) = rules::load(&[SourceFile { path: PathBuf::from("c.toml"), text }]);
    problems.iter().map(ToString::to_string).collect()
}

/// A form's keys, by which forms are told apart, and the form.
fn by_keys<'f>(forms: impl IntoIterator<Item = &'f str>) -> BTreeMap<Vec<String>, &'f str> {
    let keys = |form: &str| table(form).keys().cloned().collect();
    forms.into_iter().map(|form| (keys(form), form)).collect()
}

fn table(form: &str) -> Table {
    let file: Table = format!("see = {form}").parse().unwrap();
    file["see"].as_table().unwrap().clone()
}

/// The words that the parser takes for the keys of a form, roles and spans aside.
fn words_taken(form: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    // These take any role, or any label.
    let open = ["role", "first", "then", "of", "label"];
    for key in table(form).keys().filter(|key| !open.contains(&key.as_str())) {
        let mut wrong = table(form);
        wrong.insert(key.clone(), Value::from("no-such-word-anywhere"));
        let told = problems_with(&Value::Table(wrong).to_string());
        assert_eq!(told.len(), 1, "{key} of {form} takes anything: {told:?}");
        if let Some((_, known)) = told[0].split_once("it can be: ") {
            words.extend(quoted(known).into_iter().map(str::to_owned));
        }
    }
    words
}

#[test]
fn the_documented_forms_of_see_are_the_parsers() {
    let told = problems_with("{ }");
    let (_, known) = told[0].split_once("it is one of: ").unwrap();
    let parser = by_keys(known.split(" · "));
    let page = section("### What `see` can say", "### Steps");
    let rows = rows(&page);
    let documented = by_keys(rows.iter().map(|row| quoted(row[0])[0]));
    assert_eq!(rows.len(), documented.len(), "a form stands there twice");

    let code = read("src/rules/mod.rs");
    let (before, _) = code.split_once("pub enum See {").unwrap();
    let comment = before.rsplit("\n\n").next().unwrap().replace("\n///", "");
    let commented = by_keys(quoted(&comment).into_iter().filter(|text| text.starts_with('{')));

    let keys = |forms: &BTreeMap<Vec<String>, &str>| forms.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&documented), keys(&parser));
    assert_eq!(keys(&commented), keys(&parser));
    for form in parser.values().chain(documented.values()).chain(commented.values()) {
        assert_eq!(problems_with(form), [""; 0], "{form}");
    }
}

#[test]
fn the_documented_words_of_see_are_the_parsers() {
    let page = section("### What `see` can say", "### Steps");
    for row in rows(&page) {
        let form = quoted(row[0])[0];
        let mut documented: BTreeSet<String> =
            quoted(row[1]).into_iter().map(str::to_owned).collect();
        if documented.remove("within") {
            assert!(documented.remove(&WITHIN_DEFAULT.to_string()), "{form}");
        }
        // A form with one word has nothing to list.
        if let (true, Some(Value::String(word))) = (row[1].is_empty(), table(form).values().next())
        {
            documented.insert(word.clone());
        }
        assert_eq!(words_taken(form), documented, "{form}");
    }
    assert_eq!(WITHIN_MAX, Span::WEEK);
    assert!(page.contains("`within` is at most a week"));
}

#[test]
fn the_documented_facts_of_steps_are_the_parsers() {
    let page = section("### Steps", "```jinja");
    let (_, facts) = page.split_once("| fact |").unwrap();
    let rows = rows(facts);
    let mut documented: Vec<_> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    documented.sort_unstable();
    let mut facts = STEP_FACTS;
    facts.sort_unstable();
    assert_eq!(documented, facts);
}

#[test]
fn the_documented_roles_are_the_roles() {
    let page = section("### Roles", "## Causes");
    let documented: Vec<_> = rows(&page)
        .iter()
        .map(|cells| format!("{} {} {}", cells[0].trim_matches('`'), cells[2], cells[3]))
        .collect();
    let roles = Role::ALL
        .iter()
        .map(|role| format!("{role} {:?} {:?}", role.worse(), role.scale()).to_ascii_lowercase());
    assert_eq!(documented, roles.collect::<Vec<_>>());
}
