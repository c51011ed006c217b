//! Tables, colours, progress: for a terminal only.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{Attribute, Cell, Color, ContentArrangement};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Fault, Severity};

/// A table whose cells hold what somebody wrote, and move no cursor.
pub(crate) struct Table(comfy_table::Table);

/// A plain table with a head.
pub(crate) fn table(head: &[&str]) -> Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(160).force_no_tty();
    }
    table.set_header(head.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    Table(table)
}

impl Table {
    /// The table with other lines.
    pub(crate) fn styled(mut self, preset: &str, modifier: &str) -> Self {
        self.0.load_preset(preset).apply_modifier(modifier);
        self
    }

    pub(crate) fn add_row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let harmless = |cell: C| {
            let cell = cell.into();
            match harmless(&cell.content()) {
                Cow::Borrowed(_) => cell,
                Cow::Owned(text) => Cell::new(text),
            }
        };
        self.0.add_row(cells.into_iter().map(harmless));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.row_iter().next().is_none()
    }

    pub(crate) fn print(&self) {
        write(format_args!("{}\n", self.0));
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that a terminal shows and does not obey: names come from files and clusters. Control characters, and those that turn
/// the direction of writing, are shown as their numbers; lines and tabs stay.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |letter: char| {
        (letter.is_control() && !matches!(letter, '\n' | '\t'))
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_harmful(letter) {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
    Cow::Owned(out)
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
    write(format_args!("{}\n", harmless(&text.to_string())));
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
    let _ = writeln!(std::io::stderr(), "{}", harmless(&text.to_string()));
}

/// A fault, on one line.
pub(crate) fn fault(fault: &Fault) {
    let text = fault.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    note(lines.join(" "));
}

/// JSON, one document.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    write(format_args!("{}\n", json_text(serde_json::to_string_pretty(value)?)));
    Ok(())
}

/// A value as YAML. What has characters that a terminal obeys is written as JSON, which is YAML too and has escapes for them.
pub(crate) fn yaml<T: serde::Serialize>(value: &T) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(value)?;
    match harmless(&text) {
        Cow::Borrowed(_) => Ok(text),
        Cow::Owned(_) => Ok(format!("{}\n", json_text(serde_json::to_string_pretty(value)?))),
    }
}

/// JSON on one line.
pub(crate) fn json_line<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    write(format_args!("{}\n", json_text(serde_json::to_string(value)?)));
    Ok(())
}

/// JSON has escapes for the lower control characters; the upper ones, which some terminals obey, get theirs here.
fn json_text(text: String) -> String {
    let is_upper = |letter: char| matches!(letter, '\u{7f}'..='\u{9f}');
    if !text.contains(is_upper) {
        return text;
    }
    let escaped = |letter: char| match is_upper(letter) {
        true => format!("\\u{:04x}", u32::from(letter)),
        false => letter.to_string(),
    };
    text.chars().map(escaped).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_reach_the_terminal_as_orders() {
        assert_eq!(harmless("plain \u{e4}\n\ttext"), "plain \u{e4}\n\ttext");
        assert_eq!(harmless("a\u{1b}[31mb\r\u{7}\u{9b}2J\u{202e}"), "a\\u{1b}[31mb\\u{d}\\u{7}\\u{9b}2J\\u{202e}");
        let mut table = table(&["Name"]);
        table.add_row(["a\u{1b}[2J"]);
        assert!(table.to_string().contains("a\\u{1b}[2J") && !table.to_string().contains("\u{1b}[2J"), "{table}");
        let text = json_text(serde_json::to_string("\u{1b}\u{9b}2J\u{7f}").unwrap());
        assert_eq!(text, "\"\\u001b\\u009b2J\\u007f\"");
    }
}
