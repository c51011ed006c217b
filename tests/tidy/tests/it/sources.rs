//! What the sources themselves must hold, read as syntax trees.

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use testkit::corpus::workspace_root;

/// Lines of code of a file, above which it is reported and refused.
const FILE: (usize, usize) = (300, 600);

/// Lines of a function, above which it is reported and refused.
const FUNCTION: (usize, usize) = (40, 70);

/// One source file of the product, read.
struct Source {
    name: String,
    text: String,
    tree: syn::File,
    /// Tests are as long as they need to be.
    is_test: bool,
}

fn sources() -> Vec<Source> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(workspace_root()).unwrap().display().to_string();
        let tree = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let is_test = name.contains("tests/") || name.contains("/benches/") || name.ends_with("tests.rs");
        Source { name, text, tree, is_test }
    };
    files(&["rs"]).into_iter().map(read).collect()
}

/// Every file of the project with one of the extensions.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&workspace_root(), extensions, &mut found);
    assert!(found.len() > 10, "the files are found");
    found.sort();
    found
}

fn walk(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != ".git" && !path.is_symlink() {
            walk(&path, extensions, found);
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
            found.push(path);
        }
    }
}

fn report(mut found: Vec<(usize, String)>, limit: usize, remedy: &str) {
    found.sort_unstable();
    for (lines, name) in &found {
        println!("{lines:>5} {name}");
    }
    let over: Vec<_> = found.iter().filter(|(lines, _)| *lines > limit).collect();
    assert!(over.is_empty(), "over {limit} lines: {over:?}; {remedy}");
}

#[test]
fn files_are_short() {
    let code = |source: &Source| {
        let tests = source.tree.items.iter().filter_map(|item| match item {
            syn::Item::Mod(inner) if is_for_tests(&inner.attrs) => Some(lines(inner.span())),
            _ => None,
        });
        source.text.lines().count().saturating_sub(tests.sum())
    };
    let long = sources().into_iter().filter(|source| !source.is_test).map(|source| (code(&source), source.name));
    report(long.filter(|(lines, _)| *lines > FILE.0).collect(), FILE.1, "design rooms, do not just cut");
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test) {
        let mut functions = Functions { file: &source.name, long: &mut long };
        functions.visit_file(&source.tree);
    }
    report(long, FUNCTION.1, "name its steps");
}

struct Functions<'a> {
    file: &'a str,
    long: &'a mut Vec<(usize, String)>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &syn::Ident, block: &syn::Block) {
        // Without its braces.
        let lines = lines(block.span()).saturating_sub(2);
        if lines > FUNCTION.0 {
            self.long.push((lines, format!("{}:{} {name}", self.file, name.span().start().line)));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig.ident, block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_mod(&mut self, inner: &'ast syn::ItemMod) {
        if !is_for_tests(&inner.attrs) {
            visit::visit_item_mod(self, inner);
        }
    }
}

#[test]
fn unsafe_code_is_where_files_are_mapped_only_and_no_log_shows_a_secret() {
    for source in sources() {
        let mut rules = Rules { name: &source.name };
        rules.visit_file(&source.tree);
    }
}

struct Rules<'a> {
    name: &'a str,
}

impl<'ast> Visit<'ast> for Rules<'_> {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let lifts = attribute.path().is_ident("allow") || attribute.path().is_ident("expect");
        if let syn::Meta::List(list) = &attribute.meta
            && lifts
        {
            let line = attribute.span().start().line;
            let is_known = self.name == MAPPED;
            assert!(
                is_known || !names(&list.tokens, &["unsafe_code"]),
                "{}:{line} lifts the ban on unsafe code",
                self.name
            );
        }
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        let name = invoked.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if LOGS.contains(&name.as_str()) {
            let line = invoked.span().start().line;
            let shows = names(&invoked.tokens, &["expose", "expose_secret"]);
            assert!(!shows, "{}:{line} `{name}!` may show a secret", self.name);
        }
    }
}

/// The one file that may be unsafe: it maps the index of advisories into memory.
const MAPPED: &str = "services/registry-scanner/src/mapped.rs";

/// Macros whose text somebody reads.
const LOGS: [&str; 16] = [
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
    "span",
    "info_span",
    "debug_span",
    "print",
    "println",
    "eprint",
    "eprintln",
    "panic",
    "bail",
    "anyhow",
];

#[test]
fn text_names_no_machine() {
    for path in files(&["rs", "md", "yaml", "yml", "toml", "sh", "py", "json", "h", "c", "tpl"]) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let name = path.strip_prefix(workspace_root()).unwrap().display().to_string();
        if name.starts_with("tests/tidy") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let machine = ["/farm/", "\"/work/", " /work/"].iter().find(|machine| line.contains(**machine));
            assert!(machine.is_none(), "{name}:{} names a path of one machine", number + 1);
        }
    }
}

fn lines(span: proc_macro2::Span) -> usize {
    span.end().line.saturating_sub(span.start().line) + 1
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => attribute.path().is_ident("cfg") && names(&list.tokens, &["test"]),
        _ => false,
    })
}

/// Whether one of the names occurs as an identifier, however deep.
fn names(tokens: &TokenStream, wanted: &[&str]) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Group(group) => names(&group.stream(), wanted),
        TokenTree::Ident(identifier) => wanted.iter().any(|wanted| identifier == wanted),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
