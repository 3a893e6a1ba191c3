//! What signals and causes lack beside each other: causes that nothing would show, evidence of
//! roles without a query, steps that name what no signal gives. Each cause that a user wrote is
//! told where it stands; those that come with the program are told together, because nobody has
//! signals for all of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::coverage::{is_blind, roles_of};
use crate::problem::{Place, Problem, Problems, count, listed};
use crate::rules::{BUILT_IN_PREFIX, Cause, Role, Rules, UNEXPLAINED, builtin_causes};

/// A cause is named from this probability on, and the other causes share the rest.
const NAMED_MIN: f64 = crate::engine::alert::CLEAR_MIN;

/// Facts of steps that only some signals give, and the key of a signal that gives them.
const FACTS: [(&str, &str); 4] = [
    ("dependency", "`dependency`"),
    ("peer", "`peer`"),
    ("label", "`breakdown` or `split`"),
    ("value", "`breakdown` or `split`"),
];

/// What could be seen better.
#[derive(Clone, Debug, Default)]
pub struct Advice {
    /// Warnings about what the user wrote.
    pub problems: Problems,
    /// About what comes with the program: a few lines for people.
    pub notes: Vec<String>,
}

/// Looks at signals and causes together; places are those of their names.
pub(super) fn advice(
    rules: &Rules,
    signal_places: &BTreeMap<String, Place>,
    cause_places: &BTreeMap<String, Place>,
) -> Advice {
    let mut advice = Advice::default();
    if rules.signals.is_empty() {
        return advice;
    }
    let seen: BTreeSet<Role> = rules.signals.iter().map(|signal| signal.role).collect();
    let breakdowns = rules.signals.iter().any(|signal| signal.breakdown.is_some());
    // Changes can also be posted, so news of every kind may come.
    let blind =
        |cause: &Cause| is_blind(cause, &|_| true, &|role| seen.contains(&role), breakdowns);
    let is_shipped = |place: &Place| place.file.starts_with(BUILT_IN_PREFIX);
    // A copy in a folder of the user's own is nothing that the user wrote.
    let brought = crate::rules::load(&builtin_causes()).0.causes;
    let mut shipped = Vec::new();
    for cause in &rules.causes {
        match cause_places.get(&cause.id) {
            Some(place) if !is_shipped(place) && !brought.contains(cause) => {
                for problem in of_cause(cause, place, rules, (&seen, blind(cause))) {
                    advice.problems.push(problem);
                }
            }
            _ => shipped.push(cause),
        }
    }
    let unseen: Vec<&&Cause> = shipped.iter().filter(|cause| blind(cause)).collect();
    if !unseen.is_empty() {
        let ids = listed(unseen.iter().map(|cause| cause.id.as_str()));
        let of = count(shipped.len(), "built-in cause");
        advice.notes.push(format!(
            "no signal would show {} of {of}: {ids}; `grayflag coverage` says what each service lacks, `grayflag discover` which packs would add it",
            unseen.len()
        ));
    }
    let spoken = roles_of(&rules.causes);
    let idle: Vec<&str> = rules
        .signals
        .iter()
        .filter(|signal| !spoken.contains(&signal.role) && !speaks_for_itself(signal.role))
        .filter(|signal| signal_places.get(&signal.name).is_some_and(|place| !is_shipped(place)))
        .map(|signal| signal.name.as_str())
        .collect();
    if !idle.is_empty() && !rules.causes.is_empty() {
        let what = if idle.len() == 1 { "signal has a role" } else { "signals have roles" };
        advice.notes.push(format!(
            "{} {what} that no cause speaks of, so they are shown and explain nothing: {}",
            idle.len(),
            listed(idle)
        ));
    }
    advice
}

/// Roles that are used by themselves: they set the scene, or are meant for no cause.
fn speaks_for_itself(role: Role) -> bool {
    role.is_context() || matches!(role, Role::Custom | Role::Goodput)
}

/// What is odd about one cause of the user's.
fn of_cause(
    cause: &Cause,
    place: &Place,
    rules: &Rules,
    (seen, blind): (&BTreeSet<Role>, bool),
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut warn = |message: String, hint: String| {
        problems.push(Problem::warning(place.clone(), message).hint(hint));
    };
    let lacking = roles_of([cause]);
    let lacking: Vec<&str> =
        lacking.iter().filter(|role| !seen.contains(role)).map(|role| role.name()).collect();
    let hint = "bind a signal to the role, or remove the evidence; `grayflag discover` says which packs have signals of a role".to_owned();
    if blind {
        let roles = if lacking.is_empty() {
            "it needs a signal with `breakdown`".to_owned()
        } else {
            format!("roles without a query: {}", listed(lacking.iter().copied()))
        };
        warn(format!("no signal can show the cause `{}`: {roles}", cause.id), hint);
    } else if !lacking.is_empty() {
        let roles = listed(lacking.iter().copied());
        warn(
            format!("the cause `{}` has evidence of roles without a query: {roles}", cause.id),
            hint,
        );
    }
    let best = best(cause);
    if cause.id != UNEXPLAINED && !cause.evidence.is_empty() && best < NAMED_MIN {
        warn(
            format!(
                "the cause `{}` can hardly be named: with all of its evidence seen it is {:.0} % probable",
                cause.id,
                best * 100.0
            ),
            format!(
                "it is named from {:.0} % on: raise `prior`, or give evidence that is likelier under it than `otherwise`",
                NAMED_MIN * 100.0
            ),
        );
    }
    for (fact, key) in FACTS {
        if !gives(rules, fact) && names(cause, fact) {
            warn(
                format!("steps of the cause `{}` name `{fact}`, which no signal gives", cause.id),
                format!(
                    "give a signal {key}, or write `{{% if {fact} %}}…{{% endif %}}` around it"
                ),
            );
        }
    }
    problems
}

/// How probable a cause is with all that speaks for it seen and nothing else: its prior and the
/// ratios of its evidence, each taken as independent of the others.
fn best(cause: &Cause) -> f64 {
    let odds = cause.evidence.iter().fold(cause.prior / (1.0 - cause.prior), |odds, evidence| {
        let seen = evidence.likely / evidence.otherwise;
        let absent = (1.0 - evidence.likely) / (1.0 - evidence.otherwise);
        odds * seen.max(absent)
    });
    odds / (1.0 + odds)
}

fn gives(rules: &Rules, fact: &str) -> bool {
    rules.signals.iter().any(|signal| match fact {
        "dependency" => signal.dependency.is_some(),
        "peer" => signal.peer.is_some(),
        _ => signal.breakdown.is_some() || !signal.split.is_empty(),
    })
}

/// Whether a step prints the fact whatever it is. One that asks for it first knows that it may be
/// empty.
fn names(cause: &Cause, fact: &str) -> bool {
    let steps = &cause.steps;
    let lists = [
        &steps.first_ten_minutes,
        &steps.compare,
        &steps.reproduce,
        &steps.fix,
        &steps.verify,
        &steps.avoid,
    ];
    let prints = |step: &str| {
        step.split("{{").skip(1).filter_map(|part| part.split("}}").next()).any(|inside| {
            let name: String = inside
                .trim_start()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            name == fact
        })
    };
    let asks = |step: &str| {
        step.split("{%")
            .skip(1)
            .filter_map(|part| part.split("%}").next())
            .any(|inside| inside.split_whitespace().any(|word| word == fact))
    };
    lists.into_iter().flatten().any(|step| prints(step) && !asks(step))
}
