//! Real data sets, read from the folder that `--data` names.
//!
//! Each set is a folder with `series.csv.gz` (`ts_unix_s,series_id,value`), `series.json` and
//! `labels.json`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use grayflag::rules::{Scale, Worse};
use serde_json::Value;

use crate::sets::{Set, Subject, plain_signal};

/// Blocks to learn from: two weeks.
const LEARN: usize = 4_032;
/// Seconds in a block.
const BLOCK_SECONDS: i64 = 300;
/// Blocks around a labelled incident in which an alarm is no false one: three hours.
const AROUND: usize = 36;
/// 6 production servers × 19 metrics, 45 days: zhhlee/InterFusion@8c85d511, MIT.
const ASD: &str = "asd";

/// Block values per server and metric, and the blocks of its labelled incidents.
struct Read {
    servers: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
    excused: BTreeMap<String, Vec<(usize, usize)>>,
}

/// A file of JSON; none when it is not there.
pub(crate) fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The text of a packed file; none when it is not there.
pub(crate) fn packed(path: &Path) -> Option<String> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).ok()?).read_to_string(&mut text).ok()?;
    Some(text)
}

fn read(folder: &Path) -> Option<Read> {
    let named = json(&folder.join("series.json"))?;
    let labels = json(&folder.join("labels.json"))?;
    let start = labels["synthetic_epoch"].as_i64()?;
    let block = |seconds: i64| usize::try_from((seconds - start).max(0) / BLOCK_SECONDS).unwrap();
    let mut servers: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for line in packed(&folder.join("series.csv.gz"))?.lines().skip(1) {
        let mut fields = line.split(',');
        let at: i64 = fields.next()?.parse().ok()?;
        let series = &named[fields.next()?];
        let value: f64 = fields.next()?.parse().ok()?;
        let server = series["labels"]["entity"].as_str()?;
        let metric = series["metric"].as_str()?;
        if !servers.contains_key(server) {
            servers.insert(server.to_owned(), BTreeMap::new());
        }
        let metrics = servers.get_mut(server)?;
        if !metrics.contains_key(metric) {
            metrics.insert(metric.to_owned(), Vec::new());
        }
        let values = metrics.get_mut(metric)?;
        values.resize(values.len().max(block(at) + 1), f64::NAN);
        values[block(at)] = value;
    }
    let mut excused: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    for incident in labels["incidents"].as_array()? {
        let (from, to) = (incident["start"].as_i64()?, incident["end"].as_i64()?);
        let stretch = (block(from).saturating_sub(AROUND), block(to) + AROUND);
        excused.entry(incident["entity"].as_str()?.to_owned()).or_default().push(stretch);
    }
    Some(Read { servers, excused })
}

/// The six servers as services of nineteen metrics each. Its metrics have no names, so that
/// nobody can say which direction is bad: both are.
pub(crate) fn asd_servers(data: &Path) -> Option<Set> {
    let read = read(&data.join(ASD))?;
    let names: Vec<&String> = read.servers.first_key_value()?.1.keys().collect();
    let signals = names.iter().map(|name| plain_signal(name, Worse::Either, Scale::Linear));
    let signals = signals.collect();
    let subjects = read.servers.iter().map(|(server, metrics)| Subject {
        name: server.clone(),
        series: metrics.values().cloned().collect(),
        excused: read.excused.get(server).cloned().unwrap_or_default(),
    });
    let subjects = subjects.collect();
    Some(Set { name: "asd servers".to_owned(), signals, subjects, learn: LEARN })
}

/// Every metric of every server as a service of its own, in both directions.
pub(crate) fn asd_series(data: &Path) -> Option<Set> {
    let servers = asd_servers(data)?;
    let mut subjects = Vec::new();
    for server in &servers.subjects {
        for (values, signal) in server.series.iter().zip(&servers.signals) {
            subjects.push(Subject {
                name: format!("{} {}", server.name, signal.name),
                series: vec![values.clone()],
                excused: server.excused.clone(),
            });
        }
    }
    let signals = vec![plain_signal("value", Worse::Either, Scale::Linear)];
    Some(Set { name: "asd series".to_owned(), signals, subjects, learn: LEARN })
}
