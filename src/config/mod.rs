//! `config/grayflag.toml`: parsed, then validated, together with the rule files that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::changes::grafana::Annotations;
use crate::notify::heartbeat::HeartbeatConfig;
use crate::notify::receiver::ReceiverConfig;
use crate::notify::routes::{Quiet, Route};
use crate::notify::templates::Templates;
use crate::problem::{Document, Problems, SourceFile, Table, Trace};
use crate::rules::{Budget, RuleSet, Rules};

mod advice;
mod changes;
mod default_text;
mod digest;
mod fleet;
mod heartbeat;
mod hours;
mod http;
mod maintenance;
mod network;
mod poll;
mod receivers;
mod routes;
mod rule_files;
mod runtime;
mod secret;
mod source;
mod templates;
mod watched;
mod world;

pub use advice::Advice;
pub use default_text::default_text;
pub use digest::DigestPlan;
pub use maintenance::MAINTENANCE_MAX;
pub use poll::{HISTORY_MAX, HISTORY_MIN, INTERVAL_GRID, INTERVAL_MIN, Poll, SETTLE_MAX, Store};
pub use receivers::RECEIVERS_MAX;
pub use routes::ROUTES_MAX;
pub use rule_files::RULE_FILES_MAX;
pub use runtime::Runtime;
pub use watched::Fingerprint;
pub use world::{Machine, World};

use watched::Watched;

// Rule tests are files of the same kind.
pub(crate) use fleet::services;
pub(crate) use poll::{interval, timezone};
pub(crate) use rule_files::named as rule_files_named;

/// Everything a run needs to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// When and over what time the backend is read.
    pub poll: Poll,
    /// What the engine has to know.
    pub rules: Rules,
    /// The metrics backend.
    pub source: crate::source::Config,
    /// Where state is kept.
    pub store: Store,
    /// Where pages and API are served.
    pub http: crate::http::Config,
    /// Who is told that all is well, if anybody.
    pub heartbeat: Option<HeartbeatConfig>,
    /// Annotations that mark changes.
    pub annotations: Vec<Annotations>,
    /// Where alerts can go.
    pub receivers: Vec<ReceiverConfig>,
    /// Which alerts go where, in order.
    pub routes: Vec<Route>,
    /// When digests are told, and to whom.
    pub digest: DigestPlan,
    /// When receivers are not to be disturbed, by name.
    pub quiet: BTreeMap<String, Quiet>,
    /// How messages are laid out.
    pub templates: Templates,
    /// What concerns the running program alone.
    pub runtime: Runtime,
}

impl Default for Config {
    /// What an empty file says, without any rules.
    fn default() -> Self {
        Self {
            poll: Poll::default(),
            rules: Rules::default(),
            source: source::default(),
            store: Store::default(),
            http: crate::http::Config::default(),
            heartbeat: None,
            annotations: Vec::new(),
            receivers: Vec::new(),
            routes: Vec::new(),
            digest: DigestPlan::new(Poll::default().timezone, &[]),
            quiet: BTreeMap::new(),
            templates: Templates::default(),
            runtime: Runtime::default(),
        }
    }
}

/// What came of reading a configuration.
#[derive(Clone, Debug)]
#[must_use = "problems that nobody reads help nobody"]
pub struct Loaded {
    /// The configuration, if no problem is an error.
    pub config: Option<Config>,
    /// Everything that is wrong with it and with the rule files.
    pub problems: Problems,
    /// How many rule files were read, built-in ones among them.
    pub rule_files: usize,
    /// What it was read from.
    pub read: Fingerprint,
    /// What signals and causes lack beside each other; for `grayflag check`.
    pub advice: Advice,
}

/// Why a configuration could not even be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`\nhint: `grayflag config --default` writes one to start from", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What sections need besides their own table.
pub(crate) struct Context<'c> {
    /// The folder of the configuration: relative paths begin here.
    folder: PathBuf,
    world: &'c dyn World,
}

impl<'c> Context<'c> {
    /// The surroundings of the file at `path`.
    pub(crate) fn beside(path: &Path, world: &'c dyn World) -> Self {
        Self { folder: path.parent().map(Path::to_owned).unwrap_or_default(), world }
    }

    /// A path of the file, relative to its folder.
    fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

/// Reads a configuration and the rule files that it names.
///
/// # Errors
///
/// Returns an error only if the configuration file itself cannot be read; what is wrong
/// inside is among the problems.
pub fn load(path: &Path, world: &dyn World) -> Result<Loaded, ConfigError> {
    let watched = Watched::new(world);
    let Read { config, problems, rule_files, advice } = read(path, &watched)?;
    Ok(Loaded { config, problems, rule_files, read: watched.fingerprint(), advice })
}

/// [`Loaded`] without what it was read from.
#[derive(Default)]
struct Read {
    config: Option<Config>,
    problems: Problems,
    rule_files: usize,
    advice: Advice,
}

fn read(path: &Path, world: &dyn World) -> Result<Read, ConfigError> {
    let bytes =
        world.read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let mut problems = Problems::default();
    let file = match SourceFile::from_bytes(path, bytes) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(*problem);
            return Ok(Read { problems, ..Read::default() });
        }
    };
    let context = Context::beside(path, world);
    let document = Document::parse(&file);
    let root = document.root();
    let paths = rule_files::paths(&root, &context);
    let (set, rule_problems) = crate::rules::load(&paths.files);
    let rule_files = paths.files.len();
    problems.extend(paths.problems);
    let complete = !rule_problems.has_errors() && !problems.has_errors();
    problems.extend(rule_problems);
    let (templates, template_problems) = templates::templates(root.table("templates"), &context);
    problems.extend(template_problems);
    let places = (set.signal_places.clone(), set.cause_places.clone());
    let config = sections(root, &context, (set, complete), templates);
    problems.extend(document.finish());
    let config = config.filter(|_| !problems.has_errors());
    let advice = config
        .as_ref()
        .map_or_else(Advice::default, |config| advice::advice(&config.rules, &places.0, &places.1));
    Ok(Read { config, problems, rule_files, advice })
}

/// The keys that a configuration can have, as far as `file` has the tables that they stand in.
pub fn keys(file: &SourceFile, world: &dyn World) -> Trace {
    let context = Context::beside(&file.path, world);
    let document = Document::traced(file);
    let root = document.root();
    let set = crate::rules::load(&rule_files::paths(&root, &context).files).0;
    let (templates, _) = templates::templates(root.table("templates"), &context);
    let _ = sections(root, &context, (set, false), templates);
    document.keys()
}

/// Reads every other section; `complete` says that the rule files have no errors, so that a cause
/// that is not among them does not exist.
fn sections(
    root: Table<'_>,
    context: &Context<'_>,
    (set, complete): (RuleSet, bool),
    templates: Templates,
) -> Option<Config> {
    let poll = root.table("poll").map_or_else(Poll::default, poll::poll);
    let budget = root.table("budget").map_or_else(|| Some(Budget::default()), poll::budget);
    let source = root
        .table("source")
        .map_or_else(|| Some(source::default()), |t| source::source(t, context));
    let store =
        root.table("store").map_or_else(|| Some(Store::new(context)), |t| poll::store(t, context));
    let http = root
        .table("http")
        .map_or_else(|| Some(crate::http::Config::default()), |t| http::http(t, context));
    let heartbeat = root.table("heartbeat").map(|t| heartbeat::heartbeat(t, context));
    let services = services(&root);
    let runtime = runtime::runtime(&root);
    let topology = root.table("topology").and_then(fleet::topology);
    let (changes, annotations) = changes::changes(&root, context);
    let maintenance = maintenance::maintenance(&root, &services, &poll.timezone);
    let receivers = receivers::receivers(&root, context, &services, &poll.timezone);
    let causes =
        complete.then(|| set.causes.iter().map(|cause| cause.id.as_str()).collect::<BTreeSet<_>>());
    let digest = match root.table("digest") {
        Some(table) => digest::digest(table, &poll.timezone, &receivers.list, &receivers.names),
        None => DigestPlan::new(poll.timezone.clone(), &receivers.list),
    };
    let signals: Option<BTreeSet<&str>> =
        complete.then(|| set.signals.iter().map(|signal| signal.name.as_str()).collect());
    let known = routes::Known {
        receivers: &receivers.names,
        causes: causes.as_ref(),
        signals: signals.as_ref(),
        services: &services,
        timezone: &poll.timezone,
    };
    let routes = routes::routes(&root, &known);
    root.finish();
    let templates = templates.in_zone(poll.timezone.clone());
    Some(Config {
        poll,
        rules: Rules {
            signals: set.signals,
            causes: set.causes,
            services,
            told: annotations.iter().map(|marks| marks.kind).collect(),
            changes: set.changes.into_iter().chain(changes).collect(),
            maintenance,
            topology,
            budget: budget?,
        },
        source: source?,
        store: store?,
        http: http?,
        heartbeat: heartbeat.flatten(),
        annotations,
        receivers: receivers.list,
        routes,
        quiet: receivers.quiet,
        digest,
        templates,
        runtime,
    })
}
