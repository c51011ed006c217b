//! Tables, colours, progress: for a terminal only.

use std::io::IsTerminal as _;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};
use model::Severity;

/// A plain table with a head.
pub(crate) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(160).force_no_tty();
    }
    table.set_header(head.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    table
}

/// A severity in its colour.
pub(crate) fn severity(severity: Severity) -> Cell {
    let color = match severity {
        Severity::Critical => Color::Magenta,
        Severity::High => Color::Red,
        Severity::Medium => Color::Yellow,
        Severity::Low => Color::Blue,
        Severity::Unknown => Color::Grey,
    };
    Cell::new(severity).fg(color)
}

/// A line of text.
#[expect(clippy::print_stdout, reason = "results of commands go to standard output")]
pub(crate) fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

/// Text that ends its own lines.
#[expect(clippy::print_stdout, reason = "results of commands go to standard output")]
pub(crate) fn text(text: &str) {
    print!("{text}");
}

/// A line about the work itself, not its result.
#[expect(clippy::print_stderr, reason = "what is not a result goes beside it")]
pub(crate) fn note(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// JSON, one document.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A spinner on a terminal, nothing elsewhere.
pub(crate) fn spinner(text: String) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(text);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    spinner
}
