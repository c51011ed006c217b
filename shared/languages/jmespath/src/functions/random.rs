//! Kyverno's `random`: a text that matches a regular expression, from the context's random source.

use super::{Arguments, Function, Outcome, TEXT, function};
use crate::error::EvalError;

pub(super) const FUNCTIONS: &[Function] = &[function("random", &[TEXT], random)];

/// Repetitions that have no upper bound stop here.
const UNBOUNDED: u32 = 64;
/// Longest text that is made, in characters.
const MAX_LENGTH: usize = 4096;
const MAX_DEPTH: u32 = 32;

fn random<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let pattern = arguments.text(0);
    if pattern.is_empty() {
        return Err(arguments.fail("no pattern provided"));
    }
    let mut generator = Generator { arguments: &arguments, rest: pattern, depth: 0 };
    let mut out = String::new();
    let alternatives = generator.alternatives()?;
    if !generator.rest.is_empty() {
        return Err(arguments.fail("unexpected )"));
    }
    generator.emit(&alternatives, &mut out)?;
    arguments.produce(out)
}

/// Part of a pattern, as far as texts are generated from it.
enum Part {
    One(Vec<(u32, u32)>),
    Group(Vec<Vec<(Part, u32, u32)>>),
    Nothing,
}

type Alternatives = Vec<Vec<(Part, u32, u32)>>;

struct Generator<'g, 'e, 'a> {
    arguments: &'g Arguments<'e, 'a>,
    rest: &'g str,
    depth: u32,
}

impl Generator<'_, '_, '_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    fn fail(&self, what: &str) -> EvalError {
        self.arguments.fail(format!("error parsing regexp: {what}"))
    }

    /// Alternatives up to a closing parenthesis or the end.
    fn alternatives(&mut self) -> Result<Alternatives, EvalError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fail("nested too deep"));
        }
        let mut alternatives = vec![Vec::new()];
        while let Some(c) = self.rest.chars().next().filter(|c| *c != ')') {
            self.next();
            if c == '|' {
                alternatives.push(Vec::new());
                continue;
            }
            let part = self.part(c)?;
            let (least, most) = self.count()?;
            if let Some(last) = alternatives.last_mut() {
                last.push((part, least, most));
            }
        }
        self.depth -= 1;
        Ok(alternatives)
    }

    fn part(&mut self, c: char) -> Result<Part, EvalError> {
        match c {
            '^' | '$' => Ok(Part::Nothing),
            '.' => Ok(Part::One(vec![(0x20, 0x7e)])),
            '[' => self.class(),
            '\\' => self.next().map(|c| Part::One(escape(c))).ok_or_else(|| self.fail("trailing backslash")),
            '(' => {
                if let Some(rest) = self.rest.strip_prefix("?:") {
                    self.rest = rest;
                }
                let inner = self.alternatives()?;
                if self.next() != Some(')') {
                    return Err(self.fail("missing closing )"));
                }
                Ok(Part::Group(inner))
            }
            '*' | '+' | '?' => Err(self.fail("missing argument to repetition operator")),
            c => Ok(Part::One(vec![(c.into(), c.into())])),
        }
    }

    fn count(&mut self) -> Result<(u32, u32), EvalError> {
        let count = match self.rest.chars().next() {
            Some('*') => (0, UNBOUNDED),
            Some('+') => (1, UNBOUNDED),
            Some('?') => (0, 1),
            Some('{') => {
                let (inner, rest) = self.rest.split_once('}').ok_or_else(|| self.fail("missing closing }"))?;
                let inner = inner.trim_start_matches('{');
                self.rest = rest;
                let (least, most) =
                    inner.split_once(',').map_or((inner, Some(inner)), |(least, most)| (least, Some(most)));
                let number = |text: &str| text.parse::<u32>().ok().filter(|count| *count <= 1000);
                let least = number(least).ok_or_else(|| self.fail("invalid repeat count"))?;
                let most = most.and_then(number).unwrap_or(least.max(UNBOUNDED));
                return Ok((least, most.max(least)));
            }
            _ => return Ok((1, 1)),
        };
        self.next();
        Ok(count)
    }

    fn class(&mut self) -> Result<Part, EvalError> {
        let negated = self.rest.starts_with('^');
        if negated {
            self.next();
        }
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let mut first = true;
        loop {
            let c = self.next().ok_or_else(|| self.fail("missing closing ]"))?;
            match c {
                ']' if !first => break,
                '\\' => ranges.extend(self.next().map(escape).unwrap_or_default()),
                '-' if !first && !self.rest.starts_with(']') => {
                    let end = self.next().map_or(0, u32::from);
                    if let Some(last) = ranges.last_mut() {
                        last.1 = end.max(last.1);
                    }
                }
                c => ranges.push((c.into(), c.into())),
            }
            first = false;
        }
        if negated {
            let printable = 0x20_u32..=0x7e;
            let outside = |code: &u32| !ranges.iter().any(|(low, high)| (low..=high).contains(&code));
            ranges = printable.filter(outside).map(|code| (code, code)).collect();
        }
        if ranges.is_empty() { Err(self.fail("empty character class")) } else { Ok(Part::One(ranges)) }
    }

    /// A number below `bound`.
    fn below(&self, bound: u64) -> Result<u64, EvalError> {
        let random = self.arguments.evaluation.context.next_random();
        Ok(random.ok_or_else(|| self.arguments.unavailable("a random source"))? % bound.max(1))
    }

    fn emit(&self, alternatives: &Alternatives, out: &mut String) -> Result<(), EvalError> {
        let chosen = usize::try_from(self.below(alternatives.len() as u64)?).unwrap_or(0);
        for (part, least, most) in alternatives.get(chosen).into_iter().flatten() {
            let count = u64::from(*least) + self.below(u64::from(most - least) + 1)?;
            for _ in 0..count {
                self.arguments.evaluation.charge(1)?;
                if out.len() > MAX_LENGTH {
                    return Err(self.arguments.fail("the generated text is too long"));
                }
                match part {
                    Part::Nothing => {}
                    Part::Group(inner) => self.emit(inner, out)?,
                    Part::One(ranges) => out.push(self.pick(ranges)?),
                }
            }
        }
        Ok(())
    }

    fn pick(&self, ranges: &[(u32, u32)]) -> Result<char, EvalError> {
        let size = |(low, high): &(u32, u32)| u64::from(high - low) + 1;
        let mut at = self.below(ranges.iter().map(size).sum())?;
        for range in ranges {
            if at < size(range) {
                let code = range.0.saturating_add(u32::try_from(at).unwrap_or(0));
                return Ok(char::from_u32(code).unwrap_or('?'));
            }
            at -= size(range);
        }
        Ok('?')
    }
}

fn escape(c: char) -> Vec<(u32, u32)> {
    let range = |low: char, high: char| (u32::from(low), u32::from(high));
    match c {
        'd' => vec![range('0', '9')],
        'w' => vec![range('0', '9'), range('A', 'Z'), range('a', 'z'), range('_', '_')],
        's' => vec![range(' ', ' ')],
        'n' => vec![range('\n', '\n')],
        't' => vec![range('\t', '\t')],
        c => vec![range(c, c)],
    }
}
