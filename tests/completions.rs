//! Completions of shells, in a real one where there is one.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::process::Command;

/// What the program prints.
fn printed(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_grayflag")).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_offers_subcommands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("grayflag.bash");
    std::fs::write(&script, printed(&["completions", "bash"])).unwrap();
    // What bash does when a person presses the tabulator.
    let press = r#"
        set -e
        source "$1"; shift
        complete -p grayflag > /dev/null
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _grayflag grayflag "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let offered = |words: &[&str]| {
        let bash = Command::new("bash")
            .args(["--norc", "-c", press, "bash", script.to_str().unwrap()])
            .args(words)
            .output()
            .unwrap();
        assert!(bash.status.success(), "{}", String::from_utf8_lossy(&bash.stderr));
        let text = String::from_utf8(bash.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offered(&["grayflag", "che"]), ["check"]);
    let all = offered(&["grayflag", ""]);
    for command in ["run", "demo", "check", "replay", "schema", "completions"] {
        assert!(all.iter().any(|word| word == command), "{command}: {all:?}");
    }
    assert!(offered(&["grayflag", "check", "--b"]).contains(&"--backend".to_owned()));
    assert_eq!(offered(&["grayflag", "schema", "ru"]), ["rules"]);
}

#[test]
fn every_shell_gets_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("grayflag") && script.contains("coverage"), "{shell}");
    }
}

#[test]
fn schemas_are_printed_under_every_name() {
    for (name, part) in [("config", "\"poll\""), ("rules", "\"signal\""), ("tests", "\"warm_up\"")]
    {
        let text = printed(&["schema", name]);
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert!(text.contains(part), "{name}");
    }
    assert_eq!(printed(&["schema", "signals"]), printed(&["schema", "rules"]));
}
