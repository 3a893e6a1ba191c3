//! What was found, as files to start from.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::{Found, PackFound};
use crate::rules::{instead_of_percentile, packs};

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file is there already.
    #[error("`{}` is there already\nhint: name another folder; nothing was written", .0.display())]
    Exists(PathBuf),
    /// The disk refuses.
    #[error("cannot write `{}`", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Writes a configuration and the packs that fit into a folder; returns what was written. No file
/// that is there is touched.
///
/// # Errors
///
/// When a file is there already, or cannot be written.
pub fn write(found: &Found, folder: &Path) -> Result<Vec<PathBuf>, WriteError> {
    let mut files = vec![(folder.join("grayflag.toml"), config_text(found))];
    for pack in found.packs.iter().filter(|pack| pack.fits) {
        let path = folder.join("rules/signals").join(format!("{}.toml", pack.name));
        files.push((path, pack_text(pack)));
    }
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(WriteError::Exists(path.clone()));
    }
    for (path, text) in &files {
        let failed = |source| WriteError::Io { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(path, text).map_err(failed)?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// A configuration for the backend, with what was found in it.
pub fn config_text(found: &Found) -> String {
    let mut text = String::from(
        "# Written by `grayflag discover`. `grayflag config --default` explains every option.\n\n",
    );
    let _ = write!(text, "[source]\nurl = {:?}\n", found.backend);
    text.push_str(if found.packs.iter().any(|pack| pack.fits) {
        "\n# The packs of signals that fit this backend are in rules/signals; all causes are\n# built in.\n[rules]\npaths = [\"rules/signals/*.toml\", \"builtin:causes\"]\n"
    } else {
        "\n# No pack fits this backend, so nothing is watched yet: bind your metrics to signals in\n# rules/signals/own.toml and name it here; all causes are built in.\n[rules]\npaths = [\"builtin:causes\"] # \"rules/signals/*.toml\"\n"
    });
    if let Some(topology) = &found.topology {
        let _ = write!(text, "\n# Who calls whom.\n[topology]\nquery = '{topology}'\n");
    }
    for marker in found.markers.iter().filter(|marker| !marker.toml.is_empty()) {
        let _ = write!(text, "\n# {}.\n{}", marker.about, marker.toml);
    }
    if found.markers.iter().all(|marker| marker.toml.is_empty()) {
        text.push_str("\n# No metric tells of deploys. Tell them from CI:\n#   curl -X POST http://127.0.0.1:9469/api/v1/changes -H 'Content-Type: application/json' \\\n#     -d '{\"kind\": \"deploy\", \"service\": \"checkout\", \"what\": \"v41\"}'\n");
    }
    text.push_str("\n# Where alerts go.\n# [[receiver]]\n# name = \"oncall\"\n# email = { to = [\"oncall@example.com\"], smtp = \"smtp://127.0.0.1:25\" }\n");
    text
}

/// A pack's file, with those signals behind `#` for which the backend lacks metrics.
pub fn pack_text(found: &PackFound) -> String {
    let Some(pack) = packs().find(|pack| pack.name == found.name) else { return String::new() };
    let mut text = String::new();
    for (place, part) in pack.text.split("[[signal]]").enumerate() {
        if place == 0 {
            text.push_str(part);
            continue;
        }
        let lacking = found.signals.get(place - 1).filter(|signal| !signal.missing.is_empty());
        let Some(lacking) = lacking else {
            let _ = write!(text, "[[signal]]{part}");
            continue;
        };
        let _ = writeln!(text, "# This backend has no {}.", lacking.missing.join(", "));
        if !lacking.instead.is_empty() {
            let kinds = lacking.instead.values().copied().collect();
            let _ = writeln!(text, "# There is the {}.", instead_of_percentile(&kinds));
        }
        let whole = format!("[[signal]]{part}");
        for line in whole.lines() {
            // What introduces the next signal is a comment, and stays one.
            let quoted = line.is_empty() || line.starts_with('#');
            let _ = writeln!(text, "{}{line}", if quoted { "" } else { "# " });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_no_files_that_are_not_there() {
        let found = |fits| Found {
            backend: "http://127.0.0.1:9090".to_owned(),
            at: crate::time::Timestamp::from_secs(0),
            packs: vec![PackFound {
                name: "http".to_owned(),
                about: String::new(),
                fits,
                signals: Vec::new(),
            }],
            services: std::collections::BTreeMap::new(),
            markers: Vec::new(),
            topology: None,
        };
        for (fits, paths) in [
            (true, "paths = [\"rules/signals/*.toml\", \"builtin:causes\"]\n"),
            (false, "paths = [\"builtin:causes\"] # "),
        ] {
            let text = config_text(&found(fits));
            assert!(text.contains(paths), "{text}");
        }
    }
}
