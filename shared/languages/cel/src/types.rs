//! What types tell about an expression before it runs: operators and functions that take no such values.
//!
//! Variables are of any type, and so is all that comes of them; literals, operators and most functions are not. Only what
//! must fail is told.

use crate::ast::{Bind, Call, Comprehension, Kind, Literal, Loop, Node, Operator};
use crate::check::Declarations;
use crate::error::CompileError;
use crate::parser::qualified;
use crate::signatures::{self, Signature};

/// The type of a value, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Any type.
    Dyn,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List,
    Map,
    Timestamp,
    Duration,
}

impl Type {
    /// The name in the language.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dyn => "dyn",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
        }
    }

    /// Whether a value of the type may be one of another.
    pub(crate) fn may_be(self, other: Self) -> bool {
        self == other || self == Self::Dyn || other == Self::Dyn
    }
}

/// The type of an expression, whose names are all declared.
pub(crate) fn infer(text: &str, root: &Node, declarations: &Declarations<'_>) -> Result<Type, CompileError> {
    Inference { text, declarations, locals: Vec::new() }.node(root)
}

struct Inference<'c> {
    text: &'c str,
    declarations: &'c Declarations<'c>,
    locals: Vec<(&'c str, Type)>,
}

type Inferred = Result<Type, CompileError>;

impl<'c> Inference<'c> {
    fn refuse<T>(&self, at: usize, what: String) -> Result<T, CompileError> {
        Err(CompileError::new(self.text, at, what))
    }

    fn no_overload(&self, at: usize, function: &str, types: &[Type]) -> Inferred {
        let names: Vec<&str> = types.iter().map(|known| known.name()).collect();
        let what = format!("found no matching overload for '{function}' applied to '({})'", names.join(", "));
        self.refuse(at, what)
    }

    fn node(&mut self, node: &'c Node) -> Inferred {
        Ok(match &node.kind {
            Kind::Literal(literal) => of_literal(literal),
            Kind::Identifier(name) => {
                self.locals.iter().rev().find(|(local, _)| local == name).map_or(Type::Dyn, |(_, known)| *known)
            }
            Kind::Select(select) => {
                self.field(&select.operand)?;
                Type::Dyn
            }
            Kind::Has(select) => {
                self.field(&select.operand)?;
                Type::Bool
            }
            Kind::Index(index) => {
                let (operand, at) = (self.node(&index.operand)?, self.node(&index.index)?);
                self.apply((node.at, "_[_]"), signatures::INDEX, None, &[operand, at])?
            }
            Kind::List(elements) => {
                elements.iter().try_for_each(|element| self.node(&element.value).map(drop))?;
                Type::List
            }
            Kind::Map(entries) => {
                entries
                    .iter()
                    .flat_map(|entry| [&entry.key, &entry.value])
                    .try_for_each(|one| self.node(one).map(drop))?;
                Type::Map
            }
            Kind::Struct(structure) => {
                structure.fields.iter().try_for_each(|(_, field)| self.node(&field.value).map(drop))?;
                Type::Dyn
            }
            Kind::And(nodes) => self.truths("_&&_", nodes)?,
            Kind::Or(nodes) => self.truths("_||_", nodes)?,
            Kind::Not(inner) => self.truths("!_", std::slice::from_ref(&**inner))?,
            Kind::Negate(inner) => {
                let inner = self.node(inner)?;
                self.apply((node.at, "-_"), signatures::NEGATE, None, &[inner])?
            }
            Kind::Binary(operator, sides) => self.binary(node.at, *operator, sides)?,
            Kind::Conditional(parts) => self.conditional(node.at, parts)?,
            Kind::Comprehension(parts) => self.comprehension(parts)?,
            Kind::Bind(bind) => {
                let value = self.node(&bind.value)?;
                self.within(bind, value)?
            }
            Kind::OptionalMap(bind, _) => {
                self.node(&bind.value)?;
                self.within(bind, Type::Dyn)?;
                Type::Dyn
            }
            Kind::Call(call) => self.call(call, node.at)?,
        })
    }

    fn within(&mut self, bind: &'c Bind, value: Type) -> Inferred {
        self.locals.push((&bind.name, value));
        let body = self.node(&bind.body);
        self.locals.pop();
        body
    }

    /// What a field is asked of.
    fn field(&mut self, operand: &'c Node) -> Result<(), CompileError> {
        match self.node(operand)? {
            Type::Dyn | Type::Map => Ok(()),
            other => self.refuse(operand.at, format!("type '{}' does not support field selection", other.name())),
        }
    }

    fn truths(&mut self, operator: &str, nodes: &'c [Node]) -> Inferred {
        for node in nodes {
            self.truth(operator, node)?;
        }
        Ok(Type::Bool)
    }

    fn truth(&mut self, operator: &str, node: &'c Node) -> Inferred {
        match self.node(node)? {
            Type::Bool | Type::Dyn => Ok(Type::Bool),
            other => self.no_overload(node.at, operator, &[other]),
        }
    }

    fn binary(&mut self, at: usize, operator: Operator, sides: &'c (Node, Node)) -> Inferred {
        let types = [self.node(&sides.0)?, self.node(&sides.1)?];
        let (name, signature) = signatures::of_operator(operator);
        match signature {
            Some(signature) => self.apply((at, name), signature, None, &types),
            None if types[0].may_be(types[1]) => Ok(Type::Bool),
            None => self.no_overload(at, name, &types),
        }
    }

    fn conditional(&mut self, at: usize, parts: &'c [Node; 3]) -> Inferred {
        let [condition, then, other] = parts;
        self.truth("_?_:_", condition)?;
        let (then, other) = (self.node(then)?, self.node(other)?);
        if !then.may_be(other) {
            return self.no_overload(at, "_?_:_", &[Type::Bool, then, other]);
        }
        Ok(if then == other { then } else { Type::Dyn })
    }

    fn comprehension(&mut self, parts: &'c Comprehension) -> Inferred {
        match self.node(&parts.range)? {
            Type::List | Type::Map | Type::Dyn => {}
            other => {
                let what = format!("expression of type '{}' cannot be the range of a loop", other.name());
                return self.refuse(parts.range.at, format!("{what} (must be list, map, or dynamic)"));
            }
        }
        let depth = self.locals.len();
        self.locals.push((&parts.first, Type::Dyn));
        self.locals.extend(parts.second.as_deref().map(|second| (second, Type::Dyn)));
        if let Some(filter) = &parts.filter {
            self.truth("_?_:_", filter)?;
        }
        let known = match parts.kind {
            Loop::All => self.truth("_&&_", &parts.body)?,
            Loop::Exists => self.truth("_||_", &parts.body)?,
            Loop::ExistsOne => self.truth("_?_:_", &parts.body)?,
            Loop::Filter => self.truth("_?_:_", &parts.body).map(|_| Type::List)?,
            Loop::Map | Loop::TransformList | Loop::SortBy => self.node(&parts.body).map(|_| Type::List)?,
            Loop::TransformMap | Loop::TransformMapEntry => self.node(&parts.body).map(|_| Type::Map)?,
        };
        self.locals.truncate(depth);
        Ok(known)
    }

    fn call(&mut self, call: &'c Call, at: usize) -> Inferred {
        let declared = |name: &str| self.declarations.functions.contains(&name);
        let full = call.receiver.as_ref().and_then(qualified).map(|prefix| format!("{prefix}.{}", call.name));
        let is_namespaced = full.as_deref().is_some_and(declared);
        // What the host declares takes what it likes.
        let is_host = is_namespaced || call.function.is_none() || declared(&call.name);
        let receiver = match &call.receiver {
            Some(receiver) if !is_namespaced => Some(self.node(receiver)?),
            _ => None,
        };
        let arguments = call.arguments.iter().map(|argument| self.node(argument)).collect::<Result<Vec<_>, _>>()?;
        match signatures::of_function(&call.name) {
            Some(signature) if !is_host => self.apply((at, &call.name), signature, receiver, &arguments),
            _ => Ok(Type::Dyn),
        }
    }

    /// What comes of a function applied to values of these types.
    fn apply(
        &self,
        (at, name): (usize, &str),
        signature: Signature,
        receiver: Option<Type>,
        arguments: &[Type],
    ) -> Inferred {
        let mut results = signature.results(receiver, arguments);
        let Some(first) = results.next() else {
            let all: Vec<Type> = receiver.into_iter().chain(arguments.iter().copied()).collect();
            return self.no_overload(at, name, &all);
        };
        Ok(if results.all(|other| other == first) { first } else { Type::Dyn })
    }
}

fn of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Dyn,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::Text(_) => Type::Text,
        Literal::Bytes(_) => Type::Bytes,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Declarations, Output, Program};

    fn declarations() -> Declarations<'static> {
        Declarations { variables: vec!["object", "variables"], functions: vec!["host", "generator.apply", "find"] }
    }

    #[test]
    fn what_must_fail_is_told_with_its_place() {
        for (text, column, expected) in [
            ("1 + 'a'", 3, "'_+_' applied to '(int, string)'"),
            ("object.x == 1 && ('a' && true)", 19, "'_&&_' applied to '(string)'"),
            ("!size(object)", 2, "'!_' applied to '(int)'"),
            ("-'a'", 1, "'-_' applied to '(string)'"),
            ("-1u", 1, "'-_' applied to '(uint)'"),
            ("size(1)", 1, "'size' applied to '(int)'"),
            ("size('a', 'b')", 1, "'size' applied to '(string, string)'"),
            ("'a'.startsWith()", 4, "'startsWith' applied to '(string)'"),
            ("object.name.startsWith(1)", 12, "'startsWith' applied to '(dyn, int)'"),
            ("true + object.x", 6, "'_+_' applied to '(bool, dyn)'"),
            ("1 == 'a'", 3, "'_==_' applied to '(int, string)'"),
            ("size(object) != '3'", 14, "'_!=_' applied to '(int, string)'"),
            ("[1] < [2]", 5, "'_<_' applied to '(list, list)'"),
            ("1 < '2'", 3, "'_<_' applied to '(int, string)'"),
            ("'a' in 'abc'", 5, "'@in' applied to '(string, string)'"),
            ("object.x ? 1 : 'a'", 7, "'_?_:_' applied to '(bool, int, string)'"),
            ("1 ? 2 : 3", 1, "'_?_:_' applied to '(int)'"),
            ("[1, 2].all(x, 1)", 15, "'_&&_' applied to '(int)'"),
            ("object.list.filter(x, 'a')", 23, "'_?_:_' applied to '(string)'"),
            ("'abc'.all(x, true)", 1, "type 'string' cannot be the range of a loop"),
            ("'abc'.name", 1, "type 'string' does not support field selection"),
            ("has([1].x)", 5, "type 'list' does not support field selection"),
            ("'abc'[0]", 6, "'_[_]' applied to '(string, int)'"),
            ("[1]['a']", 4, "'_[_]' applied to '(list, string)'"),
            ("cel.bind(x, 1, x + 'a')", 18, "'_+_' applied to '(int, string)'"),
            ("'a'.split(',').size() + 1.5", 23, "'_+_' applied to '(int, double)'"),
            ("timestamp('2026-01-01T00:00:00Z') + 1", 35, "'_+_' applied to '(timestamp, int)'"),
            ("int([1])", 1, "'int' applied to '(list)'"),
            ("{'a': 1}.a.map(x, x + true)", 21, "'_+_' applied to '(dyn, bool)'"),
        ] {
            let error = Program::compile(text).unwrap().check(&declarations()).unwrap_err();
            assert!(error.what.contains(expected), "{text}: {}", error.what);
            assert_eq!(error.column, column, "{text}");
        }
    }

    #[test]
    fn what_may_work_is_let_through() {
        for text in [
            "object.x + 'a' == object.y",
            "object.a && variables.b || !object.c",
            "null == 'a' || object.x == null",
            "1 < 2.5 && 2u > 1 && timestamp('2026-01-01T00:00:00Z') - duration('1h') < timestamp(object.t)",
            "(object.x ? 1 : object.y) + 1",
            "dyn(1) + dyn('a') == 1",
            "host(1, 'a').whatever + 1",
            "generator.apply(1, 2)",
            "object.find(7)",
            "object.list.map(x, x.y).filter(y, y)[0] + 1",
            "object.?a.?b.orValue('x') + 'y'",
            "object.a.optMap(v, v + 1).orValue(2) == 3",
            "[1, 'a', null].exists(x, x == 1) && 'a' in {'a': 1} && 1 in [1]",
            "quantity('1Gi').isGreaterThan(quantity(object.x))",
            "object.x.substring(1).lowerAscii() + string(object.y) == 'z'",
            "type(object.x) == string",
            "{'a': 1}.a + 1 == 2",
            "[1][0] + 'x' == 'y'",
            "'%s'.format([object.x]) != ''",
            "-1 < 0 && -(1.5) < 0.0",
        ] {
            Program::compile(text)
                .unwrap()
                .check(&declarations())
                .unwrap_or_else(|error| panic!("{text}: {}", error.what));
        }
    }

    #[test]
    fn the_whole_must_be_what_is_asked_for() {
        let check = |text: &str, output: Output| {
            Program::compile(text).unwrap().check_as(&declarations(), output).map_err(|error| error.what)
        };
        assert_eq!(
            check("'a' + 'b'", Output::Bool).unwrap_err(),
            "the expression gives a string, and must give a bool"
        );
        assert!(check("size(object)", Output::Text).is_err());
        for text in ["object.x", "true", "variables.a.orValue(false)", "object.x ? true : object.y", "null"] {
            check(text, Output::Bool).unwrap();
        }
        check("'a'", Output::Text).unwrap();
        check("1", Output::Any).unwrap();
    }
}
