//! The pictures of a run as SVG, drawn by the kuva crate.
//!
//! Colours are CSS variables (`var(--ink)`), so that the page around a picture decides on light or dark. A picture that
//! stands alone has the light ones filled in.

use std::sync::Arc;

use kuva::{
    backend::svg::SvgBackend,
    plot::{BarPlot, LinePlot, ScatterPlot},
    render::{
        layout::{Layout, TickFormat},
        plots::Plot,
        render::render_multiple,
        theme::Theme,
    },
};

use super::{
    trials::Course,
    units::{duration, grouped, short_count, significant},
};
use crate::run::{Run, SizeResult, Status, VariantResult};

/// The colours: name, light, dark. The numbered ones tell variants apart; the first are apart for the colour-blind too
/// (after Okabe and Ito).
pub const COLORS: &[(&str, &str, &str)] = &[
    ("paper", "#ffffff", "#16181d"),
    ("ink", "#1c2024", "#e4e7eb"),
    ("faint", "#687078", "#98a1ab"),
    ("line", "#dde1e6", "#343a42"),
    ("s0", "#0072b2", "#4aa8e0"),
    ("s1", "#d55e00", "#ee8a3c"),
    ("s2", "#009e73", "#2fc498"),
    ("s3", "#b4579a", "#d98bc3"),
    ("s4", "#a68500", "#e0c53a"),
    ("s5", "#5b5bd6", "#9a9aff"),
    ("s6", "#8c564b", "#c49a8f"),
    ("s7", "#50606e", "#a4b4c2"),
    ("s8", "#8a2be2", "#c08cff"),
    ("s9", "#3f7d20", "#8bc96a"),
    ("s10", "#c2185b", "#f06a9b"),
    ("s11", "#00808a", "#48c3cc"),
];
const NUM_SERIES: usize = 12;

/// Points that a line of a drift picture has at most.
const MAX_POINTS: usize = 150;

/// One picture, at a width for a desk and one for a phone.
#[derive(Debug)]
pub struct Picture {
    pub title: &'static str,
    /// What one sees.
    pub caption: String,
    /// The colours and whose they are, where the picture does not say so itself.
    pub legend: Vec<(String, String)>,
    pub wide: String,
    pub narrow: String,
}

impl Picture {
    fn new(
        title: &'static str,
        caption: String,
        legend: Vec<(String, String)>,
        draw: impl Fn(Size) -> String,
    ) -> Picture {
        Picture { title, caption, legend, wide: draw(Size::Wide), narrow: draw(Size::Narrow) }
    }
}

#[derive(Clone, Copy)]
enum Size {
    Wide,
    Narrow,
}

impl Size {
    fn width(self) -> f64 {
        match self {
            Size::Wide => 880.0,
            Size::Narrow => 380.0,
        }
    }
}

/// The pictures that `run` has the figures for.
pub fn of(run: &Run) -> Vec<Picture> {
    [ranking(run), drift(run), cost_of_a_code(run), recall_against_speed(run)].into_iter().flatten().collect()
}

/// `svg` for a place without a style sheet: the light colours filled in.
pub fn standalone(svg: &str) -> String {
    COLORS.iter().fold(svg.to_owned(), |svg, (name, light, _)| svg.replace(&format!("var(--{name})"), light))
}

fn measured(run: &Run) -> impl Iterator<Item = (String, &VariantResult)> {
    let colored = run.variants.iter().enumerate().map(|(at, variant)| (series_color(at), variant));
    colored.filter(|(_, variant)| variant.status == Status::Ok)
}

fn series_color(at: usize) -> String {
    format!("var(--s{})", at % NUM_SERIES)
}

/// How much faster than the baseline, the fastest on top as in the table.
fn ranking(run: &Run) -> Option<Picture> {
    let ranked: Vec<(String, &VariantResult, f64)> =
        measured(run).filter_map(|(color, variant)| Some((color, variant, variant.speedup?))).collect();
    if ranked.is_empty() {
        return None;
    }
    let caption = format!(
        "Times as fast as {}, with the 95 % interval of the ratio; a longer bar is better. {}",
        run.baseline,
        run.what()
    );
    Some(Picture::new("Ranking", caption, Vec::new(), |size| {
        // The axis counts from the bottom.
        let rows = || ranked.iter().rev();
        let reach = |end: Option<f64>, ratio: f64| end.map_or(0.0, |end| (end - ratio).abs());
        let plot = BarPlot::new()
            .with_horizontal(true)
            .with_width(0.7)
            .with_colored_bars(rows().map(|(color, variant, ratio)| (label(variant), *ratio, color.clone())))
            .with_asymmetric_error(
                rows().map(|(_, variant, ratio)| (reach(variant.ratio_low, *ratio), reach(variant.ratio_high, *ratio))),
            )
            .with_error_color("var(--ink)")
            .with_tooltip_labels(rows().map(|(_, variant, ratio)| hover(variant, *ratio)));
        let height = 90.0 + 34.0 * ranked.len() as f64;
        draw(vec![Plot::Bar(plot)], size, height, |layout| {
            layout.with_x_label(format!("speed-up over {}", run.baseline)).with_x_tick_format(times())
        })
    }))
}

fn label(variant: &VariantResult) -> String {
    match variant.speedup {
        Some(ratio) => format!("{} {}x", variant.name, significant(ratio)),
        None => variant.name.clone(),
    }
}

fn hover(variant: &VariantResult, ratio: f64) -> String {
    let mut text = format!("{}: {}x", variant.name, significant(ratio));
    if let (Some(low), Some(high)) = (variant.ratio_low, variant.ratio_high) {
        text += &format!(" (95 %: {low:.3} to {high:.3})");
    }
    if let Some(ns) = variant.ns_per_query {
        text += &format!(", {} a query", duration(ns / 1e9));
    }
    text
}

/// Every round's time against the variant's own median: what drifts is the machine.
fn drift(run: &Run) -> Option<Picture> {
    let lines: Vec<(String, &VariantResult, f64)> = measured(run)
        .filter(|(_, variant)| variant.samples.len() > 1)
        .map(|(color, variant)| (color, variant, median(&variant.samples)))
        .collect();
    if lines.is_empty() {
        return None;
    }
    let caption = "Each round's time over the variant's own median. Lines that move together show the machine drift, which \
                   the ratios within a round do not see.";
    let legend = lines.iter().map(|(color, variant, _)| (color.clone(), variant.name.clone())).collect();
    Some(Picture::new("Samples over the rounds", caption.to_owned(), legend, |size| {
        let mut plots = Vec::new();
        for (color, variant, middle) in &lines {
            let step = variant.samples.len().div_ceil(MAX_POINTS);
            let points: Vec<(f64, f64)> = variant
                .samples
                .iter()
                .enumerate()
                .step_by(step)
                .map(|(round, ns)| (round as f64 + 1.0, ns / middle - 1.0))
                .collect();
            let hovers = points.iter().map(|(round, over)| {
                let ns = (over + 1.0) * middle;
                format!("{}, round {round}: {} ({:+.1}%)", variant.name, duration(ns / 1e9), 100.0 * over)
            });
            let dots = ScatterPlot::new().with_data(points.clone()).with_color(color).with_size(2.0);
            let dots = dots.with_tooltip_labels(hovers.collect::<Vec<_>>());
            let line = LinePlot::new().with_data(points).with_color(color).with_stroke_width(1.2);
            plots.push(Plot::Line(line));
            plots.push(Plot::Scatter(dots));
        }
        draw(plots, size, 380.0, |layout| {
            layout
                .with_x_label("round")
                .with_y_label("time over median")
                .with_y_tick_format(TickFormat::Custom(Arc::new(|v| format!("{:+.1}%", 100.0 * v))))
        })
    }))
}

/// Nanoseconds a code at each list size: what a query costs before its first code shows in short lists.
fn cost_of_a_code(run: &Run) -> Option<Picture> {
    if run.sizes.len() < 2 {
        return None;
    }
    let mut lines = Vec::new();
    for (at, variant) in run.variants.iter().enumerate() {
        let at_size = |size: &SizeResult| {
            let found = size.variants.iter().find(|other| other.name == variant.name)?;
            Some((size.num_base as f64, found.ns_per_query? / size.num_base as f64))
        };
        let points: Vec<_> = run.sizes.iter().filter_map(at_size).collect();
        if !points.is_empty() {
            lines.push((series_color(at), variant.name.as_str(), points));
        }
    }
    let roofline =
        run.sizes.iter().map(|size| (size.num_base as f64, size.roofline_ns / size.num_base as f64)).collect();
    lines.push(("var(--faint)".to_owned(), "reading the codes", roofline));
    let (smallest, largest) = (run.sizes.first()?.num_base as f64, run.sizes.last()?.num_base as f64);
    let caption = "Both axes are logarithmic. The lowest line is the time only to read the codes; where a line falls, the \
                   query's own cost (the distance table) is shared by more codes.";
    let legend = lines.iter().map(|(color, name, _)| (color.clone(), (*name).to_owned())).collect();
    Some(Picture::new("Time a code against the list's size", caption.to_owned(), legend, |size| {
        let mut plots = Vec::new();
        for (color, name, points) in &lines {
            let hovers = points
                .iter()
                .map(|(codes, ns)| format!("{name}, {} codes: {} ns a code", grouped(*codes), significant(*ns)));
            let dots = ScatterPlot::new().with_data(points.clone()).with_color(color).with_size(4.0);
            let dots = dots.with_tooltip_labels(hovers.collect::<Vec<_>>());
            let line = LinePlot::new().with_data(points.clone()).with_color(color).with_stroke_width(1.8);
            plots.push(Plot::Line(line));
            plots.push(Plot::Scatter(dots));
        }
        draw(plots, size, 420.0, |layout| {
            layout
                .with_log_x()
                .with_log_y()
                .with_x_axis_min(smallest / 1.2)
                .with_x_axis_max(largest * 1.2)
                .with_x_label("codes in the list")
                .with_x_tick_format(TickFormat::Custom(Arc::new(short_count)))
                .with_y_label("ns a code")
                .with_y_tick_format(TickFormat::Custom(Arc::new(significant)))
        })
    }))
}

/// What an approximate variant pays for its speed.
fn recall_against_speed(run: &Run) -> Option<Picture> {
    let points: Vec<(String, &VariantResult, f64, f64)> = measured(run)
        .filter_map(|(color, variant)| Some((color, variant, variant.speedup?, variant.recall_at_10?)))
        .collect();
    if points.iter().all(|(_, variant, ..)| variant.fidelity == "exact") {
        return None;
    }
    let caption = "Up is more right, to the right is faster. Exact variants lie on one line.";
    let legend = points.iter().map(|(color, variant, ..)| (color.clone(), variant.name.clone())).collect();
    Some(Picture::new("Recall against speed", caption.to_owned(), legend, |size| {
        let plots = points
            .iter()
            .map(|(color, variant, ratio, recall)| {
                let text =
                    format!("{} ({}): recall@10 {recall:.4}, {}x", variant.name, variant.fidelity, significant(*ratio));
                let dot = ScatterPlot::new().with_data([(*ratio, *recall)]).with_color(color).with_size(6.0);
                Plot::Scatter(dot.with_tooltip_labels([text]))
            })
            .collect();
        draw(plots, size, 380.0, |layout| {
            layout
                .with_x_label(format!("speed-up over {}", run.baseline))
                .with_x_tick_format(times())
                .with_y_label("recall@10")
                .with_y_tick_format(TickFormat::Fixed(4))
        })
    }))
}

/// The best over time, and each trial beside it.
pub fn trials(courses: &[Course]) -> Option<Picture> {
    if courses.is_empty() {
        return None;
    }
    let colored = || courses.iter().enumerate().map(|(at, course)| (series_color(at), course));
    let name = |course: &Course| format!("{} on {}", course.variant, course.target);
    let caption = "The time of each trial's candidate, as a share of the time when its variant was first tried; lower is \
                   better. Large dots were kept, and the line goes on from one to the next.";
    let legend = colored().map(|(color, course)| (color, name(course))).collect();
    Some(Picture::new("Trials over time", caption.to_owned(), legend, |size| {
        let mut plots = Vec::new();
        for (color, course) in colored() {
            for (wanted, word, width) in [(true, "kept", 5.0), (false, "not kept", 2.5)] {
                let points = course.points.iter().filter(|(.., kept)| *kept == wanted);
                let points: Vec<(f64, f64)> = points.map(|(at, time, _)| (*at as f64, *time)).collect();
                let hover = |(at, time): &(f64, f64)| format!("{}, trial {at}, {word}: {time:.3}", name(course));
                let hovers: Vec<String> = points.iter().map(hover).collect();
                if wanted {
                    plots.push(Plot::Line(
                        LinePlot::new().with_data(points.clone()).with_color(&color).with_stroke_width(1.4),
                    ));
                }
                let dots = ScatterPlot::new().with_data(points).with_color(&color).with_size(width);
                plots.push(Plot::Scatter(dots.with_tooltip_labels(hovers)));
            }
        }
        draw(plots, size, 380.0, |layout| {
            layout
                .with_x_label("trial")
                .with_y_label("time, of that at first")
                .with_y_tick_format(TickFormat::Custom(Arc::new(|share| format!("{share:.3}"))))
        })
    }))
}

fn times() -> TickFormat {
    TickFormat::Custom(Arc::new(|v| format!("{v}x")))
}

fn draw(plots: Vec<Plot>, size: Size, height: f64, axes: impl FnOnce(Layout) -> Layout) -> String {
    let theme = Theme {
        background: "var(--paper)".to_owned(),
        axis_color: "var(--faint)".to_owned(),
        grid_color: "var(--line)".to_owned(),
        tick_color: "var(--faint)".to_owned(),
        text_color: "var(--ink)".to_owned(),
        font_family: Some("system-ui, sans-serif".to_owned()),
        ..Theme::light()
    };
    let layout = axes(Layout::auto_from_plots(&plots))
        .with_theme(theme)
        .with_width(size.width())
        .with_height(height)
        .with_label_size(14)
        .with_tick_size(13)
        .with_body_size(13);
    let svg = SvgBackend::new().render_scene(&render_multiple(plots, layout));
    scalable(&svg)
}

/// The same picture, shrinking with the page.
fn scalable(svg: &str) -> String {
    let attribute = |name: &str| svg.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split('"').next());
    match (attribute("width"), attribute("height")) {
        (Some(width), Some(height)) => svg.replacen("<svg ", &format!("<svg viewBox=\"0 0 {width} {height}\" "), 1),
        _ => svg.to_owned(),
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
