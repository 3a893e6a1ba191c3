//! What the signs of a chart mean, those that are in it.

use std::collections::BTreeSet;

use super::frame::{LEFT, TEXT};
use super::markup::{Anchor, Markup, width};

/// Height of a line.
const LINE: f64 = 25.0;
/// Width of a sign.
const SIGN: f64 = 24.0;
/// Between a sign and its text.
const GAP: f64 = 6.0;
/// Between a text and the next sign.
const SPACE: f64 = 18.0;

/// What needs explaining, in the order in which it is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    Onset,
    Band,
    Change,
    Forecast,
}

/// Draws the legend below `top` and a last text, none of it right of `right`, and says where it
/// ends.
pub(super) fn draw(
    to: &mut Markup,
    (top, right): (f64, f64),
    signs: &BTreeSet<Sign>,
    last: &str,
) -> f64 {
    let (mut x, mut y) = (LEFT, top + LINE);
    for &sign in signs {
        let text = match sign {
            Sign::Onset => "began to move",
            Sign::Band => "usual range, 95%",
            Sign::Change => "change",
            Sign::Forecast => "forecast, 80%",
        };
        let wide = SIGN + GAP + width(text, TEXT);
        if x + wide > right {
            (x, y) = (LEFT, y + LINE);
        }
        draw_sign(to, sign, (x, y - 5.0));
        to.text("gf-text", (x + SIGN + GAP, y), Anchor::Start, text);
        x += wide + SPACE;
    }
    if x + width(last, TEXT) > right {
        y += LINE;
    }
    to.text("gf-text", (right, y), Anchor::End, last);
    y + LINE / 2.0
}

/// A sign from `x` on, around the height `y`.
fn draw_sign(to: &mut Markup, sign: Sign, (x, y): (f64, f64)) {
    let (middle, end) = (x + SIGN / 2.0, x + SIGN);
    match sign {
        Sign::Onset => {
            to.line("gf-moved", (middle, y), (end, y - 5.0));
            to.line("gf-onset", (middle, y - 8.0), (middle, y + 8.0));
            to.path(
                "gf-onset-flag",
                &[(middle - 6.0, y - 9.0), (middle + 6.0, y - 9.0), (middle, y + 1.0)],
            );
        }
        Sign::Band => {
            to.path("gf-band", &[(x, y - 7.0), (end, y - 7.0), (end, y + 7.0), (x, y + 7.0)]);
            to.line("gf-usual", (x, y), (end, y));
        }
        Sign::Change => {
            to.line("gf-change", (middle, y - 8.0), (middle, y + 8.0));
            let at = [(middle - 6.0, y), (middle, y - 6.0), (middle + 6.0, y), (middle, y + 6.0)];
            to.path("gf-diamond", &at);
        }
        Sign::Forecast => {
            to.path("gf-cone", &[(x, y + 6.0), (end, y - 9.0), (end, y + 3.0)]);
            to.line("gf-forecast", (x, y + 6.0), (end, y - 4.0));
        }
    }
}
