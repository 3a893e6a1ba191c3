//! Pictures for the page, as SVG that names its font.

use kuva::prelude::{BarPlot, Layout, LegendPosition, LinePlot, MarkerShape, Plot, ScatterPlot};
use kuva::render_to_svg;

use crate::budget::{BUDGETS, Row};
use crate::delay::{Line, OURS, RATES};
use crate::incidents::SPEAKERS;
use crate::report::Picture;
use crate::stream::{SHAPES, Shape};

/// Colours that stay apart for colour-blind readers (Okabe and Ito), ours first.
const COLOURS: [&str; 10] = [
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#666666", "#000000",
    "#999933", "#882255",
];

/// Marks that stay apart without colour.
const MARKERS: [MarkerShape; 5] = [
    MarkerShape::Circle,
    MarkerShape::Square,
    MarkerShape::Triangle,
    MarkerShape::Diamond,
    MarkerShape::TriangleDown,
];

/// A named curve.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What the axes of a picture say.
struct Axes<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
}

/// Curves over two logarithmic axes; the first is drawn boldest.
fn curves(axes: &Axes<'_>, curves: &[Curve]) -> String {
    let plots: Vec<Plot> = curves
        .iter()
        .zip(COLOURS.iter().cycle())
        .enumerate()
        .map(|(place, (curve, colour))| {
            LinePlot::new()
                .with_data(curve.points.clone())
                .with_color(*colour)
                .with_stroke_width(if place == 0 { 4.0 } else { 1.5 })
                .with_legend(curve.name.as_str())
                .into()
        })
        .collect();
    let layout = layout(&plots, axes).with_log_scale();
    render_to_svg(plots, layout)
}

/// What all pictures have in common.
fn layout(plots: &[Plot], axes: &Axes<'_>) -> Layout {
    Layout::auto_from_plots(plots)
        .with_title(axes.title)
        .with_x_label(axes.x)
        .with_y_label(axes.y)
        .with_width(640.0)
        .with_height(420.0)
        .with_legend_position(LegendPosition::OutsideRightTop)
        .with_font_family("sans-serif")
}

/// Notices that were told over those that were accepted, a mark per set, with the diagonal on
/// which a promise is kept to the letter. A set without any has no place on such a scale.
pub(crate) fn budgets(rows: &[Row]) -> Picture {
    let diagonal = LinePlot::new()
        .with_data(BUDGETS.map(|budget| (budget, budget)))
        .with_color("#999999")
        .with_stroke_width(1.5)
        .with_legend("as accepted");
    let mut plots: Vec<Plot> = vec![diagonal.into()];
    for (row, (colour, marker)) in rows.iter().zip(COLOURS.iter().zip(MARKERS.iter().cycle())) {
        let points =
            BUDGETS.iter().enumerate().map(|(n, budget)| (*budget, budget * row.kept(n, 0).0));
        let marks = ScatterPlot::new()
            .with_data(points.filter(|point| point.1 > 0.0))
            .with_color(*colour)
            .with_marker(*marker)
            .with_size(4.0)
            .with_legend(row.name.as_str());
        plots.push(marks.into());
    }
    let axes = Axes {
        title: "Notices when nothing is wrong",
        x: "accepted a service-week",
        y: "realised a service-week",
    };
    let layout = layout(&plots, &axes).with_log_scale();
    Picture {
        id: "budget".to_owned(),
        alt:
            "False notices a service-week over those accepted, a mark per set and budget, and the \
              diagonal on which both are the same"
                .to_owned(),
        svg: render_to_svg(plots, layout),
    }
}

/// Median leads by cause, a bar per speaker: none where users were first.
pub(crate) fn leads(causes: &[(&'static str, Vec<f64>)]) -> Picture {
    let bars = causes.iter().fold(BarPlot::new(), |plot, (cause, leads)| {
        plot.with_group(*cause, leads.iter().map(|lead| lead.max(0.0)).zip(COLOURS))
    });
    let plots: Vec<Plot> = vec![bars.with_legend(SPEAKERS.to_vec()).into()];
    let axes =
        Axes { title: "Told before users noticed, by cause", x: "", y: "median lead, hours" };
    let layout = layout(&plots, &axes).with_width(900.0).with_x_tick_rotate(-30.0);
    Picture {
        id: "incidents".to_owned(),
        alt: format!(
            "Median hours by which {OURS} and others spoke before users noticed, by cause"
        ),
        svg: render_to_svg(plots, layout),
    }
}

/// Median delay over the slope of a ramp, per detector.
pub(crate) fn delays(name: &str, lines: &[Line]) -> Picture {
    let slopes = |line: &Line| {
        let each = SHAPES.into_iter().zip(&line.delays);
        each.filter_map(|(shape, (hours, _))| match shape {
            Shape::Ramp(slope) => Some((slope, *hours)),
            Shape::Step(_) => None,
        })
        .collect()
    };
    let drawn: Vec<Curve> = lines
        .iter()
        .filter(|line| line.rate.total_cmp(&RATES[0]).is_eq())
        .map(|line| Curve { name: line.detector.to_owned(), points: slopes(line) })
        .collect();
    let title = format!("{name}, 1 false alarm per series-week");
    let axes = Axes { title: &title, x: "slope, spreads an hour", y: "median delay, hours" };
    Picture {
        id: format!("delay-{}", name.replace([' ', '.'], "")),
        alt: format!("Median delay of {OURS} and others over the slope of a drift, {name}"),
        svg: curves(&axes, &drawn),
    }
}
