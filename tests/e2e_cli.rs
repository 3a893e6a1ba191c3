//! The commands as a user types them: exit statuses, one clear message, data and nothing else on
//! standard output.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::process::{Command, Output};

use e2e::Home;

/// A port of the loopback interface that nothing listens on.
const NOBODY: &str = "http://127.0.0.1:1";

fn grayflag(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_grayflag")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Status 2, nothing on standard output, and one message that holds this.
fn refused(output: &Output, part: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(text(&output.stdout), "");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
    assert!(said.contains(part), "no {part:?} in {said}");
}

#[test]
fn check_tells_good_from_bad_from_missing() {
    let good = Home::new(NOBODY, "1m", "");
    let checked = good.command("check").output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).contains("no problems"), "{}", text(&checked.stdout));

    let bad = Home::new(NOBODY, "1m", "[[route]]\nto = [\"nobody\"]\ncolour = \"red\"\n");
    let checked = bad.command("check").output().unwrap();
    assert_eq!(checked.status.code(), Some(1), "{}", text(&checked.stderr));
    let told = text(&checked.stdout);
    for part in ["nobody", "colour", "grayflag.toml"] {
        assert!(told.contains(part), "no {part} in {told}");
    }

    std::fs::remove_file(bad.config()).unwrap();
    refused(&bad.command("check").output().unwrap(), "grayflag.toml");
}

#[test]
fn a_config_with_problems_starts_nothing() {
    let bad = Home::new(NOBODY, "7m", "");
    for mut command in [bad.command("run"), bad.command("replay")] {
        command.args(["--to", "2026-03-02T00:00:00Z"]);
        if command.get_args().next().is_some_and(|name| name == "replay") {
            command.args(["--from", "2026-03-01T00:00:00Z"]);
        }
        let output = command.output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("interval") && text(&output.stdout).is_empty(), "{said}");
    }
    assert!(!bad.path("state.db").exists());
}

#[test]
fn the_default_config_is_the_file_in_the_repository() {
    let printed = grayflag(&["config", "--default"]);
    assert!(printed.status.success());
    assert_eq!(text(&printed.stdout), e2e::repository("config/grayflag.toml"));
}

#[test]
fn replay_refuses_what_it_cannot_do() {
    let home = Home::new(NOBODY, "5m", "");
    let (early, late) = ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
    for (args, part) in [
        (vec!["--from", late, "--to", early], "backwards"),
        (vec!["--from", "yesterday", "--to", late], "yesterday"),
        (vec!["--from", early], "--to"),
        (vec!["--from", early, "--to", late, "--format", "xml"], "xml"),
        (vec!["--from", early, "--to", late, "--scores", "/nowhere/x.csv"], "/nowhere/x.csv"),
        (vec!["--from", early, "--to", late], "cannot connect"),
        // Understood: what cannot be done is what comes after.
        (vec!["--from", early, "--to", "now"], "cannot connect"),
        (vec!["--from", "now", "--to", "now"], "nothing has settled since"),
    ] {
        refused(&home.command("replay").args(args).output().unwrap(), part);
    }
    let review = home.command("retro").args(["--at", "now"]).output().unwrap();
    refused(&review, "cannot connect");
}

#[test]
fn run_refuses_what_it_cannot_do() {
    let home = Home::new(NOBODY, "5m", "");
    for (args, part) in [
        (vec!["--rehearse", "2026-03-02T00:00:00Z", "--to", "2026-03-01T00:00:00Z"], "backwards"),
        (vec!["--log", "=loud="], "=loud="),
    ] {
        refused(&home.command("run").args(args).output().unwrap(), part);
    }
    std::fs::write(home.path("state.db"), "not a state file, whatever else it may be").unwrap();
    refused(&home.command("run").output().unwrap(), "not a grayflag state file");
}

#[test]
fn every_command_has_help() {
    let overview = grayflag(&["--help"]);
    assert!(overview.status.success());
    let overview = text(&overview.stdout);
    for command in ["run", "check", "replay", "incidents", "feedback", "config"] {
        assert!(overview.contains(&format!("\n  {command} ")), "{overview}");
        let help = grayflag(&[command, "--help"]);
        assert!(help.status.success() && help.stderr.is_empty());
        assert!(text(&help.stdout).contains(&format!("Usage: grayflag {command}")));
    }
    assert_eq!(grayflag(&[]).status.code(), Some(2));
    assert_eq!(grayflag(&["sing"]).status.code(), Some(2));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_trouble() {
    let home = Home::new(NOBODY, "5m", "");
    let (program, config) = (env!("CARGO_BIN_EXE_grayflag"), home.config());
    let left = |command: &str| {
        // The reader is gone before the program writes.
        let line = format!("(sleep 0.1; '{program}' {command}; echo $? >&2) | true");
        text(&Command::new("bash").args(["-c", &line]).output().unwrap().stderr)
    };
    let check = format!("check --config '{}'", config.display());
    for command in ["config --default", &check, "--help", "replay --help"] {
        assert_eq!(left(command), "0\n", "{command}");
    }
    // Nobody reads what is wrong; that something is, is told all the same.
    let bad = Home::new(NOBODY, "1m", "[[route]]\nto = [\"nobody\"]\n");
    assert_eq!(left(&format!("check --config '{}'", bad.config().display())), "1\n");
    let failed = left(&format!("{check} --backend"));
    assert!(failed.ends_with("\n2\n"), "the backend is away: {failed}");
}

#[test]
fn templates_are_written_once_and_can_be_used() {
    let home = Home::new(NOBODY, "1m", "[templates]\ndir = \"templates\"\n");
    let folder = home.config().parent().unwrap().join("templates");
    let written = || grayflag(&["config", "--templates", folder.to_str().unwrap()]);
    let first = written();
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    assert_eq!(text(&first.stdout), "");
    let names = grayflag::notify::templates::BUILT_IN.map(|(name, _)| name);
    for name in names {
        assert!(folder.join(name).is_file(), "{name}");
    }
    std::fs::write(folder.join("mail.txt"), "{{ a.headline }}\n").unwrap();
    let second = written();
    assert_eq!(second.status.code(), Some(0));
    let said = text(&second.stderr);
    assert_eq!(said.matches("it is there already").count(), names.len(), "{said}");
    let kept = std::fs::read_to_string(folder.join("mail.txt")).unwrap();
    assert_eq!(kept, "{{ a.headline }}\n", "somebody's work stays");
    let checked = home.command("check").output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stdout));

    std::fs::write(folder.join("mail.txt"), "{{ a.headlin }}\n").unwrap();
    let checked = home.command("check").output().unwrap();
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stdout).contains("templates/mail.txt:1:4"), "{}", text(&checked.stdout));
}
