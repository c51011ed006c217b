//! Tables, colours, progress: for a terminal only.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

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
pub(crate) fn line(text: impl std::fmt::Display) {
    write(format_args!("{text}\n"));
}

/// Text that ends its own lines.
pub(crate) fn text(text: &str) {
    write(format_args!("{text}"));
}

/// The exit code of a program whose reader has gone, as shells tell it: 128 and the number of SIGPIPE (signal(7)).
const READER_GONE: i32 = 141;

/// Whether the command looks after processes that it started, and so must not end before it has ended them.
static HAS_PROCESSES: AtomicBool = AtomicBool::new(false);

/// From here on a reader that goes away (`| head`) does not end the command.
pub(crate) fn go_on_without_reader() {
    HAS_PROCESSES.store(true, Ordering::Relaxed);
}

fn write(text: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) else { return };
    let is_gone = error.kind() == std::io::ErrorKind::BrokenPipe;
    if !is_gone {
        note(format_args!("biotope: cannot write to standard output: {error}"));
    }
    if !HAS_PROCESSES.load(Ordering::Relaxed) {
        std::process::exit(if is_gone { READER_GONE } else { 1 });
    }
}

/// A line about the work itself, not its result.
pub(crate) fn note(text: impl std::fmt::Display) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{text}");
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
