//! Files of what really happened, for commands that measure themselves against it.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use super::Failure;
use crate::config::{Machine, World as _};
use crate::problem::SourceFile;
use crate::rules::Rules;
use crate::scorecard::{self, Truth};

/// The incidents of a file, or every problem of it on standard error.
pub(super) fn load(path: &Path, rules: &Rules) -> Result<Vec<Truth>, Failure> {
    let cannot = |why: String| {
        Failure::could_not(format!("cannot read the incidents `{}`: {why}", path.display()))
    };
    let bytes = Machine.read(path).map_err(|problem| cannot(problem.to_string()))?;
    let file = SourceFile::from_bytes(path, bytes)
        .map_err(|problem| Failure::could_not(problem.to_string()))?;
    let causes: BTreeSet<&str> = rules.causes.iter().map(|cause| cause.id.as_str()).collect();
    let (truths, problems) = scorecard::parse(&file, Some(&causes));
    if !problems.is_empty() {
        let mut err = io::stderr().lock();
        err.write_all(problems.render(err.is_terminal()).as_bytes())?;
    }
    if problems.has_errors() {
        return Err(cannot(problems.summary()));
    }
    Ok(truths)
}
