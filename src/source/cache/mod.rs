//! Answers about the past, kept on the disk: a replay that was stopped goes on without asking
//! again, and one with changed rules asks only for what changed.
//!
//! One file per answer, named by a hash of the backend, the query, its range and its step. A file
//! is written beside its place and then moved there, so that nobody reads half of one, whoever else
//! writes; its length and a hash are looked at whenever it is read, and what is damaged is dropped
//! and asked for anew.
//!
//! The past can change: history is filled in later, and another backend may stand behind the same
//! address. So the backend is asked for a few instants of every answer before that is used, which
//! costs some hundredths of the answer; one that does not agree is asked for anew. While the backend is
//! away, what is kept is believed. Replays and their like use this; the daemon never does.

mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::client::{Authorization, Ignored};
use super::decode::{Head, Rows};
use super::{Prometheus, SourceError};
use crate::series::stable_hash;
use crate::time::{Span, Timestamp};
use record::{Answer, Kept, Recorder, pack, unpack};

/// Bytes that the files take together, at most; beyond it the oldest go.
pub const CACHE_BYTES_MAX: u64 = 8 << 30;
/// What is newer than this may still change, and is not kept.
pub const CACHE_AGE_MIN: Span = Span::from_mins(10);
/// What is left once the oldest have gone, as a share of the limit in tenths.
const KEPT_TENTHS: u64 = 9;
/// A file that is being written is given up when it is older than this.
const UNFINISHED_MAX: Duration = Duration::from_secs(3_600);
/// Instants of a kept answer that the backend is asked for before it is used.
const CHECKED: i64 = 64;
const RANGE_PATH: &str = "api/v1/query_range";
/// How the names of files end.
const ENDING: &str = "answer";
/// How they end while they are being written.
const UNFINISHED: &str = "part";

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot keep downloads in `{}`\nhint: give another folder with --cache, or go without: --no-cache",
    folder.display()
)]
pub struct CacheError {
    folder: PathBuf,
    source: io::Error,
}

/// A folder of answers.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Answers about a later time are not kept.
    until: Timestamp,
    bytes_max: u64,
    bytes: AtomicU64,
    found: AtomicU64,
    asked: AtomicU64,
    damaged: AtomicU64,
    changed: AtomicU64,
    /// The backend cannot be asked whether what is kept still holds.
    away: AtomicBool,
    /// Nothing can be written any more.
    full: AtomicBool,
}

/// What a cache was good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// Answers that were there.
    pub found: u64,
    /// Answers that the backend had to give.
    pub asked: u64,
    /// Files that were damaged; their answers are among those asked for.
    pub damaged: u64,
    /// Answers that the backend gives differently by now; also among those asked for.
    pub changed: u64,
    /// Whether the backend was away, and what was kept was believed.
    pub away: bool,
    /// Whether something could not be written.
    pub full: bool,
}

impl Cache {
    /// The cache in a folder, which is made if it is not there. `now` is the present: what is
    /// newer than [`CACHE_AGE_MIN`] before it is not kept.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, read or written.
    ///
    /// # Cost
    ///
    /// A look at the length of every file.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self, CacheError> {
        Self::open_within(folder, now, CACHE_BYTES_MAX)
    }

    fn open_within(folder: &Path, now: Timestamp, bytes_max: u64) -> Result<Self, CacheError> {
        let cache = Self {
            folder: folder.to_owned(),
            until: now - CACHE_AGE_MIN,
            bytes_max,
            bytes: AtomicU64::new(0),
            found: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            changed: AtomicU64::new(0),
            away: AtomicBool::new(false),
            full: AtomicBool::new(false),
        };
        let failed = |source| CacheError { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let long_ago = instant(now).checked_sub(UNFINISHED_MAX);
        let files = cache.files(UNFINISHED).map_err(failed)?;
        // Left behind by one that was killed.
        for file in files.into_iter().filter(|file| Some(file.written) < long_ago) {
            drop(fs::remove_file(file.path));
        }
        cache.make_room().map_err(failed)?;
        Ok(cache)
    }

    /// What it was good for so far.
    pub fn used(&self) -> CacheUse {
        CacheUse {
            found: self.found.load(Ordering::Relaxed),
            asked: self.asked.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            changed: self.changed.load(Ordering::Relaxed),
            away: self.away.load(Ordering::Relaxed),
            full: self.full.load(Ordering::Relaxed),
        }
    }

    /// Where an answer is, by what was asked: whoever reads names of files learns nothing.
    fn path(&self, identity: &str, form: &[(&str, String)]) -> PathBuf {
        let hash = stable_hash(&[
            identity,
            part(form, "query"),
            part(form, "start"),
            part(form, "end"),
            part(form, "step"),
        ]);
        self.folder.join(format!("{hash:032x}.{ENDING}"))
    }

    /// What is kept, if it is whole.
    fn get(&self, path: &Path) -> Option<Kept> {
        let kept = unpack(&fs::read(path).ok()?);
        if kept.is_none() {
            self.damaged.fetch_add(1, Ordering::Relaxed);
            drop(fs::remove_file(path));
        }
        kept
    }

    /// Keeps an answer. A disk that is full costs the cache, not the work: it is told at the end.
    fn keep(&self, path: &Path, kept: &Kept) {
        if self.full.load(Ordering::Relaxed) {
            return;
        }
        let Some(bytes) = pack(kept) else { return };
        let done = Self::write(path, &bytes);
        let total = self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let done = match done {
            Ok(()) if self.bytes_max < total + bytes.len() as u64 => self.make_room(),
            done => done,
        };
        if let Err(problem) = done {
            tracing::warn!(folder = %self.folder.display(), %problem, "cannot keep downloads");
            self.full.store(true, Ordering::Relaxed);
        }
    }

    /// Another process, or another replay of this one, may write the same at the same time: each
    /// has a file of its own, and the later one takes the place.
    fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let (process, place) = (std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
        let unfinished = path.with_extension(format!("{process}.{place}.{UNFINISHED}"));
        let written = fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            drop(fs::remove_file(&unfinished));
        }
        written
    }

    /// Counts what there is, and removes the oldest beyond the limit.
    fn make_room(&self) -> io::Result<()> {
        let mut files = self.files(ENDING)?;
        let mut total: u64 = files.iter().map(|file| file.bytes).sum();
        if self.bytes_max < total {
            files.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
            for file in files {
                if total <= self.bytes_max / 10 * KEPT_TENTHS {
                    break;
                }
                // Whoever else makes room may have been faster.
                drop(fs::remove_file(&file.path));
                total -= file.bytes;
            }
        }
        self.bytes.store(total, Ordering::Relaxed);
        Ok(())
    }

    fn files(&self, ending: &str) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|found| found != ending) {
                continue;
            }
            // It may be gone again.
            if let Ok(metadata) = fs::metadata(&path) {
                let written = metadata.modified()?;
                files.push(File { path, bytes: metadata.len(), written });
            }
        }
        Ok(files)
    }
}

struct File {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

fn instant(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + (at - Timestamp::default()).to_std()
}

impl Prometheus {
    /// Asks a range query whose last instant is `end`, or takes what was kept of the same question.
    pub(super) async fn ask_range(
        &self,
        form: &[(&str, String)],
        end: Timestamp,
        authorization: &Authorization,
        rows: &mut impl Rows,
    ) -> Result<Head, SourceError> {
        let Some(cache) = self.cache.as_ref().filter(|cache| end <= cache.until) else {
            return self.client.ask(RANGE_PATH, form, authorization, rows).await;
        };
        // Boxed: those who keep nothing, and are many, need not carry it.
        Box::pin(self.ask_kept(cache, form, authorization, rows)).await
    }

    async fn ask_kept(
        &self,
        cache: &Cache,
        form: &[(&str, String)],
        authorization: &Authorization,
        rows: &mut impl Rows,
    ) -> Result<Head, SourceError> {
        let path = cache.path(&self.client.identity, form);
        match cache.get(&path) {
            Some(Kept::Answer(answer)) => {
                if self.still_says(&answer, form, (cache, authorization)).await {
                    cache.found.fetch_add(1, Ordering::Relaxed);
                    return Ok(answer.tell(rows));
                }
                cache.changed.fetch_add(1, Ordering::Relaxed);
            }
            Some(Kept::TooMuch) => {
                let reason = "as it said before".to_owned();
                return Err(SourceError::TooManyPoints { reason });
            }
            None => {}
        }
        cache.asked.fetch_add(1, Ordering::Relaxed);
        let mut recorder = Recorder::new(rows);
        let asked = self.client.ask(RANGE_PATH, form, authorization, &mut recorder).await;
        match &asked {
            Ok(head) => {
                if let Some(answer) = recorder.finish(head) {
                    cache.keep(&path, &Kept::Answer(answer));
                }
            }
            Err(SourceError::TooManyPoints { .. } | SourceError::TooLarge { .. }) => {
                cache.keep(&path, &Kept::TooMuch);
            }
            Err(_) => {}
        }
        asked
    }

    /// Asks the backend for a few instants of an answer that was kept.
    async fn still_says(
        &self,
        answer: &Answer,
        form: &[(&str, String)],
        (cache, authorization): (&Cache, &Authorization),
    ) -> bool {
        if cache.away.load(Ordering::Relaxed) {
            return true;
        }
        let (start, step) = coarser(form);
        let mut some = form.to_vec();
        if let Some((_, asked)) = some.iter_mut().find(|(name, _)| *name == "step") {
            *asked = format!("{:.3}", Span::from_millis(step).as_secs_f64());
        }
        let mut ignored = Ignored;
        let mut recorder = Recorder::new(&mut ignored);
        match self.client.ask(RANGE_PATH, &some, authorization, &mut recorder).await {
            Ok(head) => {
                recorder.finish(&head).is_some_and(|some| answer.agrees_with(&some, (start, step)))
            }
            Err(error) if error.is_transient() => {
                cache.away.store(true, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }
}

/// A field of a form; empty if it is not there.
fn part<'f>(form: &'f [(&str, String)], name: &str) -> &'f str {
    let found = form.iter().find(|(key, _)| *key == name);
    found.map_or("", |(_, value)| value.as_str())
}

/// The first instant of a range, and the step with which at most [`CHECKED`] of its instants are
/// asked for; both in milliseconds.
fn coarser(form: &[(&str, String)]) -> (i64, i64) {
    let millis = |name| {
        let at = part(form, name).parse().ok().and_then(Timestamp::from_secs_f64);
        at.map_or(0, Timestamp::as_millis)
    };
    let (start, step) = (millis("start"), millis("step").max(1));
    let instants = (millis("end") - start) / step + 1;
    (start, step * ((instants - 1) / CHECKED + 1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_772_323_200);

    fn form(query: &str) -> [(&'static str, String); 2] {
        [("query", query.to_owned()), ("timeout", "30s".to_owned())]
    }

    #[test]
    fn an_answer_is_found_by_what_was_asked_of_whom() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), NOW).unwrap();
        let path = cache.path("http://a", &form("up"));
        assert_eq!(cache.get(&path), None);
        cache.keep(&path, &Kept::Answer(Answer::default()));
        assert_eq!(cache.get(&path), Some(Kept::Answer(Answer::default())));
        for other in [cache.path("http://b", &form("up")), cache.path("http://a", &form("down"))] {
            assert_eq!(cache.get(&other), None);
        }
    }

    #[test]
    fn few_instants_of_the_range_are_asked_for_again() {
        for (end, step) in [("0", 30), ("1890", 30), ("1920", 60), ("61410", 960)] {
            let form =
                [("start", "0".to_owned()), ("end", end.to_owned()), ("step", "30".to_owned())];
            assert_eq!(coarser(&form), (0, step * 1_000), "{end}");
        }
    }

    #[test]
    fn what_is_damaged_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), NOW).unwrap();
        let path = cache.path("http://a", &form("up"));
        cache.keep(&path, &Kept::TooMuch);
        fs::write(&path, b"grayflag-cache-1\nnonsense").unwrap();
        assert_eq!(cache.get(&path), None);
        assert!(!path.exists());
        assert_eq!(cache.used().damaged, 1);
    }

    #[test]
    fn replays_side_by_side_keep_the_same_answer_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), NOW).unwrap();
        let path = cache.path("http://a", &form("up"));
        let answer = || {
            let mut answer = Answer::default();
            answer.warnings.push("w".repeat(1 << 20));
            answer
        };
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| (0..20).for_each(|_| cache.keep(&path, &Kept::Answer(answer()))));
            }
        });
        assert_eq!(cache.get(&path), Some(Kept::Answer(answer())));
        assert_eq!(cache.used(), CacheUse::default(), "nothing was damaged or could not be kept");
    }

    #[test]
    fn the_oldest_go_when_it_is_full_and_leftovers_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let one = pack(&Kept::TooMuch).unwrap().len() as u64;
        let age = |path: &Path, minutes: i64| {
            let at = instant(NOW - Span::from_mins(minutes));
            fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        };
        let open = |now| Cache::open_within(folder.path(), now, 10 * one).unwrap();
        let cache = open(NOW);
        let paths: Vec<PathBuf> =
            (0..10).map(|n| cache.path("http://a", &form(&n.to_string()))).collect();
        for (path, minutes) in paths.iter().zip([90, 10, 20, 30, 40, 50, 60, 70, 80, 5]) {
            cache.keep(path, &Kept::TooMuch);
            age(path, minutes);
        }
        assert!(paths.iter().all(|path| path.exists()), "the limit is not passed");
        cache.keep(&cache.path("http://a", &form("one more")), &Kept::TooMuch);
        let gone: Vec<usize> = (0..10).filter(|&n| !paths[n].exists()).collect();
        assert_eq!(gone, [0, 8]);
        let leftover = folder.path().join(format!("x.1.{UNFINISHED}"));
        fs::write(&leftover, b"half").unwrap();
        age(&leftover, 30);
        open(NOW);
        assert!(leftover.exists(), "somebody may be writing it");
        open(NOW + Span::HOUR);
        assert!(!leftover.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_with_the_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let problem = Cache::open(&file.path().join("cache"), NOW).unwrap_err();
        assert!(problem.to_string().contains("--no-cache"), "{problem}");
    }
}
