//! Macros: named conditions, put into other conditions as trees.

use std::collections::{HashMap, VecDeque};

use crate::ast::Condition;
use crate::collect::Named;
use crate::items::MacroItem;

/// Macros with the macros in them expanded.
#[derive(Debug, Default)]
pub(crate) struct Macros {
    trees: HashMap<String, (Condition, usize)>,
    max_comparisons: usize,
}

/// A macro that cannot be expanded.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) what: String,
    /// The macros that lead back to this one, which begins and ends them; empty when none do.
    pub(crate) circle: Vec<String>,
}

/// Conditions within conditions through macros, at most.
const MAX_DEPTH: usize = 600;

impl Macros {
    /// Expands every macro. One sees those that were defined before its own last change. Returns those that cannot be expanded too.
    pub(crate) fn resolve(
        items: &Named<MacroItem>,
        parsed: HashMap<String, Result<Condition, String>>,
        max_comparisons: usize,
    ) -> (Self, Vec<Failed>) {
        let mut expansion = Expansion { items, parsed, done: HashMap::new(), path: Vec::new(), max: max_comparisons };
        let mut failed = Vec::new();
        for item in items.all() {
            if let Err(what) = expansion.macro_tree(&item.item.name, 0) {
                let (name, circle) = (item.item.name.clone(), expansion.circle(&item.item.name));
                failed.push(Failed { name, what, circle });
            }
        }
        let trees = expansion.done.into_iter().filter_map(|(name, result)| Some((name, result.ok()?))).collect();
        (Self { trees, max_comparisons }, failed)
    }

    /// Puts the macros into a condition.
    pub(crate) fn expand(&self, tree: Condition) -> Result<Condition, String> {
        let mut budget = self.max_comparisons;
        let tree = replace(tree, 0, &mut |name| {
            let (tree, size) = self.trees.get(name).ok_or_else(|| undefined(name))?;
            budget = budget.checked_sub(*size).ok_or_else(|| too_many(self.max_comparisons))?;
            Ok(tree.clone())
        })?;
        sized(&tree, self.max_comparisons)?;
        Ok(tree)
    }
}

struct Expansion<'a> {
    items: &'a Named<MacroItem>,
    parsed: HashMap<String, Result<Condition, String>>,
    done: HashMap<String, Result<(Condition, usize), String>>,
    path: Vec<String>,
    max: usize,
}

impl Expansion<'_> {
    fn macro_tree(&mut self, name: &str, depth: usize) -> Result<(Condition, usize), String> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        if depth > MAX_MACRO_DEPTH {
            return Err("macros are nested too deep".to_owned());
        }
        if self.path.iter().any(|known| known == name) {
            return Err(format!("reference loop in macro '{name}'"));
        }
        let tree = self.parsed.get(name).cloned().unwrap_or_else(|| Err(undefined(name)))?;
        self.path.push(name.to_owned());
        let result = self.expanded(name, tree, depth);
        self.path.pop();
        self.done.insert(name.to_owned(), result.clone());
        result
    }

    fn expanded(&mut self, name: &str, tree: Condition, depth: usize) -> Result<(Condition, usize), String> {
        let visibility = self.items.get(name).map_or(0, |item| item.visibility);
        let mut budget = self.max;
        let tree = replace(tree, 0, &mut |inner| {
            let is_visible = self.items.get(inner).is_some_and(|item| item.index < visibility);
            if !is_visible {
                // A macro that names itself is a loop, also where it is defined for the first time.
                let is_loop = inner == name;
                return Err(if is_loop { format!("reference loop in macro '{name}'") } else { undefined(inner) });
            }
            let (tree, size) = self.macro_tree(inner, depth + 1)?;
            budget = budget.checked_sub(size).ok_or_else(|| too_many(self.max))?;
            Ok(tree)
        })?;
        let size = sized(&tree, self.max)?;
        Ok((tree, size))
    }

    /// The shortest way from a macro back to itself, whether the macros on it see each other or not.
    fn circle(&self, start: &str) -> Vec<String> {
        let mut came_from: HashMap<&str, &str> = HashMap::new();
        let mut waiting = VecDeque::from([start]);
        while let Some(at) = waiting.pop_front().filter(|_| came_from.len() < LONGEST_CIRCLE) {
            let mut inner = Vec::new();
            self.parsed.get(at).into_iter().flatten().for_each(|tree| macros_in(tree, &mut inner));
            if inner.contains(&start) {
                let back = std::iter::successors(Some(at), |at| came_from.get(at).copied());
                let mut circle: Vec<String> = std::iter::once(start).chain(back).map(str::to_owned).collect();
                circle.reverse();
                return circle;
            }
            for name in inner {
                if let std::collections::hash_map::Entry::Vacant(place) = came_from.entry(name) {
                    place.insert(at);
                    waiting.push_back(name);
                }
            }
        }
        Vec::new()
    }
}

/// The macros that a condition names.
fn macros_in<'a>(tree: &'a Condition, found: &mut Vec<&'a str>) {
    match tree {
        Condition::And(children) | Condition::Or(children) => {
            children.iter().for_each(|child| macros_in(child, found));
        }
        Condition::Not(child) => macros_in(child, found),
        Condition::Macro(name) => found.push(name),
        Condition::Exists(_) | Condition::Compare { .. } => {}
    }
}

/// Replaces macros by what `find` gives for their names.
fn replace(
    tree: Condition,
    depth: usize,
    find: &mut dyn FnMut(&str) -> Result<Condition, String>,
) -> Result<Condition, String> {
    if depth > MAX_DEPTH {
        return Err("condition is nested too deep".to_owned());
    }
    Ok(match tree {
        Condition::And(children) => Condition::And(replace_all(children, depth, find)?),
        Condition::Or(children) => Condition::Or(replace_all(children, depth, find)?),
        Condition::Not(child) => Condition::Not(Box::new(replace(*child, depth + 1, find)?)),
        Condition::Macro(name) => find(&name)?,
        other @ (Condition::Exists(_) | Condition::Compare { .. }) => other,
    })
}

fn replace_all(
    children: Vec<Condition>,
    depth: usize,
    find: &mut dyn FnMut(&str) -> Result<Condition, String>,
) -> Result<Vec<Condition>, String> {
    children.into_iter().map(|child| replace(child, depth + 1, find)).collect()
}

/// How many comparisons a condition has, when neither they nor its depth are too many.
fn sized(condition: &Condition, max: usize) -> Result<usize, String> {
    let (size, depth) = shape(condition);
    if size > max {
        return Err(too_many(max));
    }
    if depth > MAX_DEPTH { Err("condition is nested too deep".to_owned()) } else { Ok(size) }
}

/// Comparisons and depth. The parts of a condition are bounded in depth before they are put together.
fn shape(condition: &Condition) -> (usize, usize) {
    let (size, depth) = match condition {
        Condition::And(children) | Condition::Or(children) => {
            children.iter().map(shape).fold((0, 0), |(size, depth), (more, deep)| (size + more, depth.max(deep)))
        }
        Condition::Not(child) => shape(child),
        Condition::Exists(_) | Condition::Compare { .. } | Condition::Macro(_) => (1, 0),
    };
    (size, depth + 1)
}

fn too_many(most: usize) -> String {
    format!("condition has more than {most} comparisons once its macros are expanded")
}

fn undefined(name: &str) -> String {
    format!("Undefined macro '{name}' used in filter.")
}

/// Macros within macros, at most.
const MAX_MACRO_DEPTH: usize = 64;

/// What leads back over more macros than this is not told as a circle.
const LONGEST_CIRCLE: usize = 1_000;
