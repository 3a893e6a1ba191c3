//! The report: a table with a row per query, then what is wrong; or one JSON object.

use std::io::{self, Write};

use super::super::check::Format;
use super::super::table::write_table;
use super::Report;

impl Report {
    /// Writes the report.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        if format == Format::Json {
            serde_json::to_writer_pretty(&mut *out, self).map_err(io::Error::from)?;
            return writeln!(out);
        }
        let heads = ["QUERY", "ROLE", "SERIES", "SERVICES", "PEERS", "POINTS", "MS", ""];
        let rows = self.queries.iter().map(|query| {
            let number = |n: usize| if n == 0 { "-".to_owned() } else { n.to_string() };
            let standing = match query.problems.iter().map(|problem| problem.useless).max() {
                None => "ok",
                Some(false) => "odd",
                Some(true) => "failed",
            };
            [
                query.name.clone(),
                query.role.unwrap_or("-").to_owned(),
                number(query.series),
                number(query.services),
                number(query.peers),
                number(query.points),
                query.milliseconds.to_string(),
                standing.to_owned(),
            ]
        });
        if !self.queries.is_empty() {
            writeln!(out)?;
            write_table(heads, rows, out)?;
        }
        for query in &self.queries {
            for problem in &query.problems {
                let level = if problem.useless { "error" } else { "warning" };
                writeln!(out, "\n{level}: {}: {}", query.name, problem.text)?;
                if let Some(hint) = &problem.hint {
                    writeln!(out, "  hint: {hint}")?;
                }
            }
        }
        let odd = self.queries.iter().filter(|query| !query.problems.is_empty()).count();
        let asked = match self.queries.len() {
            1 => "1 query".to_owned(),
            n => format!("{n} queries"),
        };
        let sum = match odd {
            0 if self.queries.is_empty() => "the rules have no signals".to_owned(),
            0 => "nothing is odd".to_owned(),
            1 => "1 is odd".to_owned(),
            n => format!("{n} are odd"),
        };
        writeln!(out, "\nasked {} {asked}; {sum}", self.backend)
    }
}
