//! What operators and functions take, and what they give: a line for each, with a letter for each type.
//!
//! `s.si>l` takes a receiver that is a string, a string and an int, and gives a list. Functions without a line take anything.

use crate::ast::Operator;
use crate::types::Type;

/// The overloads of a function, apart by spaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature(&'static str);

/// `operand[index]`.
pub(crate) const INDEX: Signature = Signature("li>d md>d");
/// `-operand`.
pub(crate) const NEGATE: Signature = Signature("i>i f>f");
/// Comparisons; numbers of different types compare.
const ORDER: Signature = Signature("bb>b ii>b uu>b ff>b iu>b ui>b if>b fi>b uf>b fu>b ss>b yy>b tt>b DD>b");

/// The name of an operator, and what it takes; `None` where the two sides have to be of one type.
pub(crate) fn of_operator(operator: Operator) -> (&'static str, Option<Signature>) {
    match operator {
        Operator::Add => ("_+_", Some(Signature("ii>i uu>u ff>f ss>s yy>y ll>l tD>t Dt>t DD>D"))),
        Operator::Subtract => ("_-_", Some(Signature("ii>i uu>u ff>f tt>D tD>t DD>D"))),
        Operator::Multiply => ("_*_", Some(Signature("ii>i uu>u ff>f"))),
        Operator::Divide => ("_/_", Some(Signature("ii>i uu>u ff>f"))),
        Operator::Modulo => ("_%_", Some(Signature("ii>i uu>u"))),
        Operator::Equal => ("_==_", None),
        Operator::NotEqual => ("_!=_", None),
        Operator::Less => ("_<_", Some(ORDER)),
        Operator::LessOrEqual => ("_<=_", Some(ORDER)),
        Operator::Greater => ("_>_", Some(ORDER)),
        Operator::GreaterOrEqual => ("_>=_", Some(ORDER)),
        Operator::In => ("@in", Some(Signature("dl>b dm>b"))),
    }
}

/// What a function takes, where that is known.
pub(crate) fn of_function(name: &str) -> Option<Signature> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, signature)| Signature(signature))
}

impl Signature {
    /// What the overloads give that may take values of these types.
    pub(crate) fn results<'t>(
        self,
        receiver: Option<Type>,
        arguments: &'t [Type],
    ) -> impl Iterator<Item = Type> + use<'t> {
        self.0.split(' ').filter_map(move |overload| {
            let (takes, gives) = overload.split_once('>')?;
            let (own, parameters) = match takes.split_once('.') {
                Some((own, parameters)) => (own.chars().next().map(letter), parameters),
                None => (None, takes),
            };
            let is_own = match (own, receiver) {
                (Some(own), Some(receiver)) => own.may_be(receiver),
                (own, receiver) => own.is_none() && receiver.is_none(),
            };
            let fits = parameters.chars().count() == arguments.len()
                && parameters.chars().zip(arguments).all(|(one, known)| letter(one).may_be(*known));
            (is_own && fits).then(|| gives.chars().next().map(letter)).flatten()
        })
    }
}

fn letter(letter: char) -> Type {
    match letter {
        'b' => Type::Bool,
        'i' => Type::Int,
        'u' => Type::Uint,
        'f' => Type::Double,
        's' => Type::Text,
        'y' => Type::Bytes,
        'l' => Type::List,
        'm' => Type::Map,
        't' => Type::Timestamp,
        'D' => Type::Duration,
        _ => Type::Dyn,
    }
}

const FUNCTIONS: &[(&str, &str)] = &[
    ("size", "s>i y>i l>i m>i s.>i y.>i l.>i m.>i"),
    ("int", "i>i u>i f>i s>i t>i D>i"),
    ("uint", "u>u i>u f>u s>u"),
    ("double", "f>f i>f u>f s>f"),
    ("string", "s>s b>s i>s u>s f>s y>s t>s D>s"),
    ("bytes", "y>y s>y"),
    ("bool", "b>b s>b"),
    ("dyn", "d>d"),
    ("type", "d>d"),
    ("timestamp", "t>t i>t s>t"),
    ("duration", "D>D i>D s>D"),
    ("contains", "s.s>b"),
    ("startsWith", "s.s>b"),
    ("endsWith", "s.s>b"),
    ("matches", "s.s>b ss>b"),
    ("charAt", "s.i>s"),
    ("indexOf", "s.s>i s.si>i l.d>i"),
    ("lastIndexOf", "s.s>i s.si>i l.d>i"),
    ("join", "l.>s l.s>s"),
    ("replace", "s.ss>s s.ssi>s"),
    ("split", "s.s>l s.si>l"),
    ("substring", "s.i>s s.ii>s"),
    ("trim", "s.>s"),
    ("lowerAscii", "s.>s"),
    ("upperAscii", "s.>s"),
    ("reverse", "s.>s l.>l"),
    ("format", "s.l>s"),
    ("strings.quote", "s>s"),
    ("base64.encode", "y>s s>s"),
    ("base64.decode", "s>y"),
    ("find", "s.s>s"),
    ("findAll", "s.s>l s.si>l"),
    ("isSorted", "l.>b"),
    ("distinct", "l.>l"),
    ("sort", "l.>l"),
    ("slice", "l.ii>l"),
    ("flatten", "l.>l l.i>l"),
    ("sets.contains", "ll>b"),
    ("sets.equivalent", "ll>b"),
    ("sets.intersects", "ll>b"),
    ("isQuantity", "s>b"),
    ("isURL", "s>b"),
    ("isIP", "s>b"),
    ("isCIDR", "s>b"),
];
