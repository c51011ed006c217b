//! `Printf`: flags, width, precision, verbs, and what it says of a verb that does not fit its operand.

use super::float;
use super::quote::{fits_backquotes, is_printable, quote_with};
use crate::value::{IntKind, ListKind, Value};

/// Flags, width and precision of one verb.
#[derive(Clone, Copy, Default)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    plus_v: bool,
    sharp_v: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Writes operands.
pub(super) struct Printer {
    pub(super) out: Vec<u8>,
    pub(super) is_cut: bool,
    flags: Flags,
    most: usize,
}

/// Where a format stands between its verbs.
#[derive(Default)]
struct Cursor {
    next: usize,
    is_reordered: bool,
    is_good: bool,
}

const MAX_WIDTH: usize = 1_000_000;
const MAX_DEPTH: u32 = 64;

impl Printer {
    pub(super) fn new(most: usize) -> Self {
        Self { out: Vec::new(), is_cut: false, flags: Flags::default(), most }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.out.len().saturating_add(bytes.len()) > self.most {
            self.is_cut = true;
        } else {
            self.out.extend_from_slice(bytes);
        }
    }

    /// A whole format with its operands.
    pub(super) fn run(&mut self, format: &[u8], values: &[Value]) {
        let mut rest = format;
        let mut cursor = Cursor { is_good: true, ..Cursor::default() };
        while let Some(start) = rest.iter().position(|byte| *byte == b'%') {
            if self.is_cut {
                return;
            }
            self.push(rest.get(..start).unwrap_or_default());
            rest = rest.get(start.saturating_add(1)..).unwrap_or_default();
            rest = self.verb(rest, values, &mut cursor);
        }
        self.push(rest);
        if !cursor.is_reordered && cursor.next < values.len() {
            self.extra(values.get(cursor.next..).unwrap_or_default());
        }
    }

    /// One verb; returns what follows it.
    fn verb<'a>(&mut self, rest: &'a [u8], values: &[Value], cursor: &mut Cursor) -> &'a [u8] {
        cursor.is_good = true;
        let mut rest = self.read_flags(rest);
        let mut is_after_index = false;
        rest = index(rest, values.len(), cursor, &mut is_after_index);
        if let Some(after) = rest.strip_prefix(b"*") {
            rest = after;
            match star(values, cursor) {
                Some(width) => {
                    self.flags.minus |= width < 0;
                    self.flags.zero &= !self.flags.minus;
                    self.flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.push(b"%!(BADWIDTH)"),
            }
            is_after_index = false;
        } else {
            let (width, after) = digits(rest);
            rest = after;
            self.flags.width = width;
            cursor.is_good &= !(is_after_index && width.is_some());
        }
        if let Some(after) = rest.strip_prefix(b".") {
            rest = after;
            cursor.is_good &= !is_after_index;
            rest = index(rest, values.len(), cursor, &mut is_after_index);
            if let Some(after) = rest.strip_prefix(b"*") {
                rest = after;
                self.flags.precision = star(values, cursor).and_then(|number| usize::try_from(number).ok());
                if self.flags.precision.is_none() {
                    self.push(b"%!(BADPREC)");
                }
                is_after_index = false;
            } else {
                let (precision, after) = digits(rest);
                rest = after;
                self.flags.precision = Some(precision.unwrap_or(0));
            }
        }
        if !is_after_index {
            rest = index(rest, values.len(), cursor, &mut is_after_index);
        }
        if self.flags.width.unwrap_or(0).max(self.flags.precision.unwrap_or(0)) > MAX_WIDTH.min(self.most) {
            self.is_cut = true;
            return &[];
        }
        self.operand(rest, values, cursor)
    }

    fn operand<'a>(&mut self, rest: &'a [u8], values: &[Value], cursor: &mut Cursor) -> &'a [u8] {
        let Some(verb) = first_char(rest) else {
            self.push(b"%!(NOVERB)");
            return &[];
        };
        let rest = rest.get(verb.len_utf8().min(rest.len())..).unwrap_or_default();
        match values.get(cursor.next) {
            _ if verb == '%' => self.push(b"%"),
            _ if !cursor.is_good => self.push(format!("%!{verb}(BADINDEX)").as_bytes()),
            None => self.push(format!("%!{verb}(MISSING)").as_bytes()),
            Some(value) => {
                if verb == 'v' {
                    (self.flags.sharp_v, self.flags.plus_v) = (self.flags.sharp, self.flags.plus);
                    (self.flags.sharp, self.flags.plus) = (false, false);
                }
                self.argument(value, verb, 0);
                cursor.next = cursor.next.saturating_add(1);
            }
        }
        rest
    }

    fn read_flags<'a>(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        self.flags = Flags::default();
        while let Some((byte, after)) = rest.split_first() {
            match byte {
                b'#' => self.flags.sharp = true,
                b'0' => self.flags.zero = true,
                b'+' => self.flags.plus = true,
                b'-' => self.flags.minus = true,
                b' ' => self.flags.space = true,
                _ => break,
            }
            rest = after;
        }
        rest
    }

    fn extra(&mut self, values: &[Value]) {
        self.flags = Flags::default();
        self.push(b"%!(EXTRA ");
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.push(b", ");
            }
            self.push(value.type_name().as_bytes());
            if *value != Value::Nil {
                self.push(b"=");
                self.argument(value, 'v', 0);
            }
        }
        self.push(b")");
    }

    fn bad_verb(&mut self, value: &Value, verb: char, depth: u32) {
        self.push(format!("%!{verb}(").as_bytes());
        if *value == Value::Nil {
            self.push(b"<nil>");
        } else {
            self.push(value.type_name().as_bytes());
            self.push(b"=");
            self.argument(value, 'v', depth.saturating_add(1));
        }
        self.push(b")");
    }

    /// One operand.
    pub(super) fn argument(&mut self, value: &Value, verb: char, depth: u32) {
        if self.is_cut || depth > MAX_DEPTH {
            self.is_cut = true;
            return;
        }
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.padded(b"<nil>"),
            (Value::Nil, _) => self.bad_verb(value, verb, depth),
            (_, 'T') => self.text(value.type_name().as_bytes(), 's'),
            (Value::Bool(value), 't' | 'v') => self.padded(value.to_string().as_bytes()),
            (Value::Int(kind, number), _) => self.integer(*kind, *number, verb, depth),
            (Value::Float(number), _) => self.float(*number, verb, depth),
            (Value::Complex(real, imaginary), _) => self.complex((*real, *imaginary), verb, depth),
            (Value::Text(text), 'v' | 's' | 'x' | 'X' | 'q') => self.text(text.expose(), verb),
            (Value::Time(time), 'v' | 's' | 'x' | 'X' | 'q') => self.text(time.to_string().as_bytes(), verb),
            (Value::Version(version), 'v' | 's' | 'x' | 'X' | 'q') => self.text(version.to_string().as_bytes(), verb),
            (Value::List(kind, items), _) => self.list(*kind, items, verb, depth),
            (Value::Map(..), _) => self.map(value, verb, depth),
            (Value::KeyPair(pair), _) => {
                self.push(b"{");
                self.argument(&Value::Text(pair.cert.clone()), verb, depth.saturating_add(1));
                self.push(b" ");
                self.argument(&Value::Text(pair.key.clone()), verb, depth.saturating_add(1));
                self.push(b"}");
            }
            _ => self.bad_verb(value, verb, depth),
        }
    }

    /// An item of a list or a map, whose nil has no verb.
    fn item(&mut self, value: &Value, verb: char, depth: u32) {
        match value {
            Value::Nil if self.flags.sharp_v => self.push(b"interface {}(nil)"),
            Value::Nil => self.push(b"<nil>"),
            other => self.argument(other, verb, depth.saturating_add(1)),
        }
    }

    fn list(&mut self, kind: ListKind, items: &[Value], verb: char, depth: u32) {
        let type_name = Value::List(kind, std::sync::Arc::new(Vec::new())).type_name();
        if self.flags.sharp_v {
            self.push(type_name.as_bytes());
        }
        let (open, separator, close): (&[u8], &[u8], &[u8]) =
            if self.flags.sharp_v { (b"{", b", ", b"}") } else { (b"[", b" ", b"]") };
        self.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            self.item(item, verb, depth);
        }
        self.push(close);
    }

    fn map(&mut self, value: &Value, verb: char, depth: u32) {
        let Value::Map(_, fields) = value else { return };
        let (separator, close): (&[u8], &[u8]) = if self.flags.sharp_v { (b", ", b"}") } else { (b" ", b"]") };
        if self.flags.sharp_v {
            self.push(value.type_name().as_bytes());
            self.push(b"{");
        } else {
            self.push(b"map[");
        }
        for (index, (key, item)) in fields.snapshot().into_iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            self.argument(&Value::text(key), verb, depth.saturating_add(1));
            self.push(b":");
            self.item(&item, verb, depth);
        }
        self.push(close);
    }

    /// Text filled up to the width.
    fn padded(&mut self, text: &[u8]) {
        let length =
            text.utf8_chunks().map(|chunk| chunk.valid().chars().count().saturating_add(chunk.invalid().len())).sum();
        let missing = self.flags.width.unwrap_or(0).saturating_sub(length);
        let fill = if self.flags.zero && !self.flags.minus { b'0' } else { b' ' };
        if self.flags.minus {
            self.push(text);
        }
        self.push(&vec![fill; missing]);
        if !self.flags.minus {
            self.push(text);
        }
    }

    fn text(&mut self, bytes: &[u8], verb: char) {
        let cut = match self.flags.precision {
            Some(most) => String::from_utf8_lossy(bytes).chars().take(most).collect::<String>().into_bytes(),
            None => bytes.to_vec(),
        };
        match verb {
            'v' if self.flags.sharp_v => self.quoted(bytes),
            'q' => self.quoted(&cut),
            'x' | 'X' => self.hex(bytes, verb),
            _ => self.padded(&cut),
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        let text = if self.flags.sharp && fits_backquotes(bytes) {
            format!("`{}`", String::from_utf8_lossy(bytes))
        } else {
            quote_with(bytes, '"', self.flags.plus)
        };
        self.padded(text.as_bytes());
    }

    fn hex(&mut self, bytes: &[u8], verb: char) {
        let bytes = bytes.get(..self.flags.precision.unwrap_or(bytes.len()).min(bytes.len())).unwrap_or_default();
        let mut text = String::new();
        for (index, byte) in bytes.iter().enumerate() {
            if self.flags.space && index > 0 {
                text.push(' ');
            }
            if self.flags.sharp && (self.flags.space || index == 0) {
                text.push_str("0x");
            }
            text.push_str(&format!("{byte:02x}"));
        }
        let text = if verb == 'X' { text.to_uppercase() } else { text };
        self.padded(text.as_bytes());
    }

    fn integer(&mut self, kind: IntKind, number: i128, verb: char, depth: u32) {
        let magnitude = number.unsigned_abs();
        let is_unsigned = matches!(kind, IntKind::Uint8 | IntKind::Uint64);
        match verb {
            'v' if self.flags.sharp_v && is_unsigned => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.digits(number < 0, format!("{magnitude:x}"), 'x');
                self.flags.sharp = sharp;
            }
            'v' | 'd' => self.digits(number < 0, magnitude.to_string(), verb),
            'b' => self.digits(number < 0, format!("{magnitude:b}"), verb),
            'o' | 'O' => self.digits(number < 0, format!("{magnitude:o}"), verb),
            'x' => self.digits(number < 0, format!("{magnitude:x}"), verb),
            'X' => self.digits(number < 0, format!("{magnitude:X}"), verb),
            'c' => self.padded(character(number).to_string().as_bytes()),
            'q' => {
                let text = quote_with(character(number).to_string().as_bytes(), '\'', self.flags.plus);
                self.padded(text.as_bytes());
            }
            'U' => {
                let digits = self.flags.precision.unwrap_or(4).max(4);
                let mut text = format!("U+{number:0digits$X}");
                let letter = u32::try_from(number).ok().and_then(char::from_u32).filter(|letter| is_printable(*letter));
                if let Some(letter) = letter.filter(|_| self.flags.sharp) {
                    text.push_str(&format!(" '{letter}'"));
                }
                let zero = std::mem::replace(&mut self.flags.zero, false);
                self.padded(text.as_bytes());
                self.flags.zero = zero;
            }
            _ => self.bad_verb(&Value::Int(kind, number), verb, depth),
        }
    }

    /// Digits with sign, prefix and zeros before them.
    fn digits(&mut self, is_negative: bool, digits: String, verb: char) {
        let flags = self.flags;
        let has_sign = is_negative || flags.plus || flags.space;
        let least = match (flags.precision, flags.width) {
            (Some(0), _) if digits == "0" => {
                self.flags.zero = false;
                self.padded(b"");
                self.flags.zero = flags.zero;
                return;
            }
            (Some(least), _) => least,
            (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(usize::from(has_sign)),
            _ => 0,
        };
        let mut text = format!("{digits:0>least$}");
        match verb {
            'b' if flags.sharp => text.insert_str(0, "0b"),
            'o' if flags.sharp && !text.starts_with('0') => text.insert(0, '0'),
            'O' => text.insert_str(0, "0o"),
            'x' if flags.sharp => text.insert_str(0, "0x"),
            'X' if flags.sharp => text.insert_str(0, "0X"),
            _ => {}
        }
        match (is_negative, flags.plus, flags.space) {
            (true, ..) => text.insert(0, '-'),
            (_, true, _) => text.insert(0, '+'),
            (.., true) => text.insert(0, ' '),
            _ => {}
        }
        self.flags.zero = false;
        self.padded(text.as_bytes());
        self.flags.zero = flags.zero;
    }

    fn float(&mut self, number: f64, verb: char, depth: u32) {
        match self.float_text(number, verb) {
            Some(text) => self.signed_float(&text),
            None => self.bad_verb(&Value::Float(number), verb, depth),
        }
    }

    fn float_text(&self, number: f64, verb: char) -> Option<String> {
        let precision = self.flags.precision;
        Some(match verb {
            'e' => float::exponential(number, precision.unwrap_or(6)),
            'E' => float::exponential(number, precision.unwrap_or(6)).to_uppercase(),
            'f' | 'F' => float::fixed(number, precision.unwrap_or(6)),
            'v' | 'g' | 'G' => {
                let most = precision.map_or(6, |digits| i32::try_from(digits.max(1)).unwrap_or(6));
                let text = float::general(number, (-4, most), precision);
                if verb == 'G' {
                    text.to_uppercase().replace("+INF", "+Inf").replace("-INF", "-Inf").replace("NAN", "NaN")
                } else {
                    text
                }
            }
            'b' => float::binary(number),
            'x' => float::hexadecimal(number),
            'X' => float::hexadecimal(number).to_uppercase(),
            _ => return None,
        })
    }

    fn signed_float(&mut self, text: &str) {
        let flags = self.flags;
        let (mut sign, digits) = match text.as_bytes().first() {
            Some(b'-') => ("-", text.get(1..).unwrap_or_default()),
            Some(b'+') => ("+", text.get(1..).unwrap_or_default()),
            _ => ("+", text),
        };
        let is_special = digits == "Inf" || digits == "NaN";
        if flags.space && sign == "+" && !flags.plus {
            sign = " ";
        }
        if is_special {
            self.flags.zero = false;
        }
        let shown_sign = if flags.plus || sign != "+" || (digits == "Inf" && !flags.space) { sign } else { "" };
        let shown_sign = if digits == "NaN" && sign != " " && !flags.plus { "" } else { shown_sign };
        let width = flags.width.unwrap_or(0);
        let length = shown_sign.len().saturating_add(digits.len());
        if self.flags.zero && !flags.minus && !shown_sign.is_empty() && width > length {
            let zeros = "0".repeat(width.saturating_sub(length));
            self.push(format!("{shown_sign}{zeros}{digits}").as_bytes());
        } else {
            self.padded(format!("{shown_sign}{digits}").as_bytes());
        }
        self.flags.zero = flags.zero;
    }

    fn complex(&mut self, (real, imaginary): (f64, f64), verb: char, depth: u32) {
        if self.float_text(real, verb).is_none() {
            return self.bad_verb(&Value::Complex(real, imaginary), verb, depth);
        }
        let plus = self.flags.plus;
        self.push(b"(");
        self.float(real, verb, depth);
        self.flags.plus = true;
        self.float(imaginary, verb, depth);
        self.push(b"i)");
        self.flags.plus = plus;
    }
}

fn character(number: i128) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn first_char(bytes: &[u8]) -> Option<char> {
    let chunk = bytes.utf8_chunks().next()?;
    Some(chunk.valid().chars().next().unwrap_or('\u{fffd}'))
}

fn digits(bytes: &[u8]) -> (Option<usize>, &[u8]) {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let (number, rest) = bytes.split_at_checked(end).unwrap_or((&[], bytes));
    let number = std::str::from_utf8(number).ok().filter(|text| !text.is_empty());
    (number.map(|text| text.parse().unwrap_or(usize::MAX)), rest)
}

/// `[n]`: the operand that is next.
fn index<'a>(rest: &'a [u8], count: usize, cursor: &mut Cursor, is_after_index: &mut bool) -> &'a [u8] {
    let Some(inner) = rest.strip_prefix(b"[") else { return rest };
    cursor.is_reordered = true;
    *is_after_index = true;
    let Some(end) = inner.iter().position(|byte| *byte == b']') else {
        cursor.is_good = false;
        return inner;
    };
    let (number, after) = digits(inner.get(..end).unwrap_or_default());
    match number.filter(|number| after.is_empty() && *number >= 1 && *number <= count) {
        Some(number) => cursor.next = number.saturating_sub(1),
        None => cursor.is_good = false,
    }
    inner.get(end.saturating_add(1)..).unwrap_or_default()
}

/// `*`: a width or precision among the operands.
fn star(values: &[Value], cursor: &mut Cursor) -> Option<i64> {
    let value = values.get(cursor.next)?;
    cursor.next = cursor.next.saturating_add(1);
    match value {
        Value::Int(_, number) => i64::try_from(*number).ok().filter(|number| number.abs() <= 1_000_000),
        _ => None,
    }
}
