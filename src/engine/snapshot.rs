//! The engine's state as bytes: versioned, compressed, complete. An engine restored from a
//! snapshot goes on as if it had never stopped.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::archive::Archive;
use super::grid::WallClock;
use super::{Engine, EngineState, Settings, zone_name};
use crate::rules::Rules;

/// Raised whenever the layout of the state changes; older snapshots are then learned anew.
pub const VERSION: u32 = 12;
/// A snapshot larger than this is not read: a hundred thousand series take a tenth of it.
const BYTES_MAX: u64 = 16 << 30;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Written by a program with another layout.
    #[error("snapshot has version {found}, this program reads {VERSION}")]
    Version {
        /// What was found.
        found: u32,
    },
    /// Seasons were learned by another clock on the wall.
    #[error("`poll.timezone` was {found} before")]
    Zone {
        /// The zone before.
        found: String,
    },
    /// Not the bytes that were written.
    #[error("snapshot is damaged: {0}")]
    Damaged(String),
}

impl Engine {
    /// The whole state as bytes, to be kept beside [`VERSION`].
    ///
    /// # Errors
    ///
    /// Only when memory for the bytes cannot be had.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let damaged = |e: &dyn std::fmt::Display| SnapshotError::Damaged(e.to_string());
        let plain = postcard::to_stdvec(&self.state).map_err(|e| damaged(&e))?;
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain).map_err(|e| damaged(&e))?;
        encoder.finish().map_err(|e| damaged(&e))
    }

    /// An engine that goes on where the snapshot was taken. `archive` holds what the engine that
    /// was kept had in its own at that time, or later. Series whose signal is no longer in
    /// the rules, or whose values mean something else now, are dropped; [`Self::strangers`] names
    /// the signals of which nothing is known.
    ///
    /// # Errors
    ///
    /// Another version's bytes, damaged ones, or another time zone's: the caller learns anew from
    /// the source.
    pub fn restore(
        rules: Arc<Rules>,
        settings: Settings,
        version: u32,
        bytes: &[u8],
        archive: Box<dyn Archive>,
    ) -> Result<Self, SnapshotError> {
        if version != VERSION {
            return Err(SnapshotError::Version { found: version });
        }
        let damaged = |e: &dyn std::fmt::Display| SnapshotError::Damaged(e.to_string());
        let mut plain = Vec::new();
        ZlibDecoder::new(bytes).take(BYTES_MAX).read_to_end(&mut plain).map_err(|e| damaged(&e))?;
        let state: EngineState = postcard::from_bytes(&plain).map_err(|e| damaged(&e))?;
        let zone = zone_name(&settings.timezone);
        if state.zone != zone {
            let found = state.zone.unwrap_or_else(|| "another".to_owned());
            return Err(SnapshotError::Zone { found });
        }
        let clock = WallClock::new(settings.timezone.clone());
        let mut engine = Self { rules, settings, clock, state, archive };
        engine.forget_changed();
        engine.state.tracks.retain_known(&engine.rules.signals);
        engine.enrol();
        Ok(engine)
    }
}
