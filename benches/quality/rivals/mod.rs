//! What people run instead, one series at a time.
//!
//! Every rival turns a series into a path of one number a block, and a threshold into alarms.
//! All see the same samples and the same history, and learn anew every week if they learn.

pub(crate) mod bands;
pub(crate) mod charts;
pub(crate) mod kmeans;

use crate::stream::Stream;

/// An episode ends after an hour below this share of the threshold.
const REARM: f64 = 0.7;
/// Blocks in an hour.
const QUIET: usize = 12;

/// How a path becomes alarms.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Judge {
    /// When it rises above the threshold; re-arms after an hour below 0.7 of it.
    Crossing,
    /// The path is cumulated with this allowance; starts anew an hour after an alarm.
    Cusum(f64),
    /// The path's best mean since any block is compared with none; starts anew likewise.
    Focus,
}

impl Judge {
    /// Blocks of the path at which an alarm begins.
    pub(crate) fn alarms(self, path: &[f64], threshold: f64) -> Vec<usize> {
        match self {
            Self::Crossing => crossings(path, threshold),
            Self::Cusum(allowance) => charts::cusum(path, allowance, threshold),
            Self::Focus => charts::focus(path, threshold),
        }
    }
}

/// A detector that others run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    /// Where the rule comes from.
    pub(crate) source: &'static str,
    /// One number for each block from the given one on; NaN where there is none.
    pub(crate) path: fn(&Stream, usize) -> Vec<f64>,
    pub(crate) judge: Judge,
}

/// All of them.
pub(crate) const RIVALS: [Rival; 8] = [
    Rival {
        name: "static threshold",
        source: "mean + k sd of the history, for 5 minutes",
        path: bands::fixed,
        judge: Judge::Crossing,
    },
    Rival {
        name: "seasonal sigma",
        source: "mean + k sd by hour of the week, for 5 minutes",
        path: bands::seasonal,
        judge: Judge::Crossing,
    },
    Rival {
        name: "Grafana adaptive",
        source: "grafana/promql-anomaly-detection, rules/adaptive.yml; both multipliers scaled",
        path: bands::adaptive,
        judge: Judge::Crossing,
    },
    Rival {
        name: "Grafana robust",
        source: "grafana/promql-anomaly-detection, rules/robust.yml; both multipliers scaled",
        path: bands::robust,
        judge: Judge::Crossing,
    },
    Rival {
        name: "CUSUM k=.25",
        source: "Page (1954); prewhitened, over the long-run spread (Siegmund 1985)",
        path: charts::whitened,
        judge: Judge::Cusum(0.25),
    },
    Rival {
        name: "CUSUM k=.5",
        source: "Page (1954); prewhitened, over the long-run spread (Siegmund 1985)",
        path: charts::whitened,
        judge: Judge::Cusum(0.5),
    },
    Rival {
        name: "FOCuS",
        source: "Romano, Eckley, Fearnhead and Rigaill (2023), JMLR 24(81); residuals as CUSUM",
        path: charts::whitened,
        judge: Judge::Focus,
    },
    Rival {
        name: "k-means as Netdata",
        source: "18 models of 2 means on 6 smoothed first differences, all must agree; 5 of 15",
        path: kmeans::path,
        judge: Judge::Crossing,
    },
];

/// What the study before this program measured, for one series: nobody runs it.
pub(crate) const STUDY: Rival = Rival {
    name: "the study's bank",
    source: "METHODS, table 2: means of half an hour to four hours less one of two days",
    path: charts::bank,
    judge: Judge::Crossing,
};

/// Where a path rises above a threshold; re-arms after an hour below 0.7 of it.
pub(crate) fn crossings(path: &[f64], threshold: f64) -> Vec<usize> {
    let (mut armed, mut quiet, mut alarms) = (true, 0, Vec::new());
    for (block, &score) in path.iter().enumerate() {
        if armed {
            if score > threshold {
                (armed, quiet) = (false, 0);
                alarms.push(block);
            }
        } else {
            quiet = if score < REARM * threshold { quiet + 1 } else { 0 };
            armed = quiet >= QUIET;
        }
    }
    alarms
}

/// Folds scores per sample into one per block: the highest that held for `hold` samples.
pub(crate) fn held(stream: &Stream, from: usize, scores: &[f64], hold: usize) -> Vec<f64> {
    let warm = scores.len() - (stream.len() - from) * stream.per_block;
    let mut recent: Vec<f64> = Vec::with_capacity(hold);
    let lowest = |recent: &[f64]| recent.iter().copied().fold(f64::INFINITY, f64::min);
    let mut blocks = vec![f64::NAN; stream.len() - from];
    for (i, &score) in scores.iter().enumerate() {
        if score.is_nan() {
            continue;
        }
        if recent.len() == hold {
            recent.remove(0);
        }
        recent.push(score);
        if recent.len() == hold && warm <= i {
            let block = &mut blocks[(i - warm) / stream.per_block];
            *block = block.max(lowest(&recent));
        }
    }
    blocks
}
