//! The chart as a PNG, for mail and chat, which show no SVG.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use super::Look;
use super::frame::draw;
use crate::engine::alert::Alert;
use crate::engine::chart::Chart;

/// Pixels per unit: sharp on a phone, and the file stays small.
const ZOOM: f32 = 1.5;
/// A chart of full size has half of this.
const HEIGHT_MAX: f32 = 2_000.0;

/// Colours of a PNG with a palette.
const COLOURS_MAX: usize = 256;
/// Colours nearer to each other than this, squared, become one: steps along the edges of letters.
const ALIKE_MAX: u32 = 900;

/// Red, green and blue.
type Colour = [u8; 3];

/// A part of DejaVu Sans Condensed: containers have no fonts. Latin, Greek and Cyrillic.
static FONT: &[u8] = include_bytes!("font/DejaVuSansCondensed.ttf");

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans Condensed");
    Arc::new(fonts)
});

/// The chart as a PNG with light ground, half as large again as the SVG. None when there is
/// nothing to draw.
///
/// # Cost
///
/// Some ten milliseconds, and four bytes of memory per pixel.
pub fn png(chart: &Chart, alert: &Alert, zone: &TimeZone) -> Option<Vec<u8>> {
    let svg = draw(chart, alert, zone, Look::Light)?;
    let options = Options {
        fontdb: Arc::clone(&FONTS),
        font_family: "DejaVu Sans Condensed".to_owned(),
        ..Options::default()
    };
    let tree = Tree::from_str(&svg, &options).ok()?;
    let (width, height) = (tree.size().width() * ZOOM, tree.size().height() * ZOOM);
    if height > HEIGHT_MAX {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most two thousand")]
    #[expect(clippy::cast_sign_loss, reason = "sizes are positive")]
    let mut pixels = Pixmap::new(width.ceil() as u32, height.ceil() as u32)?;
    resvg::render(&tree, Transform::from_scale(ZOOM, ZOOM), &mut pixels.as_mut());
    encode(&pixels)
}

/// A PNG with a palette: with all colours it would be nearly twice as large, and nobody sees the
/// difference.
fn encode(pixels: &Pixmap) -> Option<Vec<u8>> {
    // The ground is opaque, so that no pixel is transparent. Most have the colour of the one
    // before them.
    let runs = || {
        let runs = pixels.pixels().chunk_by(|one, next| one == next);
        runs.map(|run| ([run[0].red(), run[0].green(), run[0].blue()], run.len()))
    };
    let mut counts: BTreeMap<Colour, usize> = BTreeMap::new();
    for (colour, count) in runs() {
        *counts.entry(colour).or_default() += count;
    }
    let mut usual: Vec<Colour> = counts.keys().copied().collect();
    usual.sort_by_key(|colour| Reverse(counts.get(colour)));
    let mut palette: Vec<Colour> = Vec::new();
    for colour in usual {
        let is_new = palette.iter().all(|other| distance(colour, *other) > ALIKE_MAX);
        if is_new && palette.len() < COLOURS_MAX {
            palette.push(colour);
        }
    }
    let nearest = |colour: Colour| {
        let places = palette.iter().zip(0_u8..=255);
        places.min_by_key(|(other, _)| distance(colour, **other)).map_or(0, |(_, place)| place)
    };
    let places: BTreeMap<Colour, u8> = counts.keys().map(|c| (*c, nearest(*c))).collect();
    let place = |colour: Colour| places.get(&colour).copied().unwrap_or(0);
    let data: Vec<u8> = runs().flat_map(|(colour, count)| repeat_n(place(colour), count)).collect();
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, pixels.width(), pixels.height());
    encoder.set_color(::png::ColorType::Indexed);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(::png::Compression::High);
    encoder.set_filter(::png::Filter::NoFilter);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&data).ok()?;
    writer.finish().ok()?;
    Some(file)
}

fn distance(one: Colour, other: Colour) -> u32 {
    one.into_iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}
