//! The rules that the program brings along: what is used where a user names no files.

use crate::problem::SourceFile;

/// What stands before the path of a built-in file in problems.
pub const BUILT_IN_PREFIX: &str = "built-in ";

/// One file of the repository's `rules` folder.
macro_rules! shipped {
    ($path:literal) => {
        ($path, include_str!(concat!("../../", $path)))
    };
}

const LAB: (&str, &str) = shipped!("rules/signals/lab.toml");

/// Signals by what exposes them.
const PACKS: [(&str, &str); 39] = [
    shipped!("rules/signals/cache-memcached.toml"),
    shipped!("rules/signals/cache-micrometer.toml"),
    shipped!("rules/signals/cache-redis.toml"),
    shipped!("rules/signals/db-cockroach.toml"),
    shipped!("rules/signals/db-conflicts-otel.toml"),
    shipped!("rules/signals/db-mongo.toml"),
    shipped!("rules/signals/db-mysql.toml"),
    shipped!("rules/signals/db-postgres.toml"),
    shipped!("rules/signals/envoy.toml"),
    shipped!("rules/signals/grpc-go.toml"),
    shipped!("rules/signals/grpc-otel.toml"),
    shipped!("rules/signals/haproxy.toml"),
    shipped!("rules/signals/http.toml"),
    shipped!("rules/signals/http-django.toml"),
    shipped!("rules/signals/http-native.toml"),
    shipped!("rules/signals/http-rails.toml"),
    shipped!("rules/signals/http-spans.toml"),
    shipped!("rules/signals/http-spring.toml"),
    shipped!("rules/signals/ingress-nginx.toml"),
    shipped!("rules/signals/istio.toml"),
    shipped!("rules/signals/kubernetes.toml"),
    shipped!("rules/signals/logs-pipeline.toml"),
    shipped!("rules/signals/machine-node.toml"),
    shipped!("rules/signals/pool-go-sql.toml"),
    shipped!("rules/signals/pool-hikari.toml"),
    shipped!("rules/signals/pool-pgbouncer.toml"),
    shipped!("rules/signals/pool-pgx.toml"),
    shipped!("rules/signals/prometheus.toml"),
    shipped!("rules/signals/queue-celery.toml"),
    shipped!("rules/signals/queue-kafka.toml"),
    shipped!("rules/signals/queue-rabbitmq.toml"),
    shipped!("rules/signals/queue-sidekiq.toml"),
    shipped!("rules/signals/queue-sqs.toml"),
    shipped!("rules/signals/runtime-go.toml"),
    shipped!("rules/signals/runtime-jvm.toml"),
    shipped!("rules/signals/runtime-node.toml"),
    shipped!("rules/signals/runtime-process.toml"),
    shipped!("rules/signals/service-graph.toml"),
    shipped!("rules/signals/traefik.toml"),
];

/// The pack that is used where a user names no files.
const DEFAULT_PACK: &str = "http";

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
    packs().filter(|pack| pack.name == DEFAULT_PACK).map(|pack| pack.file()).collect()
}

/// Signals that belong together because one program exposes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Its name: that of the file, without `.toml`.
    pub name: &'static str,
    /// Its path in the repository.
    path: &'static str,
    /// The rule file.
    pub text: &'static str,
}

impl Pack {
    /// What it is for: the first sentence of the file.
    pub fn about(&self) -> String {
        let comment = self.text.lines().map_while(|line| line.strip_prefix('#'));
        let text: Vec<&str> = comment.map(str::trim).collect();
        let text = text.join(" ");
        text.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned()
    }

    /// The rule file, as if it had been read.
    pub fn file(&self) -> SourceFile {
        file((self.path, self.text))
    }
}

/// Every pack that the program brings along, in order of name.
pub fn packs() -> impl Iterator<Item = Pack> {
    PACKS.into_iter().filter_map(|(path, text)| {
        let name = path.rsplit('/').next()?.strip_suffix(".toml")?;
        Some(Pack { name, path, text })
    })
}

/// Every cause, in order of name.
pub fn builtin_causes() -> Vec<SourceFile> {
    CAUSES.into_iter().map(file).collect()
}

fn file((path, text): (&str, &str)) -> SourceFile {
    SourceFile { path: format!("{BUILT_IN_PREFIX}{path}").into(), text: text.to_owned() }
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
        let packs: Vec<SourceFile> = packs().map(|pack| pack.file()).collect();
        let files: BTreeSet<String> = packs
            .iter()
            .chain(&builtin_lab())
            .map(|file| file.path.display().to_string())
            .collect();
        assert_eq!(files, shipped);
    }

    #[test]
    fn packs_can_be_used_together_and_say_what_they_are_for() {
        let files: Vec<SourceFile> = packs().map(|pack| pack.file()).collect();
        let (set, problems) = load(&files);
        assert!(problems.is_empty(), "{}", problems.render(false));
        assert!(set.signals.iter().all(|signal| !signal.requires.is_empty()));
        for pack in packs() {
            assert!(pack.about().len() > 20, "{}: {}", pack.name, pack.about());
        }
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
