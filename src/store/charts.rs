//! What can be drawn of alerts, beside them.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rusqlite::{Transaction, params};

use crate::engine::chart::Chart;

/// A chart of full size has a tenth of this; more was not written here.
const BYTES_MAX: u64 = 4 << 20;

/// Keeps the chart of an alert.
pub(super) fn put(tx: &Transaction<'_>, alert: &str, chart: &Chart) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT OR IGNORE INTO charts (alert, bytes) VALUES (?1, ?2)",
        params![alert, bytes(chart)],
    )?;
    Ok(())
}

fn bytes(chart: &Chart) -> Vec<u8> {
    let json = serde_json::to_vec(chart).unwrap_or_default();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(&json).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// A chart as it was kept; `None` when it cannot be read: a message goes out without it.
pub(super) fn read(bytes: &[u8]) -> Option<Chart> {
    let mut json = Vec::new();
    ZlibDecoder::new(bytes).take(BYTES_MAX).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}
