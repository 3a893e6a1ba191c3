//! `[rules]`: which rule files are read.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Context;
use super::world::reason;
use crate::problem::{At, Problem, Problems, SourceFile, Table, quoted};
use crate::rules::{builtin_causes, builtin_signals};

/// More rule files than this are refused.
pub const RULE_FILES_MAX: usize = 1_000;

/// Files that come with the program.
type BuiltIn = fn() -> Vec<SourceFile>;

/// The files that are read unless told otherwise, relative to the configuration, and what the
/// program brings along in place of files that are not there.
const DEFAULTS: [(&str, BuiltIn); 2] =
    [("rules/signals/*.toml", builtin_signals), ("rules/causes/*.toml", builtin_causes)];

/// The patterns of files that are read unless told otherwise.
pub(super) fn default_paths() -> Vec<&'static str> {
    DEFAULTS.iter().map(|(pattern, _)| *pattern).collect()
}

/// The rule files with their texts, and the problems of reading them as text.
pub(super) struct RuleFiles {
    pub(super) files: Vec<SourceFile>,
    pub(super) problems: Problems,
}

/// Reads the files that `[rules]` names, each once, in order of the list and then of the name.
/// Where it names none, and a folder of the default holds none, built-in files stand in.
pub(super) fn paths(root: &Table<'_>, context: &Context<'_>) -> RuleFiles {
    let mut read = RuleFiles { files: Vec::new(), problems: Problems::default() };
    let mut seen = BTreeSet::new();
    let section = root.table("rules");
    let listed = section.as_ref().and_then(|table| table.texts("paths"));
    if let (Some(table), Some(texts)) = (&section, &listed) {
        for text in texts {
            for path in matches(table, context, text) {
                if seen.insert(path.clone()) {
                    add(&mut read, context, &path, |what| table.wrong("paths", &text.at, &what));
                }
            }
        }
    } else if section.as_ref().is_none_or(|table| !table.has("paths")) {
        for (pattern, builtin) in DEFAULTS {
            let paths = expand(context, pattern).unwrap_or_else(|cannot| {
                root.report(root.error(0..0, format!("`rules.paths`: {}", cannot.what)));
                Vec::new()
            });
            if paths.is_empty() {
                read.files.extend(builtin());
            }
            for path in paths {
                add(&mut read, context, &path, |what| {
                    root.report(root.error(0..0, format!("`rules.paths`: {what}")));
                });
            }
        }
    }
    if let Some(table) = section {
        if seen.len() > RULE_FILES_MAX {
            let what = format!("names more than {RULE_FILES_MAX} files");
            table.wrong("paths", &table.at_value("paths"), &what);
        }
        table.finish();
    }
    read
}

fn add(read: &mut RuleFiles, context: &Context<'_>, path: &Path, wrong: impl FnOnce(String)) {
    if read.files.len() >= RULE_FILES_MAX {
        return;
    }
    match context.world.read(path) {
        Err(error) => wrong(format!("cannot read `{}`: {}", path.display(), reason(&error))),
        Ok(bytes) => match SourceFile::from_bytes(path, bytes) {
            Ok(file) => read.files.push(file),
            Err(problem) => read.problems.push(*problem),
        },
    }
}

/// The files that one entry of the list names.
fn matches(table: &Table<'_>, context: &Context<'_>, text: &At<&str>) -> Vec<PathBuf> {
    if !text.value.contains('*') {
        return vec![context.resolve(text.value)];
    }
    let found = match expand(context, text.value) {
        Ok(found) => found,
        Err(cannot) => {
            table.wrong_hint("paths", &text.at, &cannot.what, cannot.hint);
            return Vec::new();
        }
    };
    if found.is_empty() {
        let message = format!("`paths` in [rules]: {} matches no file", quoted(text.value));
        let place = table.document().place(text.at.clone());
        let folder = context.resolve(text.value);
        let folder = folder.parent().unwrap_or(Path::new("")).display().to_string();
        let hint = format!(
            "paths are relative to the file that names them, so {} was looked at",
            quoted(if folder.is_empty() { "." } else { &folder })
        );
        table.report(Problem::warning(place, message).hint(hint));
    }
    found
}

/// Why a pattern cannot be followed.
struct Cannot {
    what: String,
    hint: &'static str,
}

/// The files whose names match a pattern, in order.
fn expand(context: &Context<'_>, pattern: &str) -> Result<Vec<PathBuf>, Cannot> {
    let path = context.resolve(pattern);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let before = pattern.strip_suffix(name).unwrap_or(pattern);
    let Some(folder) = path.parent().filter(|_| !before.contains('*') && name.contains('*')) else {
        return Err(Cannot {
            what: "`*` can only stand in the file's name".to_owned(),
            hint: "name each folder by itself: \"rules/signals/*.toml\"",
        });
    };
    let mut found = match context.world.list(folder) {
        Ok(found) => found,
        // A folder that is not there holds no file that matches.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let folder = folder.display();
            return Err(Cannot {
                what: format!("cannot read the folder `{folder}`: {}", reason(&error)),
                hint: "relative paths begin at the folder of this file",
            });
        }
    };
    found.retain(|path| {
        // A hidden file is an editor's, as for a shell.
        path.file_name()
            .and_then(|file| file.to_str())
            .is_some_and(|file| !file.starts_with('.') && matches_name(name, file))
    });
    let mut found: Vec<PathBuf> =
        found.iter().filter_map(|path| Some(folder.join(path.file_name()?))).collect();
    found.sort();
    Ok(found)
}

/// Whether a file's name matches a pattern in which `*` stands for any characters.
fn matches_name(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, want) in [
            ("*.toml", "http.toml", true),
            ("*.toml", "http.toml.bak", false),
            ("*.toml", ".toml", true),
            ("http-*.toml", "http-a.toml", true),
            ("http-*.toml", "grpc-a.toml", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*a", "a", false),
            ("*", "anything", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(matches_name(pattern, name), want, "{pattern} {name}");
        }
    }
}
