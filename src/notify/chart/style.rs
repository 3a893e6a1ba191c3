//! Colours and strokes. Nothing is told by colour alone: every kind of mark has a shape, a dash or
//! a text of its own. Texts have a contrast of 4.5 to 1 with their ground at least, and lines of
//! 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11).

use super::Look;
use super::frame::{TEXT, TITLE};

/// What things are drawn in.
struct Ink {
    ground: &'static str,
    strong: &'static str,
    faint: &'static str,
    grid: &'static str,
    band: &'static str,
    usual: &'static str,
    line: &'static str,
    moved: &'static str,
    cone: &'static str,
    change: &'static str,
    threshold: &'static str,
}

const LIGHT: Ink = Ink {
    ground: "#ffffff",
    strong: "#16191d",
    faint: "#555d68",
    grid: "#e6e9ed",
    band: "#d9e6f5",
    usual: "#5a80b0",
    line: "#33475e",
    moved: "#c22f0c",
    cone: "#fbdcd2",
    change: "#6b2fb3",
    threshold: "#16191d",
};

const DARK: Ink = Ink {
    ground: "#16191d",
    strong: "#f1f3f5",
    faint: "#a9b2bd",
    grid: "#2a2f36",
    band: "#23364d",
    usual: "#6089bb",
    line: "#c3cfdc",
    moved: "#ff8a66",
    cone: "#4c2a20",
    change: "#c7a5f5",
    threshold: "#f1f3f5",
};

/// The style sheet of a chart.
pub(super) fn of(look: Look) -> String {
    let shapes = format!(
        ".gf text{{font-family:'DejaVu Sans Condensed',system-ui,'Segoe UI',Roboto,sans-serif;\
         font-size:{TEXT}px;paint-order:stroke;stroke-width:5px;stroke-linejoin:round}}\
         .gf path{{fill:none}}\
         .gf .gf-title,.gf .gf-state{{font-size:{TITLE}px}}\
         .gf .gf-grid,.gf .gf-band{{stroke-width:1px}}\
         .gf .gf-usual{{stroke-width:1.5px}}\
         .gf .gf-line{{stroke-width:2px;stroke-linejoin:round}}\
         .gf .gf-moved{{stroke-width:3px;stroke-linejoin:round}}\
         .gf .gf-onset{{stroke-width:1.5px}}\
         .gf .gf-change{{stroke-width:2px;stroke-dasharray:7 4}}\
         .gf .gf-threshold{{stroke-width:1.5px;stroke-dasharray:10 3 2 3}}\
         .gf .gf-forecast{{stroke-width:2.5px;stroke-dasharray:3 4}}\
         .gf .gf-now,.gf .gf-drop{{stroke-width:1px;stroke-dasharray:1 3}}"
    );
    match look {
        Look::Light => format!("{shapes}{}", colours(&LIGHT)),
        Look::System => format!(
            "{shapes}{}@media (prefers-color-scheme:dark){{{}}}",
            colours(&LIGHT),
            colours(&DARK)
        ),
        Look::Page | Look::Narrow => String::new(),
    }
}

fn colours(ink: &Ink) -> String {
    let Ink { ground, strong, faint, grid, band, usual, line, moved, cone, change, threshold } =
        ink;
    format!(
        ".gf .gf-ground{{fill:{ground}}}\
         .gf text{{stroke:{ground}}}\
         .gf .gf-text{{fill:{faint}}}\
         .gf .gf-title,.gf .gf-state,.gf .gf-threshold-text{{fill:{strong}}}\
         .gf .gf-grid{{stroke:{grid}}}\
         .gf .gf-band{{fill:{band};stroke:{usual}}}\
         .gf .gf-usual{{stroke:{usual}}}\
         .gf .gf-line{{stroke:{line}}}\
         .gf .gf-line-dot{{fill:{line}}}\
         .gf .gf-moved,.gf .gf-onset,.gf .gf-forecast,.gf .gf-drop{{stroke:{moved}}}\
         .gf .gf-moved-dot,.gf .gf-onset-flag,.gf .gf-cross{{fill:{moved}}}\
         .gf .gf-onset-text,.gf .gf-forecast-text{{fill:{moved}}}\
         .gf .gf-cone{{fill:{cone}}}\
         .gf .gf-change{{stroke:{change}}}\
         .gf .gf-diamond{{fill:{change}}}\
         .gf .gf-change-text{{fill:{change}}}\
         .gf .gf-threshold{{stroke:{threshold}}}\
         .gf .gf-now{{stroke:{faint}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(colour: &str) -> f64 {
        let whole = u32::from_str_radix(colour.trim_start_matches('#'), 16).unwrap();
        let [_, red, green, blue] = whole.to_be_bytes().map(|part| {
            let share = f64::from(part) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn lines_and_texts_can_be_told_from_their_ground() {
        // On a page, the ground is that of a card.
        for (ink, card) in [(&LIGHT, "#ffffff"), (&DARK, "#1b2027")] {
            for ground in [ink.ground, card] {
                for text in [ink.strong, ink.faint, ink.moved, ink.change] {
                    let found = contrast(text, ground);
                    assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
                }
            }
            // The band's edges carry its contrast, and the usual line lies on it.
            for ground in [ink.ground, card, ink.band] {
                for line in [ink.usual, ink.line, ink.moved, ink.threshold] {
                    let found = contrast(line, ground);
                    assert!(found >= 3.0, "{line} on {ground}: {found:.2}");
                }
            }
        }
    }
}
