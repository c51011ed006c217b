//! What can be told about an expression before it runs: unknown variables and functions.

use crate::ast::{Kind, Node};
use crate::error::CompileError;
use crate::evaluate::type_named;
use crate::parser::qualified;

/// Names that expressions may use besides those of the language.
#[derive(Debug, Clone, Default)]
pub struct Declarations<'d> {
    /// Variables; a name with dots declares a variable below a namespace.
    pub variables: Vec<&'d str>,
    /// Functions and methods of the host; with their namespace (`generator.apply`), methods without receiver.
    pub functions: Vec<&'d str>,
}

/// The first reference that nothing declares.
pub(crate) fn check(text: &str, root: &Node, declarations: &Declarations<'_>) -> Result<(), CompileError> {
    let mut checker = Checker { text, declarations, locals: Vec::new() };
    checker.node(root)
}

struct Checker<'c> {
    text: &'c str,
    declarations: &'c Declarations<'c>,
    locals: Vec<&'c str>,
}

impl<'c> Checker<'c> {
    fn undeclared(&self, name: &str, at: usize) -> Result<(), CompileError> {
        Err(CompileError::new(self.text, at, format!("undeclared reference to '{name}' (in container '')")))
    }

    fn knows(&self, name: &str) -> bool {
        self.locals.contains(&name) || self.declarations.variables.contains(&name) || type_named(name).is_some()
    }

    fn node(&mut self, node: &'c Node) -> Result<(), CompileError> {
        match &node.kind {
            Kind::Identifier(name) if self.knows(name) => Ok(()),
            Kind::Identifier(name) => self.undeclared(name, node.at),
            Kind::Select(_) if qualified(node).is_some_and(|name| type_named(&name).is_some()) => Ok(()),
            Kind::Comprehension(parts) => {
                self.node(&parts.range)?;
                let depth = self.locals.len();
                self.locals.push(&parts.first);
                self.locals.extend(parts.second.as_deref());
                for part in parts.filter.iter().chain([&parts.body]) {
                    self.node(part)?;
                }
                self.locals.truncate(depth);
                Ok(())
            }
            Kind::Bind(bind) | Kind::OptionalMap(bind, _) => {
                self.node(&bind.value)?;
                self.locals.push(&bind.name);
                self.node(&bind.body)?;
                self.locals.pop();
                Ok(())
            }
            Kind::Call(call) => self.call(call, node.at),
            other => {
                let mut children = Vec::new();
                other.each_child(&mut |child| children.push(child));
                children.into_iter().try_for_each(|child| self.node(child))
            }
        }
    }

    fn call(&mut self, call: &'c crate::ast::Call, at: usize) -> Result<(), CompileError> {
        let declared = |name: &str| self.declarations.functions.contains(&name);
        let full = call.receiver.as_ref().and_then(qualified).map(|prefix| format!("{prefix}.{}", call.name));
        let namespaced = full.as_deref().is_some_and(declared);
        if call.function.is_none() && !declared(&call.name) && !namespaced {
            return self.undeclared(&call.name, at);
        }
        if let Some(receiver) = call.receiver.as_ref().filter(|_| !namespaced) {
            self.node(receiver)?;
        }
        call.arguments.iter().try_for_each(|argument| self.node(argument))
    }
}
