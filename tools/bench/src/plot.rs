//! The results of `compare` as bars, in an SVG that follows the reader's light or dark theme.

use std::fmt::Write;
use std::path::Path;

use crate::compare::Results;
use crate::table::grouped;

const WIDTH: f64 = 760.0;
const LABEL_WIDTH: f64 = 150.0;
const VALUE_WIDTH: f64 = 90.0;
const BAR_HEIGHT: f64 = 20.0;
const ROW_HEIGHT: f64 = 28.0;
const TOP: f64 = 64.0;
const PANEL_GAP: f64 = 52.0;

const STYLE: &str = "text{font:14px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:16px}\
.note{fill:#59636e;font-size:12px}.bar{fill:#8c959f}.ours{fill:#0969da}.value{font-variant-numeric:tabular-nums}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}.bar{fill:#6e7681}.ours{fill:#4493f8}}";

pub fn run(results: &Path, picture: &Path) -> Result<(), String> {
    let text =
        std::fs::read_to_string(results).map_err(|e| format!("{}: {e}", results.display()))?;
    let results: Results =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", results.display()))?;
    std::fs::write(picture, draw(&results)).map_err(|e| format!("{}: {e}", picture.display()))
}

fn draw(results: &Results) -> String {
    let panel_height = ROW_HEIGHT * results.servers.len() as f64 + PANEL_GAP;
    let height = TOP + 2.0 * panel_height - PANEL_GAP / 2.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Requests a second of each server on one processor\">\n<style>{STYLE}</style>\n"
    );
    let mut text = |class: &str, x: f64, y: f64, anchor: &str, text: &str| {
        let text = escape(text);
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    };
    text(
        "title",
        0.0,
        20.0,
        "start",
        "Requests a second, server on one processor, load on another",
    );
    text(
        "note",
        0.0,
        40.0,
        "start",
        &format!("{}, {}; {}", results.date, results.machine, results.command),
    );
    for (panel, title) in
        ["One request in flight on each of 64 connections", "16 in flight"].into_iter().enumerate()
    {
        let top = TOP + panel as f64 * panel_height;
        panel_of(&mut svg, results, panel, title, top);
    }
    svg + "</svg>\n"
}

fn panel_of(svg: &mut String, results: &Results, panel: usize, title: &str, top: f64) {
    let most = results.servers.iter().map(|server| server.rates[panel]).fold(1.0, f64::max);
    let room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
    let _ = writeln!(svg, "<text class=\"title\" x=\"0\" y=\"{:.1}\">{title}</text>", top + 14.0);
    let mut servers: Vec<_> = results.servers.iter().collect();
    servers.sort_by(|a, b| b.rates[panel].total_cmp(&a.rates[panel]));
    for (row, server) in servers.into_iter().enumerate() {
        let y = top + 28.0 + row as f64 * ROW_HEIGHT;
        let width = (room * server.rates[panel] / most).max(1.0);
        let class = if server.name == "millrace" { "bar ours" } else { "bar" };
        let middle = y + BAR_HEIGHT * 0.72;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{LABEL_WIDTH}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{BAR_HEIGHT}\" rx=\"2\"/>\
             <text class=\"value\" x=\"{:.1}\" y=\"{middle:.1}\">{}</text>",
            LABEL_WIDTH - 8.0,
            escape(&server.name),
            LABEL_WIDTH + width + 6.0,
            grouped(server.rates[panel])
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Outcome;

    #[test]
    fn every_server_has_a_bar_in_both_panels_and_ours_stands_out() {
        let server = |name: &str, rate: f64| Outcome {
            name: name.to_owned(),
            rates: [rate, 10.0 * rate],
            wrk_rates: [rate, rate],
            batch_rates: [None; 3],
            verdict: "exact".to_owned(),
        };
        let svg = draw(&Results {
            machine: "a <machine>".to_owned(),
            date: "2026-01-01".to_owned(),
            command: "make compare".to_owned(),
            servers: vec![server("other & more", 100.0), server("millrace", 200.0)],
        });
        assert_eq!(svg.matches("<rect").count(), 4);
        assert_eq!(svg.matches("bar ours").count(), 2);
        assert!(svg.contains("a &lt;machine&gt;") && svg.contains("other &amp; more"));
        assert!(svg.contains(">2,000<"));
    }
}
