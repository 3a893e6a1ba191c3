//! `[templates]`: files that lay messages out in place of grayflag's own.

use std::path::Path;

use super::Context;
use super::world::reason;
use crate::notify::templates::{BUILT_IN, TemplateError, Templates};
use crate::problem::{Place, Problem, Problems, SourceFile, Table, did_you_mean, quoted};

/// Reads every file of the folder and tries it out. A file under a name that no template has is
/// told and left out.
pub(super) fn templates(table: Option<Table<'_>>, context: &Context<'_>) -> (Templates, Problems) {
    let mut problems = Problems::default();
    let Some(table) = table else { return (Templates::default(), problems) };
    let Some(dir) = table.required("dir", Table::filled) else {
        table.finish();
        return (Templates::default(), problems);
    };
    let folder = context.resolve(dir.value);
    let mut paths = context.world.list(&folder).unwrap_or_else(|error| {
        let what = format!("cannot read the folder {}: {}", quoted(dir.value), reason(&error));
        let hint = "`grayflag config --templates DIR` makes one to start from";
        table.wrong_hint("dir", &dir.at, &what, hint);
        Vec::new()
    });
    table.finish();
    paths.sort();
    let mut own = Vec::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // A hidden file is an editor's, as for a shell.
        if name.starts_with('.') {
            continue;
        }
        match template(&folder.join(name), name, context) {
            Ok(source) => own.push((name.to_owned(), source)),
            Err(found) => problems.extend(found),
        }
    }
    let all = Templates::with(&own).unwrap_or_default();
    (all, problems)
}

/// The text of one file, if it is a template that can be used.
fn template(path: &Path, name: &str, context: &Context<'_>) -> Result<String, Problems> {
    let alone = |problem: Problem| {
        let mut problems = Problems::default();
        problems.push(problem);
        problems
    };
    let top = Place { file: path.display().to_string(), line: 1, column: 1, span: 0..0 };
    let names = || BUILT_IN.iter().map(|(name, _)| *name);
    if !names().any(|known| known == name) {
        let hint = did_you_mean(name, names(), "templates").unwrap_or_default();
        let message = format!("no message is laid out by a template named {}", quoted(name));
        return Err(alone(Problem::warning(top, message).hint(hint)));
    }
    let bytes = context.world.read(path).map_err(|error| {
        alone(Problem::error(top, format!("cannot read the template: {}", reason(&error))))
    })?;
    let file = SourceFile::from_bytes(path, bytes).map_err(|problem| alone(*problem))?;
    let tried = Templates::with(&[(name.to_owned(), file.text.clone())])
        .and_then(|templates| templates.try_out(name));
    tried.map_err(|TemplateError { detail, place, .. }| {
        let hint =
            "docs/templates.md says what a template is given; it was tried out on sample incidents";
        let message = format!("the template fails: {detail}");
        file.problem(place.unwrap_or(0..0), |at| Problem::error(at, message).hint(hint))
    })?;
    Ok(file.text)
}
