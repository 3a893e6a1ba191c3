//! `grayflag check`: the report and the verdict.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fs;
use std::path::Path;

use grayflag::cli::check::{CheckError, Verdict, check};
use grayflag::config::Machine;

/// Writes files into a new folder and checks its `grayflag.toml`.
fn run(files: &[(&str, &str)], colour: bool) -> (Verdict, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut out = Vec::new();
    let path = folder.path().join("grayflag.toml");
    let verdict = check(&path, &Machine, &mut out, colour).unwrap();
    let text = String::from_utf8(out).unwrap();
    (verdict, text.replace(folder.path().to_str().unwrap(), "DIR"))
}

const SIGNAL: &str = "[[signal]]\nname = \"a\"\nrole = \"cpu\"\nquery = \"a\"\n";
const PATHS: &str = "[rules]\npaths = [\"one.toml\", \"two.toml\"]\n";

#[test]
fn what_is_fine_is_summed_up() {
    let other = SIGNAL.replace("\"a\"", "\"b\"");
    let files = [("grayflag.toml", PATHS), ("one.toml", SIGNAL), ("two.toml", &other)];
    let (verdict, text) = run(&files, false);
    assert_eq!(verdict, Verdict::Fine);
    assert_eq!(
        text,
        "checked 1 config and 2 rule files: 2 signals, 0 causes, 0 receivers; no problems\n"
    );
    assert_eq!(verdict.exit_status(), 0);
}

#[test]
fn problems_of_all_files_are_told_together() {
    let config = format!("{PATHS}[poll]\nsetle = \"1s\"\n");
    let files = [("grayflag.toml", config.as_str()), ("one.toml", SIGNAL), ("two.toml", SIGNAL)];
    let (verdict, text) = run(&files, false);
    assert_eq!(verdict, Verdict::Errors);
    assert_eq!(verdict.exit_status(), 1);
    assert_eq!(
        text,
        "\
error: unknown key `setle` in [poll]
 --> DIR/grayflag.toml:4:1
  |
4 | setle = \"1s\"
  | ^^^^^
  |
  = hint: did you mean `settle`?

error: the signal `a` is there twice
 --> DIR/two.toml:2:8
  |
2 | name = \"a\"
  |        ^^^
  |
  = note: first at DIR/one.toml:2:8
  = hint: give one of the two another name, or remove it

2 problems in 2 files
"
    );
}

#[test]
fn warnings_alone_do_not_fail() {
    let config = "[rules]\npaths = [\"none-*.toml\"]\n";
    let (verdict, text) = run(&[("grayflag.toml", config)], false);
    assert_eq!(verdict, Verdict::Warnings);
    assert_eq!(verdict.exit_status(), 0);
    assert!(text.starts_with("warning: "), "{text}");
    assert!(
        text.ends_with(
            "checked 1 config and 0 rule files: 0 signals, 0 causes, 0 receivers; 1 problem in 1 file\n"
        ),
        "{text}"
    );
}

#[test]
fn colours_come_only_when_asked_for() {
    let files = [("grayflag.toml", "[pol]\n")];
    assert!(run(&files, true).1.contains('\u{1b}'));
    assert!(!run(&files, false).1.contains('\u{1b}'));
}

#[test]
fn bytes_that_are_no_text_are_a_problem_with_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grayflag.toml");
    fs::write(&path, b"[poll]\ninterval = \"\xff\"\n").unwrap();
    let mut out = Vec::new();
    assert_eq!(check(&path, &Machine, &mut out, false).unwrap(), Verdict::Errors);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("error: expected UTF-8 text, found byte 0xff\n"), "{text}");
    assert!(text.contains("grayflag.toml:2:13"), "{text}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_an_error() {
    let mut out = Vec::new();
    let error = check(Path::new("no-such-folder/g.toml"), &Machine, &mut out, false).unwrap_err();
    assert!(matches!(error, CheckError::Config(_)));
    assert_eq!(
        error.to_string(),
        "cannot read the configuration `no-such-folder/g.toml`\n\
         hint: `grayflag config --default` writes one to start from"
    );
    assert!(out.is_empty());
}

#[test]
fn shipped_causes_that_nothing_shows_are_told_in_one_note() {
    let (verdict, text) = run(&[("grayflag.toml", "")], false);
    assert_eq!(verdict, Verdict::Fine, "{text}");
    assert!(text.starts_with("note: no signal would show "), "{text}");
    assert_eq!((text.matches("note: ").count(), text.lines().count()), (1, 3), "{text}");
    // A cause of one's own is told where it stands.
    let cause = "[[cause]]\nid = \"x\"\ntitle = \"x\"\nexplain = \"x\"\nprior = 0.2\n\
                 [[cause.evidence]]\nsee = { role = \"gc\", is = \"rising\" }\n\
                 likely = 0.9\notherwise = 0.1\n";
    let files = [("grayflag.toml", PATHS), ("one.toml", SIGNAL), ("two.toml", cause)];
    let (verdict, text) = run(&files, false);
    assert_eq!(verdict, Verdict::Warnings, "{text}");
    assert!(
        text.contains("no signal can show the cause `x`: roles without a query: `gc`"),
        "{text}"
    );
    assert!(text.contains("DIR/two.toml:2:6"), "{text}");
}
