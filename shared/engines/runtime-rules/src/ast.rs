//! Conditions as written: names are still names.

use std::fmt;

use crate::escape::quoted;

/// A condition as a tree. Its `Display` is a condition that parses to the same tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All of these; at least two.
    And(Vec<Condition>),
    /// Any of these; at least two.
    Or(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
    /// A macro by name.
    Macro(String),
    /// The left side has a value.
    Exists(Operand),
    /// A comparison.
    Compare {
        /// Left side.
        left: Operand,
        /// Operator as written; `==` is kept as `=`.
        operator: Operator,
        /// Right side.
        right: Right,
    },
}

/// A side of a comparison that has to be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A field with its argument.
    Field(FieldName),
    /// A transformer of other operands.
    Transform {
        /// `tolower`, `toupper`, `b64`, `basename`, `len`, `join`, `concat`, `getopt`.
        name: String,
        /// What it is applied to.
        arguments: Vec<Argument>,
        /// Argument in brackets, for `getopt`.
        index: Option<String>,
    },
}

/// One argument of a transformer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// An operand.
    Operand(Operand),
    /// A text.
    Text(String),
    /// A list of arguments.
    List(Vec<Argument>),
}

/// A field as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName {
    /// `proc.aname`
    pub name: String,
    /// What stands in brackets.
    pub argument: Option<String>,
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// A constant.
    Text(String),
    /// A list of constants.
    List(Vec<String>),
    /// A list with a word that says how many must hold.
    Quantified(Quantifier, Vec<String>),
    /// Another operand.
    Operand(Operand),
}

/// How many of a list must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the words of the language")]
pub enum Quantifier {
    /// Exactly as `anyof`.
    OneOf,
    /// At least one.
    AnyOf,
    /// Every one.
    AllOf,
}

impl Quantifier {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneOf => "oneof",
            Self::AnyOf => "anyof",
            Self::AllOf => "allof",
        }
    }
}

macro_rules! operators {
    ($($name:ident = $text:literal,)*) => {
        /// A comparison operator.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is its text")]
        pub enum Operator { $($name,)* }

        impl Operator {
            /// Every operator.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it is written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

operators! {
    Equal = "=", NotEqual = "!=", Less = "<", LessOrEqual = "<=", Greater = ">", GreaterOrEqual = ">=",
    Contains = "contains", IContains = "icontains", BContains = "bcontains",
    StartsWith = "startswith", BStartsWith = "bstartswith", EndsWith = "endswith",
    Glob = "glob", IGlob = "iglob", Regex = "regex",
    In = "in", Intersects = "intersects", PMatch = "pmatch",
}

impl Operator {
    /// Whether it takes a list.
    #[must_use]
    pub fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Intersects | Self::PMatch)
    }

    /// Whether it compares numbers only.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(children) => group(f, children, " and "),
            Self::Or(children) => group(f, children, " or "),
            // Two of them side by side would cancel when read back.
            Self::Not(child) if matches!(**child, Self::Not(_)) => write!(f, "not ({child})"),
            // Two `not` in a row would be read as none.
            Self::Not(child) if matches!(**child, Self::Not(_)) => write!(f, "not ({child})"),
            Self::Not(child) => write!(f, "not {child}"),
            Self::Macro(name) => f.write_str(name),
            Self::Exists(left) => write!(f, "{left} exists"),
            Self::Compare { left, operator, right } => write!(f, "{left} {} {right}", operator.as_str()),
        }
    }
}

fn group(f: &mut fmt::Formatter<'_>, children: &[Condition], separator: &str) -> fmt::Result {
    f.write_str("(")?;
    for (place, child) in children.iter().enumerate() {
        if place > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{child}")?;
    }
    f.write_str(")")
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => field.fmt(f),
            Self::Transform { name, arguments, index } => {
                write!(f, "{name}(")?;
                list(f, arguments)?;
                f.write_str(")")?;
                index.as_ref().map_or(Ok(()), |index| write!(f, "[{}]", quoted(index)))
            }
        }
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operand(operand) => operand.fmt(f),
            Self::Text(text) => write!(f, "\"{}\"", crate::escape::escaped(text)),
            Self::List(items) => {
                f.write_str("(")?;
                list(f, items)?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.argument.as_ref().map_or(Ok(()), |argument| write!(f, "[{}]", quoted(argument)))
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = |items: &[String]| items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ");
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::List(list) => write!(f, "({})", items(list)),
            Self::Quantified(quantifier, list) => write!(f, "{} ({})", quantifier.as_str(), items(list)),
            Self::Operand(Operand::Field(field)) => write!(f, "val({field})"),
            Self::Operand(operand) => operand.fmt(f),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, arguments: &[Argument]) -> fmt::Result {
    for (place, argument) in arguments.iter().enumerate() {
        if place > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{argument}")?;
    }
    Ok(())
}
