//! Layers of the house and stages of the engine.

/// Top-level modules, lowest first. A module may name its own row and the rows above it in this
/// table; within a row two modules never name each other both ways.
pub(crate) const LAYERS: &[&[&str]] = &[
    &["problem", "format", "time", "series", "selector"],
    &["stats", "hours", "html"],
    &["rules"],
    &["engine"],
    &["matcher", "scorecard"],
    &["course"],
    &["changes", "store", "notify", "source", "lab", "replay", "coverage", "http", "telemetry"],
    &["discover"],
    &["config"],
    &["retro"],
    &["rule_test"],
    &["schema"],
    // Only what stands below this line may know what time it is.
    &["clock"],
    &["daemon", "cli"],
    &["main"],
];

/// Files and folders of `src/engine`, in the order in which data flows. The first row is
/// vocabulary that every stage may name; the last is the engine itself, which drives the stages and
/// may name them all.
pub(crate) const STAGES: &[&[&str]] = &[
    &["alert", "changes", "chart", "grid", "maintenance", "outcome"],
    &["archive"],
    &["history"],
    &["transform"],
    &["baseline"],
    &["detect"],
    &["places"],
    &["open", "peer"],
    &["track"],
    &["peers"],
    &["vote"],
    &["stirs"],
    &["service"],
    &["learn"],
    &["calendar"],
    &["correlate"],
    &["forecast"],
    &["breakdown"],
    &["past"],
    &["experience"],
    &["diagnose"],
    &["lifecycle"],
    &[
        "mod",
        "adopt",
        "appraise",
        "controllers",
        "draw",
        "incidents",
        "explain",
        "feedback",
        "headline",
        "message",
        "naming",
        "overview",
        "questions",
        "relevel",
        "creep",
        "scores",
        "silent",
        "snapshot",
        "users",
    ],
];
