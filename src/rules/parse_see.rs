//! `see = { … }`: what evidence looks for.

use super::parse_signal::{label, role};
use super::{ChangeSide, RoleState, See};
use crate::problem::{At, Table, listed};
use crate::series::ChangeKind;
use crate::time::Span;

/// How far apart two onsets, or a change and an onset, may lie unless told otherwise.
pub const WITHIN_DEFAULT: Span = Span::from_hours(2);

/// Events further apart than this have nothing to do with each other.
pub const WITHIN_MAX: Span = Span::WEEK;

/// The key that tells the form, the form's further keys, and how it is written.
const FORMS: [(&str, &[&str], &str); 16] = [
    ("role", &["is"], "{ role = \"retries\", is = \"rising\" }"),
    (
        "first",
        &["then", "within"],
        "{ first = \"pool_wait\", then = \"latency\", within = \"2h\" }",
    ),
    ("change", &["onset", "within"], "{ change = \"deploy\", onset = \"after\", within = \"2h\" }"),
    ("windows", &[], "{ windows = \"deploy\" }"),
    ("versions", &[], "{ versions = \"new-worse\" }"),
    ("traffic", &[], "{ traffic = \"explains\" }"),
    ("goodput", &[], "{ goodput = \"flat-while-attempts-grow\" }"),
    ("loop", &[], "{ loop = \"closing\" }"),
    ("services", &[], "{ services = \"many\" }"),
    ("callee", &[], "{ callee = \"anomalous\" }"),
    ("dependencies", &[], "{ dependencies = \"one\" }"),
    ("inside", &[], "{ inside = \"moved\" }"),
    ("peer", &["of"], "{ peer = \"apart\", of = \"cache_hit\" }"),
    ("value", &["of", "label"], "{ value = \"dominates\", of = \"errors\", label = \"tenant\" }"),
    ("boundary", &[], "{ boundary = \"clock\" }"),
    ("recurs", &[], "{ recurs = \"clock\" }"),
];

const STATES: [(&str, RoleState); 5] = [
    ("rising", RoleState::Rising),
    ("falling", RoleState::Falling),
    ("normal", RoleState::Normal),
    ("climbing", RoleState::Climbing),
    ("silent", RoleState::Silent),
];

const SIDES: [(&str, ChangeSide); 3] =
    [("inside", ChangeSide::Inside), ("before", ChangeSide::Before), ("after", ChangeSide::After)];

/// Reads what is looked for.
pub(super) fn see(table: Table<'_>) -> Option<See> {
    let mut table = table;
    // The inner name is long enough as it is; the place says which evidence is meant.
    table.rename("`see`");
    for (lead, keys, _) in FORMS {
        table.know(&[lead]);
        table.know(keys);
    }
    let see = form(&table).and_then(|lead| read(&table, lead));
    table.finish();
    see
}

/// The key that tells the form; problems if none does, or several, or with keys of another.
fn form(table: &Table<'_>) -> Option<&'static str> {
    let present: Vec<_> = FORMS.iter().filter(|(lead, ..)| table.has(lead)).collect();
    let hint = || {
        let forms: Vec<_> = FORMS.iter().map(|(.., written)| *written).collect();
        format!("it is one of: {}", forms.join(" · "))
    };
    match present.as_slice() {
        [] => {
            // A misspelt key is told as such when the table is finished.
            if !table.has_unknown() {
                let message = "`see` does not say what to look for";
                table.report(table.error(table.at(), message).hint(hint()));
            }
            None
        }
        [(lead, keys, written)] => {
            let mut others = FORMS.iter().flat_map(|(_, others, _)| *others);
            if let Some(odd) = others.find(|key| table.has(key) && !keys.contains(key)) {
                let message = format!("`{odd}` does not go with `{lead}` in `see`");
                let hint = format!("this form is written {written}");
                table.report(table.error(table.at_key(odd), message).hint(hint));
                return None;
            }
            Some(lead)
        }
        several => {
            let leads = listed(several.iter().map(|(lead, ..)| *lead));
            let message = format!("`see` mixes several forms: {leads}");
            let hint = format!("write one [[cause.evidence]] for each; {}", hint());
            table.report(table.error(table.at(), message).hint(hint));
            None
        }
    }
}

fn read(table: &Table<'_>, lead: &str) -> Option<See> {
    match lead {
        "role" => {
            let role = role(table, "role");
            let is = table.required("is", |t, key| t.choice(key, &STATES));
            Some(See::RoleIs { role: role?, is: is?.value })
        }
        "first" => order(table),
        "change" => {
            let kinds = table.choice("change", &kinds());
            let onset = table.required("onset", |t, key| t.choice(key, &SIDES));
            let within = within(table);
            let kinds = kinds?.value.to_vec();
            Some(See::Change { kinds, onset: onset?.value, within: within? })
        }
        "windows" => {
            let kinds = ChangeKind::ALL.map(|kind| (kind.name(), kind));
            Some(See::WindowsWorse { kind: table.choice("windows", &kinds)?.value })
        }
        "versions" => {
            let words = [("new-worse", See::NewVersionWorse), ("mixed", See::VersionsMixed)];
            word(table, "versions", &words)
        }
        "traffic" => {
            let words = [("explains", See::TrafficExplains), ("knee", See::TrafficKnee)];
            word(table, "traffic", &words)
        }
        "goodput" => {
            let words = [("flat-while-attempts-grow", See::GoodputFlatWhileAttemptsGrow)];
            word(table, "goodput", &words)
        }
        "services" => {
            let words =
                [("many", See::Services { many: true }), ("one", See::Services { many: false })];
            word(table, "services", &words)
        }
        "loop" => word(table, "loop", &[("closing", See::LoopClosing)]),
        "dependencies" => {
            let words = [("one", false), ("several", true)];
            Some(See::Dependencies { several: table.choice("dependencies", &words)?.value })
        }
        "peer" => {
            let of = role(table, "of");
            word(table, "peer", &[("apart", See::PeerApart { of })])
        }
        "value" => {
            let label = label(table, "label").map(|label| label.value.to_owned());
            let see = See::ValueDominates { of: role(table, "of"), label };
            word(table, "value", &[("dominates", see)])
        }
        "boundary" => word(table, "boundary", &[("clock", See::AtBoundary)]),
        "recurs" => word(table, "recurs", &[("clock", See::RecursByClock)]),
        "inside" => word(table, "inside", &[("moved", See::InsideMoved)]),
        _ => word(table, "callee", &[("anomalous", See::CalleeAnomalous)]),
    }
}

/// What stands for several kinds of change, and each kind by its name.
fn kinds() -> Vec<(&'static str, &'static [ChangeKind])> {
    const SETTINGS: &[ChangeKind] = &[ChangeKind::Config, ChangeKind::Flag];
    let one = ChangeKind::ALL.iter().map(|kind| (kind.name(), std::slice::from_ref(kind)));
    one.chain([("settings", SETTINGS), ("any", ChangeKind::ALL.as_slice())]).collect()
}

fn word(table: &Table<'_>, key: &'static str, words: &[(&str, See)]) -> Option<See> {
    let indexed: Vec<_> = words.iter().enumerate().map(|(i, (word, _))| (*word, i)).collect();
    let At { value, .. } = table.choice(key, &indexed)?;
    words.get(value).map(|(_, see)| see.clone())
}

fn order(table: &Table<'_>) -> Option<See> {
    let first = role(table, "first");
    let then = table.required("then", role);
    let within = within(table);
    if first.is_some() && first == then {
        let hint = "name the role that moves first and the one that follows";
        table.wrong_hint("then", &table.at_value("then"), "is the same role as `first`", hint);
        return None;
    }
    Some(See::Order { first: first?, then: then?, within: within? })
}

fn within(table: &Table<'_>) -> Option<Span> {
    if !table.has("within") {
        return Some(WITHIN_DEFAULT);
    }
    table.span_within("within", Span::SECOND..=WITHIN_MAX).map(|within| within.value)
}
