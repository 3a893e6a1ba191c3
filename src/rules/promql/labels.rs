//! Which labels the rows of a query cannot have. What is not certain is not told: a label that the
//! metric itself has or lacks is known to the backend only.

use promql_parser::label::MatchOp;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};

/// Aggregations whose rows are rows of what they aggregate.
const SELECTING: [&str; 4] = ["topk", "bottomk", "limitk", "limit_ratio"];

/// Functions that give one row without labels, unless they are given a vector.
const BARE: [&str; 5] = ["vector", "scalar", "time", "pi", "absent_over_time"];

/// Why no row of the query can have the label; `None` if one may have it.
///
/// # Cost
/// The size of the query, at every call.
pub(super) fn missing(expr: &Expr, label: &str) -> Option<String> {
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {
            Some("a number has no labels".to_owned())
        }
        Expr::VectorSelector(selector) => emptied(selector, label),
        Expr::MatrixSelector(range) => emptied(&range.vs, label),
        Expr::Paren(inner) => missing(&inner.expr, label),
        Expr::Unary(inner) => missing(&inner.expr, label),
        Expr::Subquery(inner) => missing(&inner.expr, label),
        Expr::Aggregate(aggregate) => aggregated(aggregate, label),
        Expr::Binary(binary) => combined(binary, label),
        Expr::Call(call) => called(call, label),
        Expr::Extension(_) => None,
    }
}

/// `metric{label=""}` selects series without the label.
fn emptied(selector: &VectorSelector, label: &str) -> Option<String> {
    let none = |m: &promql_parser::label::Matcher| {
        m.name == label && m.value.is_empty() && matches!(m.op, MatchOp::Equal)
    };
    let found =
        selector.matchers.or_matchers.is_empty() && selector.matchers.matchers.iter().any(none);
    found.then(|| format!("`{{{label}=\"\"}}` selects series without it"))
}

fn aggregated(aggregate: &AggregateExpr, label: &str) -> Option<String> {
    let name = aggregate.op.to_string();
    if SELECTING.contains(&name.as_str()) {
        return missing(&aggregate.expr, label);
    }
    if name == "count_values"
        && let Some(Expr::StringLiteral(given)) = aggregate.param.as_deref()
        && given.val == label
    {
        return None;
    }
    match &aggregate.modifier {
        None => Some(format!("`{name}` without `by` leaves no labels")),
        Some(LabelModifier::Include(kept)) if kept.labels.iter().any(|kept| kept == label) => {
            missing(&aggregate.expr, label)
        }
        Some(LabelModifier::Include(kept)) if kept.labels.is_empty() => {
            Some(format!("`{name} by ()` leaves no labels"))
        }
        Some(LabelModifier::Include(kept)) => {
            Some(format!("`{name} by ({})` drops it", kept.labels.join(", ")))
        }
        Some(LabelModifier::Exclude(dropped)) if dropped.labels.iter().any(|l| l == label) => {
            Some(format!("`{name} without ({})` drops it", dropped.labels.join(", ")))
        }
        Some(LabelModifier::Exclude(_)) => missing(&aggregate.expr, label),
    }
}

fn combined(binary: &BinaryExpr, label: &str) -> Option<String> {
    let (left, right) = (&*binary.lhs, &*binary.rhs);
    match (left.value_type(), right.value_type()) {
        (ValueType::Scalar, _) => return missing(right, label),
        (_, ValueType::Scalar) => return missing(left, label),
        _ => {}
    }
    let of = |side| missing(side, label);
    let either = || of(left).or_else(|| of(right));
    match binary.op.to_string().as_str() {
        "or" => return of(left).filter(|_| of(right).is_some()),
        "and" | "unless" => return of(left),
        _ => {}
    }
    // Rows of both sides are joined by the labels that they must have in common.
    let modifier = binary.modifier.as_ref();
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
    let joined = |matching: &LabelModifier| {
        let named = matching.labels().labels.iter().any(|named| named == label);
        named == matching.is_include()
    };
    match modifier.map(|modifier| &modifier.card) {
        Some(VectorMatchCardinality::ManyToOne(taken)) => match () {
            () if taken.labels.iter().any(|taken| taken == label) => of(right),
            () if matching.is_none_or(joined) => either(),
            () => of(left),
        },
        Some(VectorMatchCardinality::OneToMany(taken)) => match () {
            () if taken.labels.iter().any(|taken| taken == label) => of(left),
            () if matching.is_none_or(joined) => either(),
            () => of(right),
        },
        _ => match matching {
            Some(matching) if !joined(matching) => {
                let word = if matching.is_include() { "on" } else { "ignoring" };
                Some(format!("`{word} ({})` drops it", matching.labels().labels.join(", ")))
            }
            _ => either(),
        },
    }
}

fn called(call: &Call, label: &str) -> Option<String> {
    let name = call.func.name;
    let arguments = &call.args.args;
    let is_series =
        |argument: &&Expr| matches!(argument.value_type(), ValueType::Vector | ValueType::Matrix);
    let Some(series) = arguments.iter().map(|argument| &**argument).find(is_series) else {
        return Some(format!("`{name}()` gives one row without labels"));
    };
    match name {
        "label_replace" | "label_join" => match arguments.get(1).map(|written| &**written) {
            Some(Expr::StringLiteral(written)) if written.val != label => missing(series, label),
            // It may write it, whatever the series have.
            _ => None,
        },
        // What it takes from other series is not known here.
        "info" => None,
        "histogram_quantile" if label == "le" => Some(format!("`{name}` drops it")),
        "absent" | "absent_over_time" => named_by_absence(name, series, label),
        _ if BARE.contains(&name) => Some(format!("`{name}()` gives one row without labels")),
        _ => missing(series, label),
    }
}

/// The row of `absent` has the labels that the selector asks to be equal.
fn named_by_absence(name: &str, series: &Expr, label: &str) -> Option<String> {
    let selector = match series {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(range) => Some(&range.vs),
        _ => None,
    };
    let equal = selector.is_some_and(|selector| {
        let given = selector.matchers.matchers.iter();
        given.into_iter().any(|m| m.name == label && matches!(m.op, MatchOp::Equal))
    });
    (!equal).then(|| format!("`{name}()` has only labels that its selector asks to be equal"))
}

#[cfg(test)]
mod tests {
    use promql_parser::parser::parse;

    use super::*;

    #[test]
    fn only_what_is_certain_is_told() {
        for (query, wanted) in [
            ("x", None),
            ("x{service=\"\"}", Some("selects series without it")),
            ("x{service=~\".*\"}", None),
            ("sum(x)", Some("`sum` without `by` leaves no labels")),
            ("sum by () (x)", Some("`sum by ()` leaves no labels")),
            ("sum by (service) (rate(x[5m]))", None),
            ("sum by (job, le) (rate(x[5m]))", Some("`sum by (job, le)` drops it")),
            ("sum without (service) (x)", Some("`sum without (service)` drops it")),
            ("sum without (pod) (x)", None),
            ("max by (service) (sum by (job) (x))", Some("`sum by (job)` drops it")),
            ("topk(3, sum by (service) (x))", None),
            ("topk by (job) (3, x)", None),
            ("count_values(\"service\", x)", None),
            ("count_values(\"version\", x)", Some("`count_values` without `by` leaves no labels")),
            ("1", Some("a number has no labels")),
            ("vector(1)", Some("`vector()` gives one row without labels")),
            ("time() - x", None),
            ("time()", Some("`time()` gives one row without labels")),
            ("2 * sum(x)", Some("`sum` without `by` leaves no labels")),
            ("x / y", None),
            ("x / sum(y)", Some("`sum` without `by` leaves no labels")),
            ("x / on (job) y", Some("`on (job)` drops it")),
            ("x / on (service) y", None),
            ("x / ignoring (service) y", Some("`ignoring (service)` drops it")),
            ("x / ignoring (pod) y", None),
            ("x / on (job) group_left y", None),
            ("sum by (job) (x) * on (job) group_left (service) info", None),
            ("sum by (job) (x) * on (job) group_left info", Some("`sum by (job)` drops it")),
            ("sum by (job) (x) * on (job) group_right info", None),
            ("x or vector(0)", None),
            ("sum(x) or vector(0)", Some("`sum` without `by` leaves no labels")),
            ("sum by (service) (x) unless y", None),
            ("sum(x) and y", Some("`sum` without `by` leaves no labels")),
            ("label_replace(sum by (job) (x), \"service\", \"$1\", \"job\", \"(.*)\")", None),
            (
                "label_replace(sum by (job) (x), \"pod\", \"$1\", \"job\", \"(.*)\")",
                Some("`sum by (job)` drops it"),
            ),
            ("label_join(sum by (a) (x), \"service\", \"/\", \"a\")", None),
            ("histogram_quantile(0.9, sum by (le) (rate(x[5m])))", Some("`sum by (le)` drops it")),
            ("histogram_quantile(0.9, sum by (service, le) (rate(x[5m])))", None),
            ("absent(x{service=\"web\"})", None),
            ("absent(x{service=~\"web\"})", Some("only labels that its selector asks")),
            ("max_over_time(sum by (job) (x)[1h:1m])", Some("`sum by (job)` drops it")),
            ("quantile_over_time(0.9, x[1h])", None),
            ("-sum(x)", Some("`sum` without `by` leaves no labels")),
        ] {
            let told = missing(&parse(query).unwrap(), "service");
            match (&told, wanted) {
                (None, None) => {}
                (Some(told), Some(wanted)) if told.contains(wanted) => {}
                _ => panic!("{query}: {told:?}, not {wanted:?}"),
            }
        }
    }
}
