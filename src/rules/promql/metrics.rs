//! The metrics that a query names.

use promql_parser::label::{METRIC_NAME, MatchOp};
use promql_parser::parser::{Expr, VectorSelector};

use super::{habits, read};

/// A metric that a query reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Whether the query takes its rate, as of a counter.
    pub is_rated: bool,
}

/// The metrics that a query names, in order of name; none where it cannot be read.
pub fn metrics(query: &str) -> Vec<Metric> {
    let mut found = Vec::new();
    if let Some(Ok(expr)) = read(query) {
        walk(&expr, false, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn walk(expr: &Expr, is_rated: bool, found: &mut Vec<Metric>) {
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        Expr::VectorSelector(selector) => found.extend(named(selector, is_rated)),
        Expr::MatrixSelector(range) => found.extend(named(&range.vs, is_rated)),
        Expr::Paren(inner) => walk(&inner.expr, is_rated, found),
        Expr::Unary(inner) => walk(&inner.expr, is_rated, found),
        Expr::Subquery(inner) => walk(&inner.expr, false, found),
        Expr::Aggregate(aggregate) => walk(&aggregate.expr, is_rated, found),
        Expr::Binary(binary) => {
            walk(&binary.lhs, is_rated, found);
            walk(&binary.rhs, is_rated, found);
        }
        Expr::Call(call) => {
            let rates = habits::RATES.contains(&call.func.name);
            call.args.args.iter().for_each(|argument| walk(argument, rates, found));
        }
    }
}

fn named(selector: &VectorSelector, is_rated: bool) -> Option<Metric> {
    let by_label = || {
        let matchers = selector.matchers.matchers.iter();
        let mut equal = matchers.into_iter().filter(|m| matches!(m.op, MatchOp::Equal));
        equal.find(|m| m.name == METRIC_NAME).map(|m| m.value.clone())
    };
    let name = selector.name.clone().or_else(by_label)?;
    Some(Metric { name, is_rated })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_with_what_is_made_of_them() {
        let found =
            metrics("sum(rate(b_total[5m])) / a + c{x=\"y\"} + {__name__=\"d\"} + {x=\"y\"}");
        let found: Vec<_> = found.iter().map(|m| (m.name.as_str(), m.is_rated)).collect();
        assert_eq!(found, [("a", false), ("b_total", true), ("c", false), ("d", false)]);
        assert!(metrics("sum(").is_empty());
    }
}
