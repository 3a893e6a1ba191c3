//! `[rules]`: which rule files are read.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Context;
use super::world::reason;
use crate::problem::{At, Problem, Problems, SourceFile, Table, did_you_mean, quoted};
use crate::rules::{builtin_causes, builtin_signals, packs};

/// More rule files than this are refused.
pub const RULE_FILES_MAX: usize = 1_000;

/// In a list of files: all that is read by default, as it comes with the program.
const BUILT_IN: &str = "builtin";

/// Before the name of a pack, or before [`CAUSES`]: that part of what comes with the program.
const BUILT_IN_PART: &str = "builtin:";

/// Every cause that comes with the program.
const CAUSES: &str = "causes";

/// Files that come with the program.
type BuiltIn = fn() -> Vec<SourceFile>;

/// The files that are read unless told otherwise, relative to the configuration, and what the
/// program brings along in place of files that are not there.
const DEFAULTS: [(&str, BuiltIn); 3] = [
    ("rules/signals/*.toml", builtin_signals),
    ("rules/causes/*.toml", builtin_causes),
    // What a change is called depends on the fleet, so none is read unless it is asked for.
    ("rules/changes/*.toml", Vec::new),
];

/// The patterns of files that are read unless told otherwise.
pub(super) fn default_paths() -> Vec<&'static str> {
    DEFAULTS.iter().map(|(pattern, _)| *pattern).collect()
}

/// The rule files with their texts, and the problems of reading them as text.
#[derive(Debug, Default)]
pub(crate) struct RuleFiles {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) problems: Problems,
}

/// Reads the files that `[rules]` names. Where it names none, and a folder of the default holds
/// none, built-in files stand in.
pub(super) fn paths(root: &Table<'_>, context: &Context<'_>) -> RuleFiles {
    if let Some(table) = root.table("rules") {
        let read = table.has("paths").then(|| named(&table, "paths", context));
        table.finish();
        if let Some(read) = read {
            return read;
        }
    }
    let mut read = RuleFiles::default();
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
    read
}

/// Reads the files of a list, each once, in order of the list and then of the name. The entry
/// [`BUILT_IN`] stands for everything that the program brings along.
pub(crate) fn named(table: &Table<'_>, key: &'static str, context: &Context<'_>) -> RuleFiles {
    let mut read = RuleFiles::default();
    let mut seen = BTreeSet::new();
    for text in table.texts(key).unwrap_or_default() {
        if text.value == BUILT_IN {
            if seen.insert(PathBuf::from(BUILT_IN)) {
                read.files.extend(crate::rules::builtin());
            }
            continue;
        }
        if let Some(part) = text.value.strip_prefix(BUILT_IN_PART) {
            if seen.insert(PathBuf::from(text.value)) {
                read.files.extend(builtin_part(table, key, &text, part));
            }
            continue;
        }
        for path in matches(table, key, context, &text) {
            if seen.insert(path.clone()) {
                add(&mut read, context, &path, |what| table.wrong(key, &text.at, &what));
            }
        }
    }
    if seen.len() > RULE_FILES_MAX {
        let what = format!("names more than {RULE_FILES_MAX} files");
        table.wrong(key, &table.at_value(key), &what);
    }
    read
}

/// The files of one pack, or of all causes.
fn builtin_part(
    table: &Table<'_>,
    key: &'static str,
    text: &At<&str>,
    part: &str,
) -> Vec<SourceFile> {
    if part == CAUSES {
        return builtin_causes();
    }
    let found: Vec<SourceFile> =
        packs().filter(|pack| pack.name == part).map(|pack| pack.file()).collect();
    if found.is_empty() {
        let what = format!("no pack is called {}", quoted(part));
        let known = packs().map(|pack| pack.name).chain([CAUSES]);
        let hint = did_you_mean(part, known, "packs").unwrap_or_default();
        table.wrong_hint(key, &text.at, &what, &hint);
    }
    found
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
fn matches(
    table: &Table<'_>,
    key: &'static str,
    context: &Context<'_>,
    text: &At<&str>,
) -> Vec<PathBuf> {
    if !text.value.contains('*') {
        return vec![context.resolve(text.value)];
    }
    let found = match expand(context, text.value) {
        Ok(found) => found,
        Err(cannot) => {
            table.wrong_hint(key, &text.at, &cannot.what, cannot.hint);
            return Vec::new();
        }
    };
    if found.is_empty() {
        let message =
            format!("`{key}` {}: {} matches no file", table.whereabouts(), quoted(text.value));
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
