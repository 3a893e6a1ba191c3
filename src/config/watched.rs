//! What a configuration was made of: every file and folder that was read for it, so that a change
//! of any is seen, and nothing else is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::world::World;
use crate::series::stable_hash;

/// Everything that was read, by path, with a hash of what was found there: contents, names of a
/// folder, or the kind of error. What is behind a link is what counts, so the swap of a folder of
/// links (a mounted ConfigMap) is a change only where contents differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, u128>);

impl Fingerprint {
    /// The paths whose contents are not the same in the other, in order.
    pub fn differs_from(&self, other: &Self) -> Vec<PathBuf> {
        let all = self.0.keys().chain(other.0.keys());
        let mut differing: Vec<PathBuf> =
            all.filter(|path| self.0.get(*path) != other.0.get(*path)).cloned().collect();
        differing.sort();
        differing.dedup();
        differing
    }

    /// Looks at the same paths again. Cost: reads them all.
    #[must_use]
    pub fn look_again(&self, world: &dyn World) -> Self {
        let look = |path: &PathBuf| {
            // Nobody remembers which of them were folders: what cannot be read as a file is one,
            // or is not there.
            let found =
                world.read(path).map_or_else(|_| names(world, path), |bytes| bytes_of(&bytes));
            (path.clone(), found)
        };
        Self(self.0.keys().map(look).collect())
    }
}

/// A world that remembers what was read.
pub(super) struct Watched<'w> {
    world: &'w dyn World,
    seen: RefCell<BTreeMap<PathBuf, u128>>,
}

impl<'w> Watched<'w> {
    pub(super) fn new(world: &'w dyn World) -> Self {
        Self { world, seen: RefCell::default() }
    }

    /// What was read so far.
    pub(super) fn fingerprint(self) -> Fingerprint {
        Fingerprint(self.seen.into_inner())
    }
}

impl World for Watched<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let read = self.world.read(path);
        let found = read.as_ref().map_or_else(|_| names(self.world, path), |bytes| bytes_of(bytes));
        self.seen.borrow_mut().insert(path.to_owned(), found);
        read
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.seen.borrow_mut().insert(folder.to_owned(), names(self.world, folder));
        self.world.list(folder)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.world.variable(name)
    }
}

fn bytes_of(bytes: &[u8]) -> u128 {
    // Latin-1 keeps every byte apart.
    stable_hash(&["file", &bytes.iter().map(|&byte| char::from(byte)).collect::<String>()])
}

/// The names in a folder; of what is none, that it is none.
fn names(world: &dyn World, folder: &Path) -> u128 {
    let Ok(mut paths) = world.list(folder) else { return stable_hash(&["nothing"]) };
    paths.sort();
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    stable_hash(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    #[test]
    fn a_change_of_contents_is_seen_and_a_touch_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (file, missing) = (folder.path().join("a.toml"), folder.path().join("b.toml"));
        std::fs::write(&file, "a = 1").unwrap();
        let watched = Watched::new(&Machine);
        watched.read(&file).unwrap();
        watched.read(&missing).unwrap_err();
        watched.list(folder.path()).unwrap();
        let before = watched.fingerprint();
        std::fs::write(&file, "a = 1").unwrap();
        assert_eq!(before.look_again(&Machine), before);
        std::fs::write(&file, "a = 2").unwrap();
        assert_eq!(before.look_again(&Machine).differs_from(&before), [file]);
        std::fs::write(&missing, "").unwrap();
        let folder = folder.path().to_owned();
        let changed = before.look_again(&Machine).differs_from(&before);
        assert!(changed.contains(&missing) && changed.contains(&folder), "{changed:?}");
    }
}
