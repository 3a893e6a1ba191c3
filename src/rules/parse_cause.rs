//! `[[cause]]`: what speaks for it and what to do about it.

use super::load::{Names, plain_name};
use super::parse_see::see;
use super::template::check_step;
use super::{Cause, Evidence, Steps};
use crate::problem::{At, Problem, Table};

/// The cause that is left when no other fits: the only one that needs no evidence.
pub const UNEXPLAINED: &str = "unexplained-drift";

/// More evidence than this is refused: all of it is looked for in every incident.
pub const EVIDENCE_MAX: usize = 100;

/// Reads one cause; `None` if anything that it needs is wrong.
pub(super) fn cause(mut table: Table<'_>, names: &mut Names) -> Option<Cause> {
    let t = &mut table;
    let id = names.claim(t, "id");
    if let Some(id) = &id {
        plain_name(t, "id", id);
    }
    let t = &table;
    let title = t.required("title", Table::filled);
    let explain = t.required("explain", Table::filled);
    let prior = t.required("prior", probability);
    let evidence = evidence(t, id.as_deref());
    let steps = t.table("steps").map(steps).unwrap_or_default();
    table.finish();
    Some(Cause {
        id: id?,
        title: title?.value.to_owned(),
        explain: explain?.value.to_owned(),
        prior: prior?.value,
        evidence,
        steps,
    })
}

fn evidence(cause: &Table<'_>, id: Option<&str>) -> Vec<Evidence> {
    let tables = cause.tables("evidence");
    if tables.is_empty() && !cause.has("evidence") && id != Some(UNEXPLAINED) {
        let message = format!("no [[cause.evidence]] {}", cause.whereabouts());
        let hint = format!("say what would be seen; only `{UNEXPLAINED}` needs no evidence");
        cause.report(cause.error(cause.at(), message).hint(hint).of_absence());
    }
    let mut found: Vec<Evidence> = Vec::with_capacity(tables.len());
    if tables.len() > EVIDENCE_MAX {
        let message =
            format!("more than {EVIDENCE_MAX} pieces of evidence {}", cause.whereabouts());
        cause.report(cause.error(cause.at(), message));
    }
    for mut table in tables.into_iter().take(EVIDENCE_MAX) {
        table.rename(format!("evidence of {}", cause.title()));
        let at = table.at_value("see");
        let place = cause.document().place(at);
        let Some(evidence) = one_evidence(table) else { continue };
        if found.iter().any(|other| other.see == evidence.see) {
            let message = format!("the same thing is seen twice {}", cause.whereabouts());
            let hint = "remove one of the two: it would count double";
            cause.report(Problem::warning(place, message).hint(hint));
        }
        found.push(evidence);
    }
    found
}

fn one_evidence(table: Table<'_>) -> Option<Evidence> {
    let see = table.required("see", Table::table).and_then(see);
    let likely = table.required("likely", probability);
    let otherwise = table.required("otherwise", probability);
    if let (Some(likely), Some(otherwise)) = (&likely, &otherwise)
        && likely.value.total_cmp(&otherwise.value).is_eq()
    {
        let hint = "make `likely` larger for what speaks for the cause and smaller for what \
                    speaks against it, or remove the evidence";
        let what = "is the same as `likely`, so the evidence says nothing";
        table.wrong_hint("otherwise", &otherwise.at, what, hint);
    }
    table.finish();
    Some(Evidence { see: see?, likely: likely?.value, otherwise: otherwise?.value })
}

/// A probability that leaves room for doubt: 0 and 1 could never be argued with.
fn probability(table: &Table<'_>, key: &'static str) -> Option<At<f64>> {
    let found = table.number(key)?;
    if 0.0 < found.value && found.value < 1.0 {
        return Some(found);
    }
    let hint = if 1.0 < found.value && found.value < 100.0 {
        format!("percent are written as a share: {}", found.value / 100.0)
    } else {
        "nothing is certain: write 0.99 or 0.01 for what is almost sure".to_owned()
    };
    table.wrong_hint(key, &found.at, "must lie between 0 and 1, both excluded", &hint);
    None
}

fn steps(table: Table<'_>) -> Steps {
    let list = |key| {
        let texts = table.texts(key).unwrap_or_default();
        for text in &texts {
            check_step(&table, key, text);
        }
        texts.into_iter().map(|text| text.value.to_owned()).collect()
    };
    let steps = Steps {
        first_ten_minutes: list("first_ten_minutes"),
        compare: list("compare"),
        reproduce: list("reproduce"),
        fix: list("fix"),
        verify: list("verify"),
        avoid: list("avoid"),
    };
    table.finish();
    steps
}
