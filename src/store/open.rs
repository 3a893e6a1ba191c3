//! Opening the state file: one process at a time, only files of ours, schema brought up to date.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::{Limits, Store, StoreError};

/// Marks the file as ours in its header: "GFLG".
const APPLICATION_ID: i64 = 0x4746_4c47;
/// The steps of the schema, oldest first; a file's `user_version` counts those it has.
const MIGRATIONS: [&str; 8] = [
    include_str!("001_state.sql"),
    include_str!("002_archive.sql"),
    include_str!("003_feedback.sql"),
    include_str!("004_changes.sql"),
    include_str!("005_words.sql"),
    include_str!("006_delivery.sql"),
    include_str!("007_steps.sql"),
    include_str!("008_services.sql"),
];
/// How long to wait for an operator's tool that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// A command beside the daemon has the lock for a moment while it looks at the schema: a start
/// tries so often to take it, with so long between.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Memory for pages of the archive: 16 MiB hold the rows of one run of 80 000 series.
const ARCHIVE_CACHE_KIB: i64 = 16 << 10;
/// The write-ahead log is cut back to this after a checkpoint.
const LOG_BYTES_MAX: i64 = 64 << 20;

impl Store {
    /// Opens the state file at `path`, creating it if there is none.
    ///
    /// # Errors
    ///
    /// When another process has it, when it belongs to another program or a later version,
    /// or when the disk refuses. The file is left as it is in these cases.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Limits::default())
    }

    /// Opens the state file with other limits than the usual ones.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn open_with(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let path = resolve(path)?;
        let lock = lock_patiently(&path)?;
        Self::connect(path, limits, Some(lock))
    }

    /// Opens a state file that exists, whether a daemon has it or not: to list incidents and to
    /// give feedback. A daemon may start while it is open.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and when there is no such file, or a daemon of an earlier version has
    /// it.
    pub fn open_beside(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        let path = resolve(path)?;
        let lock = match lock(&path) {
            Ok(lock) => Some(lock),
            Err(StoreError::InUse { .. }) => None,
            Err(other) => return Err(other),
        };
        let store = Self::connect(path, Limits::default(), lock)?;
        Ok(Self { _lock: None, ..store })
    }

    /// Without the lock the file is another process's, and its schema too.
    fn connect(path: PathBuf, limits: Limits, lock: Option<File>) -> Result<Self, StoreError> {
        let failed = |attempt| {
            let path = path.clone();
            move |source: rusqlite::Error| match source.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => StoreError::Foreign { path },
                _ => StoreError::Sqlite { attempt, path, source },
            }
        };
        let mut connection = Connection::open(&path).map_err(failed("open a connection"))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed("set the waiting time"))?;
        let has = schema_of(&connection).map_err(failed("read the schema"))?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        match has {
            Schema::Foreign => return Err(StoreError::Foreign { path }),
            Schema::Ours(found) if found > known => {
                return Err(StoreError::Newer { path, found, known });
            }
            Schema::Ours(found) if found < known && lock.is_none() => {
                return Err(StoreError::Older { path, found, known });
            }
            Schema::Ours(found) => {
                configure(&connection).map_err(failed("set the journal mode"))?;
                migrate(&mut connection, found).map_err(failed("bring the schema up to date"))?;
            }
        }
        Ok(Self { connection, path, limits, _lock: lock })
    }
}

/// Another connection to a file that is open, for the archive.
///
/// It is in the same write-ahead log as the rest, so that synchronising the log for a snapshot
/// synchronises the runs before it: no need to do so for each.
pub(super) fn connect_archive(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)?;
    connection.pragma_update(None, "cache_size", -ARCHIVE_CACHE_KIB)?;
    Ok(connection)
}

/// What a file holds.
enum Schema {
    /// This many of our migrations; none in an empty file.
    Ours(i64),
    /// Something else.
    Foreign,
}

fn schema_of(connection: &Connection) -> rusqlite::Result<Schema> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    let version = number("user_version")?;
    Ok(match number("application_id")? {
        APPLICATION_ID => Schema::Ours(version),
        0 if tables == 0 && version == 0 => Schema::Ours(0),
        _ => Schema::Foreign,
    })
}

/// Full synchronisation: a message acknowledged by a receiver must be marked so on the disk
/// before the next one is sent, or a power cut would send it twice.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)
}

/// Each step in its own transaction with its number, so that a crash leaves whole steps.
fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    for (version, sql) in (1_i64..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(sql)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    Ok(())
}

/// The path without links, so that two names of one file share one lock.
fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    if path.exists() {
        return path.canonicalize().map_err(failed);
    }
    let name = path.file_name().ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(folder.canonicalize().map_err(failed)?.join(name))
}

/// Takes the lock, waiting for whoever has it for a moment only.
fn lock_patiently(path: &Path) -> Result<File, StoreError> {
    for _ in 1..LOCK_TRIES {
        match lock(path) {
            Err(StoreError::InUse { .. }) => std::thread::park_timeout(LOCK_PAUSE),
            other => return other,
        }
    }
    lock(path)
}

/// Takes the lock beside the file. Beside it and not in it, because SQLite's own locks would
/// keep operators from reading; a lock of the kernel's, because it ends with its process.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
