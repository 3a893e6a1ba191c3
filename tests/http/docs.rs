//! The examples of docs/api.md, run as they stand there.

use std::process::Command;

use super::*;

/// An example: a command, and the answer that is shown below it.
struct Example {
    command: String,
    answer: String,
}

fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let mut open = false;
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                examples.push(Example { command: command.to_owned(), answer: String::new() });
                open = command.ends_with('\\');
                continue;
            }
            let example = examples.last_mut().unwrap();
            let part = if open { &mut example.command } else { &mut example.answer };
            part.push('\n');
            part.push_str(line);
            open = open && line.ends_with('\\');
        }
    }
    examples
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_documentation_work() {
    let served = Served::start(|_| {}).await.with_incidents().await;
    served.is_ready();
    let text = std::fs::read_to_string("docs/api.md").unwrap();
    let examples = examples(&text);
    assert!(examples.len() >= 10, "{}", examples.len());
    for Example { command, answer } in examples {
        let here = command
            .replace("http://127.0.0.1:9469", &served.url)
            .replace("checkout-20260301T0212Z-4f1a", OPEN)
            .replace("silences/3", "silences/1");
        assert!(here.contains(&served.url), "{command}");
        let fails = if answer.contains("\"status\": 4") { "" } else { "--fail-with-body" };
        let script = format!("curl() {{ command curl --silent {fails} \"$@\"; }}\n{here}");
        let run = move || Command::new("bash").args(["-c", &script]).output().unwrap();
        let done = tokio::task::spawn_blocking(run).await.unwrap();
        let got = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{command}: {got}");
        if answer.trim().is_empty() {
            continue;
        }
        // Values differ; what there is does not.
        let keys = |text: &str| -> Vec<String> {
            let value: Value = serde_json::from_str(text).unwrap();
            let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&got), keys(&answer), "{command}");
    }
}
