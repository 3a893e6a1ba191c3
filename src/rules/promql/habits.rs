//! Queries that every backend takes and that do not say what was meant: counters whose rate nobody
//! takes, rates of what is no counter, windows of a few samples, quantiles without buckets. Names
//! follow conventions, so only names that leave no doubt are judged.

use std::time::Duration;

use promql_parser::parser::{Call, Expr, VectorSelector};

use super::labels::missing;
use crate::rules::Role;

/// What is odd about a query, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Odd {
    /// The part of the query that it is about, as it is written there.
    pub(super) part: String,
    pub(super) what: String,
    pub(super) hint: String,
}

/// Functions that make a rate, or another measure of change, of counters.
const OVER_TIME: [&str; 9] =
    ["rate", "irate", "increase", "delta", "idelta", "deriv", "resets", "changes", "xrate"];

/// Those that make a rate of a counter, and nonsense of anything else.
pub(super) const RATES: [&str; 3] = ["rate", "irate", "increase"];

/// Functions and aggregations to which the value does not matter.
const BLIND_TO_VALUES: [&str; 9] = [
    "count",
    "group",
    "count_values",
    "count_over_time",
    "present_over_time",
    "absent",
    "absent_over_time",
    "timestamp",
    "info",
];

/// Ends of names of counters.
const COUNTERS: [&str; 2] = ["_total", "_bucket"];

/// Ends of names of what goes up and down.
const GAUGES: [&str; 12] = [
    "_ratio",
    "_percent",
    "_celsius",
    "_timestamp_seconds",
    "_timestamp",
    "_limit",
    "_depth",
    "_length",
    "_utilization",
    "_info",
    "_in_use",
    "_in_flight",
];

/// Four scrapes, at the interval of 15 s that is the shortest in common use.
const WINDOW_MIN: Duration = Duration::from_secs(60);

/// Roles of which the value itself tells: names of such metrics end in `_total` now and then.
const LEVELS: [Role; 11] = [
    Role::Fds,
    Role::Threads,
    Role::Sockets,
    Role::Memory,
    Role::Disk,
    Role::PoolUse,
    Role::QueueAge,
    Role::QueueDepth,
    Role::Staleness,
    Role::Version,
    Role::ConfigVersion,
];

/// Everything that is odd about a query whose values mean `role`.
pub(super) fn odd(expr: &Expr, role: Role) -> Vec<Odd> {
    let mut found = Vec::new();
    walk(expr, LEVELS.contains(&role), &mut found);
    // Both halves of a quotient are often written alike.
    let mut told: Vec<Odd> = Vec::with_capacity(found.len());
    for odd in found {
        if !told.contains(&odd) {
            told.push(odd);
        }
    }
    told
}

/// `settled`: something around the expression takes a rate, or does not look at values.
fn walk(expr: &Expr, settled: bool, found: &mut Vec<Odd>) {
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        Expr::VectorSelector(selector) => found.extend(raw_counter(selector).filter(|_| !settled)),
        Expr::MatrixSelector(range) => found.extend(raw_counter(&range.vs).filter(|_| !settled)),
        Expr::Paren(inner) => walk(&inner.expr, settled, found),
        Expr::Unary(inner) => walk(&inner.expr, settled, found),
        Expr::Subquery(inner) => walk(&inner.expr, settled, found),
        Expr::Aggregate(aggregate) => {
            let blind = BLIND_TO_VALUES.contains(&aggregate.op.to_string().as_str());
            walk(&aggregate.expr, settled || blind, found);
        }
        Expr::Binary(binary) => {
            // `x - x offset 5m` is an increase by hand; `and`, `unless` only filter.
            let operator = binary.op.to_string();
            let by_hand = operator == "-" && is_shifted(&binary.rhs);
            let filter = matches!(operator.as_str(), "and" | "unless");
            walk(&binary.lhs, settled || by_hand, found);
            walk(&binary.rhs, settled || by_hand || filter, found);
        }
        Expr::Call(call) => {
            let name = call.func.name;
            if RATES.contains(&name) {
                found.extend(call.args.args.iter().filter_map(|argument| window(name, argument)));
                found.extend(call.args.args.iter().filter_map(|argument| gauge(name, argument)));
            }
            found.extend((name == "histogram_quantile").then(|| bucketless(call)).flatten());
            let settles = OVER_TIME.contains(&name) || BLIND_TO_VALUES.contains(&name);
            for argument in &call.args.args {
                walk(argument, settled || settles, found);
            }
        }
    }
}

fn is_shifted(expr: &Expr) -> bool {
    match expr {
        Expr::VectorSelector(selector) => selector.offset.is_some(),
        Expr::Paren(inner) => is_shifted(&inner.expr),
        Expr::Aggregate(aggregate) => is_shifted(&aggregate.expr),
        _ => false,
    }
}

/// A counter whose value since the start of a process stands for something.
fn raw_counter(selector: &VectorSelector) -> Option<Odd> {
    let name = selector.name.as_deref()?;
    COUNTERS.iter().any(|end| name.ends_with(end)).then(|| Odd {
        part: name.to_owned(),
        what: format!("`{name}` is a counter by its name, and nothing takes its rate"),
        hint: format!(
            "a counter grows until its process restarts; write `rate({name}[5m])`, or leave it if it goes up and down"
        ),
    })
}

/// The window of a rate over a plain selector.
fn window(name: &str, argument: &Expr) -> Option<Odd> {
    let Expr::MatrixSelector(range) = argument else { return None };
    (range.range < WINDOW_MIN).then(|| Odd {
        part: name.to_owned(),
        what: format!(
            "`{name}` over {} s holds few samples",
            range.range.as_secs_f64()
        ),
        hint: "a window should hold four scrapes, or the rate is missing where one is late; write `[1m]` or more, unless scrapes are closer than 15s".to_owned(),
    })
}

fn gauge(name: &str, argument: &Expr) -> Option<Odd> {
    let Expr::MatrixSelector(range) = argument else { return None };
    let metric = range.vs.name.as_deref()?;
    let recorded = metric.rsplit_once(':').is_some_and(|(_, end)| end.starts_with("rate"));
    (recorded || GAUGES.iter().any(|end| metric.ends_with(end))).then(|| Odd {
        part: metric.to_owned(),
        what: format!("`{name}` of `{metric}`, which is no counter by its name"),
        hint: if recorded {
            "it is a rate already: leave the function out".to_owned()
        } else {
            format!("use the value itself, `deriv({metric}[5m])` or `delta({metric}[5m])`")
        },
    })
}

/// A quantile of classic buckets whose bounds were summed away.
fn bucketless(call: &Call) -> Option<Odd> {
    let buckets = call.args.args.get(1)?;
    let reason = missing(buckets, "le").filter(|_| has_buckets(buckets))?;
    Some(Odd {
        part: "histogram_quantile".to_owned(),
        what: format!("`histogram_quantile` needs the label `le` of buckets, and {reason}"),
        hint: "keep `le` up to the quantile: `histogram_quantile(0.99, sum by (service, le) (rate(…_bucket[5m])))`".to_owned(),
    })
}

fn has_buckets(expr: &Expr) -> bool {
    let named = |selector: &VectorSelector| {
        selector.name.as_deref().is_some_and(|name| name.ends_with("_bucket"))
    };
    match expr {
        Expr::VectorSelector(selector) => named(selector),
        Expr::MatrixSelector(range) => named(&range.vs),
        Expr::Paren(inner) => has_buckets(&inner.expr),
        Expr::Unary(inner) => has_buckets(&inner.expr),
        Expr::Subquery(inner) => has_buckets(&inner.expr),
        Expr::Aggregate(aggregate) => has_buckets(&aggregate.expr),
        Expr::Binary(binary) => has_buckets(&binary.lhs) || has_buckets(&binary.rhs),
        Expr::Call(call) => call.args.args.iter().any(|argument| has_buckets(argument)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use promql_parser::parser::parse;

    use super::*;

    #[test]
    fn names_that_leave_no_doubt_are_judged() {
        for (query, wanted) in [
            ("x", None),
            ("rate(x_total[5m])", None),
            ("sum by (a) (x_total)", Some("`x_total` is a counter")),
            ("x_total / y_total", Some("`x_total` is a counter")),
            ("x_total - x_total offset 5m", None),
            ("count(x_total)", None),
            ("rate(y[5m]) and x_total", None),
            ("increase(x_total[1h:5m])", None),
            ("rate(x_total[30s])", Some("`rate` over 30 s")),
            ("increase(x_total[1m])", None),
            ("rate(x_utilization[5m])", Some("`rate` of `x_utilization`")),
            ("deriv(x_utilization[5m])", None),
            ("rate(job:x:rate5m[5m])", Some("`rate` of `job:x:rate5m`")),
            ("histogram_quantile(0.9, rate(x_bucket[5m]))", None),
            ("histogram_quantile(0.9, x_bucket)", Some("`x_bucket` is a counter")),
            (
                "histogram_quantile(0.9, sum by (a) (rate(x_bucket[5m])))",
                Some("needs the label `le`"),
            ),
            // Native histograms have no buckets of their own.
            ("histogram_quantile(0.9, sum by (a) (rate(x[5m])))", None),
        ] {
            let told = odd(&parse(query).unwrap(), Role::Errors);
            match wanted {
                None => assert!(told.is_empty(), "{query}: {told:?}"),
                Some(wanted) => assert!(told[0].what.contains(wanted), "{query}: {told:?}"),
            }
        }
        assert!(odd(&parse("handles_total").unwrap(), Role::Fds).is_empty(), "a level");
        assert_eq!(
            odd(&parse("x_total / (x_total + y)").unwrap(), Role::Errors).len(),
            1,
            "once is enough"
        );
    }
}
