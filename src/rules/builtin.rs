//! The rules that the program brings along: what is used where a user names no files.

use crate::problem::SourceFile;

/// What stands before the path of a built-in file in problems.
const PREFIX: &str = "built-in ";

/// One file of the repository's `rules` folder.
macro_rules! shipped {
    ($path:literal) => {
        ($path, include_str!(concat!("../../", $path)))
    };
}

const HTTP: (&str, &str) = shipped!("rules/signals/http.toml");

const LAB: (&str, &str) = shipped!("rules/signals/lab.toml");

const CAUSES: [(&str, &str); 21] = [
    shipped!("rules/causes/bad-deploy.toml"),
    shipped!("rules/causes/cache-divergence.toml"),
    shipped!("rules/causes/config-change.toml"),
    shipped!("rules/causes/data-shape.toml"),
    shipped!("rules/causes/hot-tenant.toml"),
    shipped!("rules/causes/instance-outlier.toml"),
    shipped!("rules/causes/log-flood.toml"),
    shipped!("rules/causes/mixed-deploy.toml"),
    shipped!("rules/causes/network-path.toml"),
    shipped!("rules/causes/overload.toml"),
    shipped!("rules/causes/pool-exhaustion.toml"),
    shipped!("rules/causes/queue-backlog.toml"),
    shipped!("rules/causes/resource-contention.toml"),
    shipped!("rules/causes/resource-leak.toml"),
    shipped!("rules/causes/retry-amplification.toml"),
    shipped!("rules/causes/slow-dependency.toml"),
    shipped!("rules/causes/telemetry-gap.toml"),
    shipped!("rules/causes/third-party-throttling.toml"),
    shipped!("rules/causes/time-boundary.toml"),
    shipped!("rules/causes/unexplained-drift.toml"),
    shipped!("rules/causes/write-race.toml"),
];

/// The signals that most services have, and every cause.
pub fn builtin() -> Vec<SourceFile> {
    let mut files = builtin_signals();
    files.extend(builtin_causes());
    files
}

/// The signals of the simulated fleet, and every cause.
pub fn builtin_lab() -> Vec<SourceFile> {
    let mut files = vec![file(LAB)];
    files.extend(builtin_causes());
    files
}

/// The signals that most services have: HTTP, RPC and database clients.
pub fn builtin_signals() -> Vec<SourceFile> {
    vec![file(HTTP)]
}

/// Every cause, in order of name.
pub fn builtin_causes() -> Vec<SourceFile> {
    CAUSES.into_iter().map(file).collect()
}

fn file((path, text): (&str, &str)) -> SourceFile {
    SourceFile { path: format!("{PREFIX}{path}").into(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::rules::load;

    #[test]
    fn every_shipped_file_is_built_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut shipped = BTreeSet::new();
        for folder in ["rules/signals", "rules/causes"] {
            for entry in fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                shipped.insert(format!("built-in {folder}/{name}"));
            }
        }
        let files: BTreeSet<String> = builtin()
            .iter()
            .chain(&builtin_lab())
            .map(|file| file.path.display().to_string())
            .collect();
        assert_eq!(files, shipped);
    }

    #[test]
    fn built_in_rules_have_no_problem() {
        for (files, signal) in [(builtin(), "http-latency-p99"), (builtin_lab(), "lab-traffic")] {
            let (set, problems) = load(&files);
            assert!(problems.is_empty(), "{}", problems.render(false));
            assert_eq!(set.causes.len(), CAUSES.len());
            assert!(set.signals.iter().any(|known| known.name == signal), "{signal}");
        }
    }
}
