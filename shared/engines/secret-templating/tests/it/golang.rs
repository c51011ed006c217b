//! Judgement by Go itself: thousands of generated templates through Go's engine with sprig, and through ours.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use secret_templating::{Limits, Template, Text, Value};
use serde_json::json;

/// How many templates are generated.
const TEMPLATES: u64 = 4_000;

/// Numbers that are the same in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.next(list.len())]
    }
}

const KEYS: [&str; 5] = [".user", ".password", ".json", ".list", ".empty"];

fn data() -> [(&'static str, &'static str); 5] {
    [
        ("user", "Ada Lovelace"),
        ("password", "s3cr:et/<&>\"x\""),
        ("json", r#"{"a":{"b":[1,2.5,"x"]},"z":null,"t":true}"#),
        ("list", "c,a,b,a"),
        ("empty", ""),
    ]
}

/// Writes templates by rule, so that most of them mean something.
struct Writer {
    chance: Chance,
    depth: usize,
}

impl Writer {
    fn deeper(&mut self, write: impl FnOnce(&mut Self) -> String) -> String {
        self.depth += 1;
        let text = write(self);
        self.depth -= 1;
        text
    }

    fn text(&mut self) -> String {
        if self.depth > 3 || self.chance.next(4) == 0 {
            return match self.chance.next(3) {
                0 => {
                    self.chance.pick(&["\"abc\"", "\"\"", "`raw x`", "\"A-b_c d\"", "\"  pad \"", "\"12\""]).to_owned()
                }
                1 => "$.user".to_owned(),
                _ => format!("${}", self.chance.pick(&KEYS)),
            };
        }
        self.deeper(|w| match w.chance.next(12) {
            0..=3 => {
                let one = w.chance.pick(&[
                    "upper",
                    "lower",
                    "trim",
                    "quote",
                    "squote",
                    "b64enc",
                    "b64dec",
                    "sha256sum",
                    "nospace",
                    "toString",
                    "title",
                    "untitle",
                    "snakecase",
                    "camelcase",
                    "kebabcase",
                    "initials",
                    "swapcase",
                    "html",
                    "js",
                    "urlquery",
                    "print",
                    "b32enc",
                    "sha1sum",
                    "adler32sum",
                    "toJson",
                    "base",
                    "dir",
                    "ext",
                    "clean",
                ]);
                format!("({one} {})", w.text())
            }
            4 => {
                let name = w.chance.pick(&["trunc", "abbrev", "indent", "nindent", "repeat", "wrap"]);
                let number = w.chance.next(9) + usize::from(name == "abbrev") * 4 + usize::from(name == "wrap");
                format!("({name} {number} {})", w.text())
            }
            5 => format!("({} {} {})", w.chance.pick(&["trimSuffix", "trimPrefix", "trimAll"]), "\"a\"", w.text()),
            6 => format!("(replace \"a\" {} {})", w.text(), w.text()),
            7 => format!("({} {} {})", w.chance.pick(&["default", "coalesce", "cat"]), w.text(), w.text()),
            8 => format!("(ternary {} {} {})", w.text(), w.text(), w.truth()),
            9 => format!("(join {} {})", w.chance.pick(&["\",\"", "\"-\""]), w.list()),
            10 => {
                let verb =
                    w.chance.pick(&["%s|%v", "%q|%v", "%5s|%d", "%-8s|%03d", "%v|%x", "%T|%v", "%s|%5.2f", "%+v|%#v"]);
                format!("(printf {verb:?} {} {})", w.text(), w.number())
            }
            _ => format!("(substr {} {} {})", w.chance.next(3), w.chance.next(6), w.text()),
        })
    }

    fn number(&mut self) -> String {
        if self.depth > 3 || self.chance.next(3) == 0 {
            return self.chance.pick(&["0", "1", "7", "-3", "42", "1000000"]).to_owned();
        }
        self.deeper(|w| match w.chance.next(7) {
            0 => format!("(len {})", w.text()),
            1 => format!("({} {} {})", w.chance.pick(&["add", "sub", "mul", "max", "min"]), w.number(), w.number()),
            2 => format!("({} {} {})", w.chance.pick(&["div", "mod"]), w.number(), w.chance.pick(&["1", "3", "5"])),
            3 => format!("(int {})", w.text()),
            4 => format!("(atoi {})", w.text()),
            5 => format!("(len {})", w.list()),
            _ => format!("({} {})", w.chance.pick(&["add1", "int64", "int"]), w.number()),
        })
    }

    fn truth(&mut self) -> String {
        if self.depth > 3 || self.chance.next(4) == 0 {
            return self.chance.pick(&["true", "false"]).to_owned();
        }
        self.deeper(|w| match w.chance.next(7) {
            0 => format!("({} {} {})", w.chance.pick(&["eq", "ne", "lt", "le", "gt", "ge"]), w.text(), w.text()),
            1 => format!("({} {} {})", w.chance.pick(&["eq", "ne", "lt", "le", "gt", "ge"]), w.number(), w.number()),
            2 => format!("({} {} {})", w.chance.pick(&["contains", "hasPrefix", "hasSuffix"]), w.text(), w.text()),
            3 => format!("(not {})", w.truth()),
            4 => format!("({} {} {})", w.chance.pick(&["and", "or"]), w.truth(), w.truth()),
            5 => format!("(empty {})", w.text()),
            _ => format!("(has {} {})", w.text(), w.list()),
        })
    }

    fn list(&mut self) -> String {
        if self.depth > 3 || self.chance.next(3) == 0 {
            return self
                .chance
                .pick(&["(list \"b\" \"a\")", "(splitList \",\" $.list)", "(list 3 1 2)", "(list)"])
                .to_owned();
        }
        self.deeper(|w| match w.chance.next(6) {
            0 => format!("(list {} {})", w.text(), w.number()),
            1 => format!(
                "({} {})",
                w.chance.pick(&["uniq", "reverse", "sortAlpha", "rest", "initial", "compact"]),
                w.list()
            ),
            2 => format!("({} {} {})", w.chance.pick(&["append", "prepend", "without"]), w.list(), w.text()),
            3 => format!("(until {})", w.chance.next(4)),
            4 => format!("(keys {} | sortAlpha)", w.dict()),
            _ => format!("(concat {} {})", w.list(), w.list()),
        })
    }

    fn dict(&mut self) -> String {
        if self.depth > 3 || self.chance.next(2) == 0 {
            return self.chance.pick(&["(dict \"a\" 1 \"b\" \"x\")", "(fromJson $.json)", "(dict)"]).to_owned();
        }
        self.deeper(|w| match w.chance.next(4) {
            0 => format!("(dict \"k\" {} \"n\" {})", w.text(), w.number()),
            1 => format!("({} {} \"a\")", w.chance.pick(&["pick", "omit", "unset"]), w.dict()),
            2 => format!("(set {} \"s\" {})", w.dict(), w.text()),
            _ => format!("(merge {} {})", w.dict(), w.dict()),
        })
    }

    fn action(&mut self) -> String {
        let (open, close) = (self.chance.pick(&["{{", "{{ ", "{{- "]), self.chance.pick(&["}}", " }}", " -}}"]));
        let inside = match self.chance.next(8) {
            0..=2 => self.text(),
            3 => self.number(),
            4 => self.truth(),
            5 => self.list(),
            6 => self.dict(),
            _ => format!(
                "{} | {}",
                self.text(),
                self.chance.pick(&["upper", "quote", "len", "trunc 3", "printf \"%s!\"", "b64enc | b64dec"])
            ),
        };
        format!("{open}{inside}{close}")
    }

    fn block(&mut self) -> String {
        if self.depth > 2 {
            return self.action();
        }
        self.deeper(|w| match w.chance.next(9) {
            0 | 1 => format!("{{{{ if {} }}}}{}{{{{ else }}}}{}{{{{ end }}}}", w.truth(), w.block(), w.block()),
            2 => format!(
                "{{{{ range $i, $v := {} }}}}{{{{ $i }}}}={{{{ $v }}}};{{{{ else }}}}none{{{{ end }}}}",
                w.list()
            ),
            3 => format!("{{{{ range $k, $v := {} }}}}{{{{ $k }}}}:{{{{ $v }}}} {{{{- end }}}}", w.dict()),
            4 => format!(
                "{{{{ with {} }}}}{{{{ . }}}}{{{{ else with {} }}}}<{{{{ . }}}}>{{{{ end }}}}",
                w.text(),
                w.text()
            ),
            5 => format!(
                "{{{{ $x := {} }}}}{{{{ if {} }}}}{{{{ $x = {} }}}}{{{{ end }}}}{{{{ $x }}}}",
                w.text(),
                w.truth(),
                w.text()
            ),
            6 => format!(
                "{{{{ range $i, $v := {} }}}}{{{{ if eq $i 1 }}}}{{{{ {} }}}}{{{{ end }}}}{{{{ $v }}}}{{{{ end }}}}",
                w.list(),
                w.chance.pick(&["break", "continue"])
            ),
            7 => {
                let (name, text) = (w.depth, w.text());
                format!("{{{{ define \"d{name}\" }}}}[{{{{ . }}}}]{{{{ end }}}}{{{{ template \"d{name}\" {text} }}}}")
            }
            _ => format!("a \n {} \n b{{{{/* c */}}}}{}", w.action(), w.action()),
        })
    }
}

fn templates() -> Vec<String> {
    (0..TEMPLATES)
        .map(|seed| {
            let mut writer = Writer { chance: Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), depth: 0 };
            if seed % 2 == 0 { writer.action() } else { writer.block() }
        })
        .collect()
}

/// What Go says to each; `None`, with a line that says so, where there is no Go or its modules cannot be had.
fn by_go(templates: &[String]) -> Option<Vec<serde_json::Value>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/tools/templates");
    let binary = tempfile::tempdir().unwrap();
    let program = binary.path().join("templates");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(folder).output();
    if !built.as_ref().is_ok_and(|built| built.status.success()) {
        println!("SKIP templates by Go: there is no Go, or its modules cannot be had");
        return None;
    }
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let values: std::collections::BTreeMap<_, _> = data().into();
    let lines: String =
        templates.iter().map(|text| format!("{}\n", json!({ "template": text, "data": values }))).collect();
    let mut input = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    Some(String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn by_us(text: &str) -> Result<String, String> {
    let dot = Value::strings(data().map(|(key, value)| (key.to_owned(), Text::from(value))));
    let template = Template::parse("t", text).map_err(|error| error.to_string())?;
    let rendered = template.render(&dot, Limits::default()).map_err(|error| error.to_string())?;
    Ok(rendered.expose_str().into_owned())
}

#[test]
fn generated_templates_render_as_in_go() {
    let templates = templates();
    let Some(answers) = by_go(&templates) else { return };
    assert_eq!(answers.len(), templates.len());
    let mut differing = Vec::new();
    let mut failing = 0;
    for (text, answer) in templates.iter().zip(&answers) {
        let wanted = match answer["error"].as_str() {
            Some(_) => Err(()),
            None => Ok(answer["output"].as_str().unwrap().to_owned()),
        };
        failing += usize::from(wanted.is_err());
        let got = by_us(text);
        if got.clone().map_err(|_| ()) != wanted {
            differing.push(format!("{text}\n  Go  {answer}\n  ours {got:?}"));
        }
    }
    println!("{} of {} as in Go, of which {failing} fail in both", templates.len() - differing.len(), templates.len());
    assert!(failing < templates.len() / 2, "most of them are to mean something");
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing[..differing.len().min(25)].join("\n"));
}
