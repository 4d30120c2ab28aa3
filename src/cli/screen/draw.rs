//! How the page looks: stages on the left, the stage that is looked at on the right, mistakes below.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, GraphType, List, ListItem, ListState, Paragraph, Wrap};

use crate::plan::State;
use crate::run::number;

use super::super::out;
use super::page::{At, Line, Page};

/// Lines of mistakes that are shown at most.
const MISTAKES: u16 = 14;

pub(super) fn draw(frame: &mut Frame<'_>, page: &Page) {
    let wrong = !page.diagnostics.is_empty();
    let lines = u16::try_from(page.diagnostics.lines().count() + 1).unwrap_or(MISTAKES).min(MISTAKES);
    let below = if wrong { Constraint::Length(lines) } else { Constraint::Length(0) };
    let [top, middle, bottom, keys] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(6), below, Constraint::Length(1)]).areas(frame.area());
    head(frame, top, page);
    let [left, right] = Layout::horizontal([Constraint::Percentage(42), Constraint::Min(30)]).areas(middle);
    stages(frame, left, page);
    looked_at(frame, right, page);
    if wrong {
        let block = Block::new().borders(Borders::TOP).title(" mistakes ").style(color(Color::Red));
        frame.render_widget(Paragraph::new(page.diagnostics.as_str()).block(block), bottom);
    }
    frame.render_widget(Paragraph::new("↑↓ stage   f follow   p pause   r run again   q quit").dim(), keys);
}

/// A colour, where colours are wanted.
fn color(color: Color) -> Style {
    if out::colors() { Style::new().fg(color) } else { Style::new() }
}

fn head(frame: &mut Frame<'_>, area: Rect, page: &Page) {
    let first = Text::from(vec![Span::from(page.title.clone()).add_modifier(Modifier::BOLD)]);
    let second = Text::from(vec![Span::from(page.doing.clone()), Span::from("   "), Span::from(page.saved.clone()).dim()]);
    frame.render_widget(Paragraph::new(vec![first, second]), area);
}

fn stages(frame: &mut Frame<'_>, area: Rect, page: &Page) {
    let items = page.stages.iter().map(|line| ListItem::new(stage(line)));
    let mut state = ListState::default().with_selected(page.focus.or(page.running));
    let list = List::new(items).highlight_style(Style::new().add_modifier(Modifier::REVERSED)).block(Block::new().borders(Borders::RIGHT));
    frame.render_stateful_widget(list, area, &mut state);
}

fn stage(line: &Line) -> Text<'static> {
    let (mark, word, style) = match &line.at {
        At::Running => ("▶", "running".to_owned(), color(Color::Yellow)),
        At::Made => ("✓", "made".to_owned(), color(Color::Green)),
        At::Failed => ("✗", "failed".to_owned(), color(Color::Red)),
        At::Skipped => ("–", "skipped".to_owned(), Style::new().dim()),
        At::Blocked => ("–", "blocked".to_owned(), Style::new().dim()),
        At::Stopped => ("‖", "stopped".to_owned(), color(Color::Yellow)),
        At::Planned(State::Cached) => ("✓", "cached".to_owned(), Style::new().dim()),
        At::Planned(state) => ("·", state.to_string(), Style::new()),
    };
    // deeper stages stand further right, as in a tree; a very deep plan keeps its names in sight
    let indent = " ".repeat(line.depth.min(8));
    let mut spans = vec![Span::styled(format!("{mark} {indent}{}", line.name), style), Span::from(format!("  {word}")).dim()];
    if !line.values.is_empty() {
        spans.push(Span::from(format!("  {}", line.values)));
    }
    Text::from(spans)
}

fn looked_at(frame: &mut Frame<'_>, area: Rect, page: &Page) {
    let name = page.shown().map_or(String::new(), |line| line.name.clone());
    let samples = page.samples();
    let chart = if page.curve().is_some() { Constraint::Percentage(50) } else { Constraint::Length(0) };
    let rows = if samples.is_empty() { Constraint::Length(0) } else { Constraint::Percentage(30) };
    let [title, plot, shown, log] = Layout::vertical([Constraint::Length(1), chart, rows, Constraint::Min(3)]).areas(area);
    let pace = page.pace().filter(|_| page.focus.is_none() || page.focus == page.running).unwrap_or_default();
    frame.render_widget(Paragraph::new(format!(" {name}  {pace}")), title);
    curve(frame, plot, page);
    if !samples.is_empty() {
        let block = Block::new().borders(Borders::TOP).title(" rows ");
        let lines: Vec<Text<'_>> = samples.iter().map(|row| Text::from(row.as_str())).collect();
        frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }).block(block), shown);
    }
    let block = Block::new().borders(Borders::TOP).title(" so far ");
    let room = usize::from(log.height.saturating_sub(1));
    let last = page.log.len().saturating_sub(room);
    let lines: Vec<Text<'_>> = page.log[last..].iter().map(|line| Text::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(block), log);
}

fn curve(frame: &mut Frame<'_>, area: Rect, page: &Page) {
    let Some(curve) = page.curve() else { return };
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = curve.points.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if high > low { [low, high] } else { [low - 0.5, high + 0.5] }
    };
    let (steps, values) = (bounds(|point| point.0), bounds(|point| point.1));
    let marker = if curve.points.len() > 4 { Marker::Braille } else { Marker::Dot };
    let data = Dataset::default().name(curve.name.clone()).marker(marker).graph_type(GraphType::Line).data(&curve.points);
    let labels = |bounds: [f64; 2]| bounds.map(number).to_vec();
    let chart = Chart::new(vec![data.style(color(Color::Cyan))])
        .x_axis(Axis::default().bounds(steps).labels(labels(steps)))
        .y_axis(Axis::default().bounds(values).labels(labels(values)));
    frame.render_widget(chart, area);
}
