//! A query for some of its rows: what a person types who wants to see one service or tenant.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorSelector};

use super::read;

/// Aggregations whose rows depend on rows that would be left out.
const RANKING: [&str; 5] = ["topk", "bottomk", "limitk", "limit_ratio", "count_values"];
/// Functions that give a row where there is none, or labels that the metric does not have.
const MAKING: [&str; 5] = ["absent", "absent_over_time", "vector", "scalar", "info"];
/// Functions that write the label which their second argument names.
const WRITING: [&str; 2] = ["label_replace", "label_join"];

/// The query for those of its rows that have these labels; none where it cannot be read or where
/// asking fewer series would give other values.
///
/// # Cost
/// The size of the query, at every call.
pub fn narrowed(query: &str, labels: &[(&str, &str)]) -> Option<String> {
    let Some(Ok(mut expr)) = read(query) else { return None };
    for (label, value) in labels {
        let is_plain = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !value.contains(['"', '\\', '`'])
            && !value.chars().any(char::is_control);
        if !is_plain || !narrow(&mut expr, label, value) {
            return None;
        }
    }
    let text = expr.to_string();
    // What the parser writes is only trusted where it reads the same again.
    matches!(read(&text), Some(Ok(again)) if again == expr).then_some(text)
}

/// Asks every selector for the label; false where the rows then are not those with the label.
fn narrow(expr: &mut Expr, label: &str, value: &str) -> bool {
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => true,
        Expr::Extension(_) => false,
        Expr::VectorSelector(selector) => ask(selector, label, value),
        Expr::MatrixSelector(range) => ask(&mut range.vs, label, value),
        Expr::Paren(inner) => narrow(&mut inner.expr, label, value),
        Expr::Unary(inner) => narrow(&mut inner.expr, label, value),
        Expr::Subquery(inner) => narrow(&mut inner.expr, label, value),
        Expr::Aggregate(aggregate) => {
            keeps_apart(aggregate, label) && narrow(&mut aggregate.expr, label, value)
        }
        Expr::Binary(binary) => {
            joins(binary, label)
                && narrow(&mut binary.lhs, label, value)
                && narrow(&mut binary.rhs, label, value)
        }
        Expr::Call(call) => {
            leaves(call, label)
                && call.args.args.iter_mut().all(|argument| narrow(argument, label, value))
        }
    }
}

fn ask(selector: &mut VectorSelector, label: &str, value: &str) -> bool {
    let matchers = &mut selector.matchers;
    let wanted = Matcher::new(MatchOp::Equal, label, value);
    if !matchers.matchers.contains(&wanted) {
        matchers.matchers.push(wanted);
        // In the order in which the parser writes them.
        matchers.matchers.sort_by_key(ToString::to_string);
    }
    matchers.or_matchers.is_empty()
}

/// Whether rows with different values of the label never end in one.
fn keeps_apart(aggregate: &AggregateExpr, label: &str) -> bool {
    let kept = match &aggregate.modifier {
        None => false,
        Some(LabelModifier::Include(kept)) => kept.labels.iter().any(|kept| kept == label),
        Some(LabelModifier::Exclude(dropped)) => !dropped.labels.iter().any(|l| l == label),
    };
    kept && !RANKING.contains(&aggregate.op.to_string().as_str())
}

/// Whether rows meet only rows with the same value of the label.
fn joins(binary: &BinaryExpr, label: &str) -> bool {
    let is_number = |side: &Expr| side.value_type() == ValueType::Scalar;
    let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
    let joined = |matching: &LabelModifier| {
        let named = matching.labels().labels.iter().any(|named| named == label);
        named == matching.is_include()
    };
    is_number(&binary.lhs) || is_number(&binary.rhs) || matching.is_none_or(joined)
}

/// Whether the label of a row is that of the rows it was made of.
fn leaves(call: &Call, label: &str) -> bool {
    let name = call.func.name;
    let written = call.args.args.get(1).map(|argument| &**argument);
    let writes = matches!(written, Some(Expr::StringLiteral(given)) if given.val == label);
    let makes = MAKING.contains(&name) || WRITING.contains(&name) && writes;
    !makes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_is_asked_for_the_label() {
        for (query, expected) in [
            ("p99", Some("p99{service=\"web\"}")),
            ("p99{service=\"web\"}", Some("p99{service=\"web\"}")),
            (
                "histogram_quantile(0.99, sum by (service, le) (rate(x_bucket{code!~\"4..\"}[5m])))",
                Some(
                    "histogram_quantile(0.99, sum by (service, le) (rate(x_bucket{code!~\"4..\",service=\"web\"}[5m])))",
                ),
            ),
            (
                "sum by (service) (rate(a[5m])) / sum by (service) (rate(b[5m])) > 0.1",
                Some(
                    "sum by (service) (rate(a{service=\"web\"}[5m])) / sum by (service) (rate(b{service=\"web\"}[5m])) > 0.1",
                ),
            ),
            // The rows would be others.
            ("sum(rate(a[5m]))", None),
            ("topk by (service) (3, a)", None),
            ("sum by (service) (a) / on () group_left () sum(b)", None),
            ("label_replace(a, \"service\", \"$1\", \"job\", \"(.*)\")", None),
            ("a or vector(0)", None),
            // Nothing that can be read.
            ("sum(", None),
            ("a[5m] keep_metric_names", None),
        ] {
            let found = narrowed(query, &[("service", "web")]);
            assert_eq!(found.as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn odd_names_are_not_written_into_queries() {
        assert_eq!(narrowed("a", &[("service", "a\"} or b{x=\"")]), None);
        assert_eq!(narrowed("a", &[("a-b", "c")]), None);
        let both = narrowed("a", &[("service", "web"), ("tenant", "t06")]);
        assert_eq!(both.as_deref(), Some("a{service=\"web\",tenant=\"t06\"}"));
        let both = narrowed("a{le!=\"\"}", &[("service", "web"), ("dependency", "bank")]);
        assert_eq!(both.as_deref(), Some("a{dependency=\"bank\",le!=\"\",service=\"web\"}"));
    }
}
