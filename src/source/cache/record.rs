//! One answer as it is kept: every row with all of its labels, so that rules that want others of
//! them share it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use siphasher::sip128::SipHasher13;

use crate::series::Labels;
use crate::source::decode::{Head, Rows};

/// Begins every file; the number changes with what follows it.
const MAGIC: &[u8] = b"grayflag-cache-1\n";
/// Length and hash of what follows.
const SEAL_BYTES: usize = 24;
/// A kept answer unpacks to at most this: several times what a backend may send at once.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// Values are mostly noise, which no effort makes smaller.
const LEVEL: u32 = 1;
/// Points from which on a row that was not kept is news.
const NEWS_MIN: usize = 3;
/// Backends add up in any order, so that the last digits of a sum are not always the same.
const SAME: f64 = 1e-9;

/// What a backend said to one question.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Kept {
    /// Its answer.
    Answer(Answer),
    /// That it is too much at once: the halves are kept apart.
    TooMuch,
}

/// The rows of an answer.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    rows: Vec<Row>,
    /// What the backend warned of.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Row {
    labels: Vec<(String, String)>,
    histograms: bool,
    /// Milliseconds since the point before, the first since the epoch: on a grid all alike, which
    /// packs to nothing.
    steps: Vec<i64>,
    values: Vec<f64>,
}

/// Hands rows on and writes them down.
pub(super) struct Recorder<'r, R> {
    to: &'r mut R,
    answer: Answer,
    row: Row,
    last: i64,
    /// A point lies where no whole millisecond is: it could not be told again as it was.
    odd: bool,
}

impl<'r, R: Rows> Recorder<'r, R> {
    /// Hands rows on to `to`.
    pub(super) fn new(to: &'r mut R) -> Self {
        Self { to, answer: Answer::default(), row: Row::default(), last: 0, odd: false }
    }

    /// What was written down; none where it would not be told again as it was.
    pub(super) fn finish(self, head: &Head) -> Option<Answer> {
        let Self { mut answer, odd, .. } = self;
        answer.warnings.clone_from(&head.warnings);
        (!odd && !head.is_partial).then_some(answer)
    }
}

impl<R: Rows> Rows for Recorder<'_, R> {
    fn label(&mut self, name: &str, value: &str) {
        self.row.labels.push((name.to_owned(), value.to_owned()));
        self.to.label(name, value);
    }

    fn point(&mut self, seconds: f64, value: f64) {
        let at = (seconds * 1_000.0).round();
        self.odd |= !at.is_finite() || (at / 1_000.0).to_bits() != seconds.to_bits();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what does not fit is not told again, or was no instant"
        )]
        let at = at as i64;
        self.row.steps.push(at.wrapping_sub(self.last));
        self.last = at;
        self.row.values.push(value);
        self.to.point(seconds, value);
    }

    fn histograms(&mut self) {
        self.row.histograms = true;
        self.to.histograms();
    }

    fn end_row(&mut self) {
        self.answer.rows.push(std::mem::take(&mut self.row));
        self.last = 0;
        self.to.end_row();
    }
}

impl Answer {
    /// Whether another answer to the same question, at those of the instants that lie `step`
    /// milliseconds apart from `start` on, says the same. Nothing may be missing or different. What
    /// is there beside is news once it lasts: asked for with a longer step, some backends look
    /// farther back, and find for a while what had gone before.
    pub(super) fn agrees_with(&self, some: &Self, (start, step): (i64, i64)) -> bool {
        let (kept, some) = (self.by_labels(), some.by_labels());
        let same = kept.iter().all(|(labels, row)| {
            let found: BTreeMap<i64, f64> =
                some.get(labels).map(|row| row.points().collect()).unwrap_or_default();
            let mut checked = row.points().filter(|(at, _)| (at - start) % step == 0);
            checked.all(|(at, value)| found.get(&at).is_some_and(|other| is_same(*other, value)))
        });
        let lasts = |row: &&Row| NEWS_MIN <= row.values.len();
        same && !some.iter().any(|(labels, row)| lasts(row) && !kept.contains_key(labels))
    }

    fn by_labels(&self) -> BTreeMap<Labels, &Row> {
        self.rows.iter().map(|row| (row.labels.iter().cloned().collect(), row)).collect()
    }

    /// Tells the rows again, as the backend did.
    pub(super) fn tell(self, rows: &mut impl Rows) -> Head {
        for row in self.rows {
            for (name, value) in &row.labels {
                rows.label(name, value);
            }
            for (at, value) in row.points() {
                rows.point(at as f64 / 1_000.0, value);
            }
            if row.histograms {
                rows.histograms();
            }
            rows.end_row();
        }
        Head { status: "success".to_owned(), warnings: self.warnings, ..Head::default() }
    }
}

impl Row {
    /// Instants, in milliseconds since the epoch, and values.
    fn points(&self) -> impl Iterator<Item = (i64, f64)> {
        let mut at = 0_i64;
        self.steps.iter().zip(&self.values).map(move |(step, value)| {
            at = at.wrapping_add(*step);
            (at, *value)
        })
    }
}

/// The same but for the order in which a backend adds up.
fn is_same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
        || (a - b).abs() <= SAME * a.abs().max(b.abs())
        || (a.is_nan() && b.is_nan())
}

/// The bytes of a file: what it is, how long, a hash, and then the content, packed.
pub(super) fn pack(kept: &Kept) -> Option<Vec<u8>> {
    let plain = postcard::to_stdvec(kept).ok()?;
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::new(LEVEL));
    packed.write_all(&plain).ok()?;
    let packed = packed.finish().ok()?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(seal(&packed));
    bytes.extend(packed);
    Some(bytes)
}

/// What [`pack`] was given; `None` if a byte of it is not as it was.
pub(super) fn unpack(bytes: &[u8]) -> Option<Kept> {
    let (given, packed) = bytes.strip_prefix(MAGIC)?.split_at_checked(SEAL_BYTES)?;
    if given != seal(packed) {
        return None;
    }
    let mut plain = Vec::new();
    ZlibDecoder::new(packed).take(UNPACKED_BYTES_MAX).read_to_end(&mut plain).ok()?;
    postcard::from_bytes(&plain).ok()
}

fn seal(packed: &[u8]) -> [u8; SEAL_BYTES] {
    let mut seal = [0; SEAL_BYTES];
    let (length, hash) = seal.split_at_mut(8);
    length.copy_from_slice(&(packed.len() as u64).to_le_bytes());
    hash.copy_from_slice(&SipHasher13::new().hash(packed).as_bytes());
    seal
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down what it is told.
    #[derive(Debug, Default, PartialEq)]
    struct Log(Vec<String>);

    impl Rows for Log {
        fn label(&mut self, name: &str, value: &str) {
            self.0.push(format!("{name}={value}"));
        }
        fn point(&mut self, seconds: f64, value: f64) {
            self.0.push(format!("{seconds}:{:x}", value.to_bits()));
        }
        fn histograms(&mut self) {
            self.0.push("histograms".to_owned());
        }
        fn end_row(&mut self) {
            self.0.push(";".to_owned());
        }
    }

    fn tell(rows: &mut impl Rows) {
        rows.label("service", "web");
        for (n, value) in [0.1, f64::NAN, f64::INFINITY, -0.0].into_iter().enumerate() {
            rows.point(1_772_323_200.25 + 30.0 * n as f64, value);
        }
        rows.end_row();
        rows.label("service", "");
        rows.histograms();
        rows.end_row();
    }

    fn recorded(head: &Head) -> (Log, Option<Answer>) {
        let mut log = Log::default();
        let mut recorder = Recorder::new(&mut log);
        tell(&mut recorder);
        let answer = recorder.finish(head);
        (log, answer)
    }

    #[test]
    fn what_was_kept_is_told_again_to_the_bit() {
        let head = Head { warnings: vec!["slow".to_owned()], ..Head::default() };
        let (told, answer) = recorded(&head);
        let mut plain = Log::default();
        tell(&mut plain);
        assert_eq!(told, plain);
        let bytes = pack(&Kept::Answer(answer.unwrap())).unwrap();
        let Some(Kept::Answer(answer)) = unpack(&bytes) else { panic!() };
        let mut again = Log::default();
        let head = answer.tell(&mut again);
        assert_eq!(again, plain);
        assert_eq!(head.warnings, ["slow"]);
        assert_eq!(unpack(&pack(&Kept::TooMuch).unwrap()), Some(Kept::TooMuch));
    }

    #[test]
    fn other_values_missing_points_and_new_rows_are_news() {
        let row = |service: &str, points: &[(i64, f64)]| {
            let before = std::iter::once(0).chain(points.iter().map(|(at, _)| *at));
            Row {
                labels: vec![("service".to_owned(), service.to_owned())],
                steps: points.iter().zip(before).map(|((at, _), before)| at - before).collect(),
                values: points.iter().map(|(_, value)| *value).collect(),
                ..Row::default()
            }
        };
        let answer = |rows| Answer { rows, ..Answer::default() };
        let web = [(0, 1.0), (30, f64::NAN), (60, 3.0), (90, 4.0), (120, 5.0)];
        let kept = answer(vec![row("web", &web), row("gone", &[(30, 1.0)])]);
        let agrees = |rows| kept.agrees_with(&answer(rows), (0, 60));
        assert!(agrees(vec![row("web", &[(0, 1.0), (60, 3.0 + 1e-12), (120, 5.0)])]));
        assert!(!agrees(vec![row("web", &[(0, 1.0), (60, 3.001), (120, 5.0)])]));
        assert!(!agrees(vec![row("web", &[(0, 1.0), (60, 3.0)])]));
        assert!(!agrees(Vec::new()));
        let told = row("web", &[(0, 1.0), (60, 3.0), (120, 5.0)]);
        assert!(agrees(vec![told.clone(), row("gone", &[(60, 1.0)]), row("late", &[(0, 1.0)])]));
        assert!(!agrees(vec![told, row("new", &[(0, 1.0), (60, 1.0), (120, 1.0)])]));
    }

    #[test]
    fn a_partial_answer_is_not_kept() {
        let (_, answer) = recorded(&Head { is_partial: true, ..Head::default() });
        assert_eq!(answer, None);
    }

    #[test]
    fn any_damage_is_seen() {
        let bytes = pack(&Kept::Answer(recorded(&Head::default()).1.unwrap())).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(unpack(&bad).is_none(), "byte {at}");
            assert!(unpack(&bytes[..at]).is_none(), "cut at {at}");
        }
        assert!(unpack(&[&bytes[..], b"x"].concat()).is_none());
    }
}
