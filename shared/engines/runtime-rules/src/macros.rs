//! Macros: named conditions, put into other conditions as trees.

use std::collections::HashMap;

use crate::ast::Condition;
use crate::collect::Named;
use crate::items::MacroItem;

/// Macros with the macros in them expanded.
#[derive(Debug, Default)]
pub(crate) struct Macros {
    trees: HashMap<String, (Condition, usize)>,
    max_comparisons: usize,
}

/// Conditions within conditions through macros, at most.
const MAX_DEPTH: usize = 600;

impl Macros {
    /// Expands every macro. One sees those that were defined before its own last change. Returns those that cannot be expanded too,
    /// with the reason.
    pub(crate) fn resolve(
        items: &Named<MacroItem>,
        parsed: HashMap<String, Result<Condition, String>>,
        max_comparisons: usize,
    ) -> (Self, Vec<(String, String)>) {
        let mut expansion = Expansion { items, parsed, done: HashMap::new(), path: Vec::new(), max: max_comparisons };
        let mut failed = Vec::new();
        for item in items.all() {
            if let Err(what) = expansion.macro_tree(&item.item.name, 0) {
                failed.push((item.item.name.clone(), what));
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
