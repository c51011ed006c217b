//! XML as a tree of elements with their lines: as much of XML 1.0 as manifests use. Document types are passed over, so no entity can
//! be defined, and nothing is fetched.

use crate::package::LineRange;
use crate::text::{ParseError, line_number};

/// One element. Names are local: a prefix of a name space is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// Text of its own, without that of its children.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
    pub(crate) lines: LineRange,
}

static NONE: Element = Element {
    name: String::new(),
    attributes: Vec::new(),
    text: String::new(),
    children: Vec::new(),
    lines: LineRange { start: 0, end: 0 },
};

impl Element {
    /// The last child of a name, as a reader that fills a field sees it; an empty element when there is none.
    pub(crate) fn child(&self, name: &str) -> &Self {
        self.children.iter().rev().find(|child| child.name == name).unwrap_or(&NONE)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> + 'a {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Text of a child, without blanks around it.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.child(name).text.trim()
    }

    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// Parses a document to its root element.
pub(crate) fn parse(bytes: &[u8]) -> Result<Element, ParseError> {
    let content = decode(bytes);
    let mut reader = Reader { rest: &content, line: 1 };
    let mut open: Vec<Element> = Vec::new();
    let mut elements = 0_usize;
    loop {
        let Some((before, _)) = reader.rest.split_once('<') else {
            return Err(ParseError::at("XML decode error: unexpected end of text", reader.line));
        };
        let text = before.to_owned();
        reader.skip(before.len());
        if let Some(top) = open.last_mut() {
            top.text.push_str(&unescape(&text));
        }
        match reader.markup()? {
            Markup::Skipped => {}
            Markup::Raw(raw) => {
                if let Some(top) = open.last_mut() {
                    top.text.push_str(&raw);
                }
            }
            Markup::Start(mut element, closed) => {
                elements = elements.saturating_add(1);
                if elements > MAX_ELEMENTS || open.len() > MAX_DEPTH {
                    return Err(ParseError::at("XML decode error: it has too many elements", reader.line));
                }
                if closed {
                    element.lines.end = line_number(reader.line);
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => return Ok(element),
                    }
                } else {
                    open.push(element);
                }
            }
            Markup::End(name) => {
                let Some(mut element) = open.pop().filter(|element| element.name == name) else {
                    let what = format!("XML decode error: unexpected closing tag `{name}`");
                    return Err(ParseError::at(what, reader.line));
                };
                element.lines.end = line_number(reader.line);
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
            }
        }
    }
}

enum Markup {
    Skipped,
    Raw(String),
    Start(Element, bool),
    End(String),
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.line = self.line.saturating_add(taken.bytes().filter(|byte| *byte == b'\n').count());
        self.rest = rest;
        taken
    }

    fn up_to(&mut self, end: &str) -> Result<&'a str, ParseError> {
        let at = self.rest.find(end);
        let at = at.ok_or_else(|| ParseError::at("XML decode error: unexpected end of text", self.line))?;
        let taken = self.skip(at);
        self.skip(end.len());
        Ok(taken)
    }

    fn markup(&mut self) -> Result<Markup, ParseError> {
        let start = self.line;
        if self.rest.starts_with("<!--") {
            self.up_to("-->").map(|_| Markup::Skipped)
        } else if self.rest.starts_with("<![CDATA[") {
            self.skip(9);
            self.up_to("]]>").map(|raw| Markup::Raw(raw.to_owned()))
        } else if self.rest.starts_with("<?") {
            self.up_to("?>").map(|_| Markup::Skipped)
        } else if self.rest.starts_with("<!") {
            self.document_type().map(|()| Markup::Skipped)
        } else if self.rest.starts_with("</") {
            self.skip(2);
            self.up_to(">").map(|name| Markup::End(local(name.trim()).to_owned()))
        } else {
            self.start_tag(start)
        }
    }

    /// `<!DOCTYPE ... [ ... ]>`
    fn document_type(&mut self) -> Result<(), ParseError> {
        let end = self.rest.find('>').unwrap_or(self.rest.len());
        if self.rest.get(..end).is_some_and(|head| head.contains('[')) {
            self.up_to("]")?;
        }
        self.up_to(">").map(drop)
    }

    fn start_tag(&mut self, start: usize) -> Result<Markup, ParseError> {
        self.skip(1);
        let end = self.rest.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/')).unwrap_or(self.rest.len());
        let name = local(self.skip(end)).to_owned();
        if name.is_empty() {
            return Err(ParseError::at("XML decode error: a tag has no name", self.line));
        }
        let line = line_number(start);
        let mut element = Element { name, lines: LineRange { start: line, end: line }, ..Element::default() };
        loop {
            let blank = self.rest.len().saturating_sub(self.rest.trim_start().len());
            self.skip(blank);
            if self.rest.starts_with("/>") {
                self.skip(2);
                return Ok(Markup::Start(element, true));
            }
            if self.rest.starts_with('>') {
                self.skip(1);
                return Ok(Markup::Start(element, false));
            }
            if element.attributes.len() >= MAX_ATTRIBUTES {
                return Err(ParseError::at("XML decode error: a tag has too many attributes", self.line));
            }
            let key = self.up_to("=")?.trim().to_owned();
            let blank = self.rest.len().saturating_sub(self.rest.trim_start().len());
            self.skip(blank);
            let quote = match self.skip(1) {
                "\"" => "\"",
                "'" => "'",
                _ => return Err(ParseError::at("XML decode error: an attribute has no quotes", self.line)),
            };
            let value = unescape(self.up_to(quote)?);
            element.attributes.push((key, value));
        }
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, name)| name)
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let known = after.split_once(';').filter(|(name, _)| name.len() <= 10);
        let resolved = known.and_then(|(name, tail)| Some((entity(name)?, tail)));
        match resolved {
            Some((c, tail)) => {
                plain.push(c);
                rest = tail;
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// UTF-8, or Latin-1 where the document says so.
fn decode(bytes: &[u8]) -> String {
    let head = bytes.get(..bytes.len().min(120)).unwrap_or_default().to_ascii_lowercase();
    let says = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    if says(b"encoding=\"iso-8859-1\"") || says(b"encoding='iso-8859-1'") || says(b"encoding=\"windows-1252\"") {
        return bytes.iter().map(|byte| char::from(*byte)).collect();
    }
    crate::text::text(bytes).into_owned()
}

const MAX_DEPTH: usize = 128;
const MAX_ELEMENTS: usize = 1_000_000;
const MAX_ATTRIBUTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_text_attributes_and_lines() {
        let text = "<?xml version=\"1.0\"?>\n<!DOCTYPE a [<!ENTITY x \"y\">]>\n<p:a x='1 &lt;'>\n <!-- < --><b>1 &amp;&#65;<![CDATA[<]]></b>\n <c/>\n</p:a>";
        let root = parse(text.as_bytes()).unwrap();
        assert_eq!((root.name.as_str(), root.attribute("x"), root.field("b")), ("a", "1 <", "1 &A<"));
        assert_eq!(root.lines, LineRange { start: 3, end: 6 });
        assert_eq!(root.child("c").lines, LineRange { start: 5, end: 5 });
        assert_eq!(root.child("none").field("x"), "");
    }

    #[test]
    fn what_is_broken_is_refused() {
        for text in ["", "<a>", "<a></b>", "<a x=1/>", "<a", "</a>", "x", "<a x='", "<!--", "<![CDATA[", "< a/>"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse("<a>".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn latin_1_is_read_as_such() {
        let root = parse(b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>").unwrap();
        assert_eq!(root.text, "\u{e9}");
    }
}
