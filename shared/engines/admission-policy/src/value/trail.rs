//! Paths into values, kept on the stack until somebody needs their text: most are never told.

/// Where something stands in a value.
#[derive(Clone, Copy)]
pub(crate) struct Trail<'a> {
    parent: Option<&'a Trail<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Trail<'a> {
    pub(crate) const ROOT: Trail<'static> = Trail { parent: None, step: Step::Root };

    pub(crate) fn key(&'a self, key: &'a str) -> Trail<'a> {
        Trail { parent: Some(self), step: Step::Key(key) }
    }

    pub(crate) fn index(&'a self, index: usize) -> Trail<'a> {
        Trail { parent: Some(self), step: Step::Index(index) }
    }

    /// The path as messages about patterns have it: `/spec/containers/0/image/`.
    pub(crate) fn render(&self) -> String {
        let mut text = self.parent.map_or_else(new_text, Trail::render);
        match self.step {
            Step::Root => {}
            Step::Key(key) => text.push_str(key),
            Step::Index(index) => text.push_str(&index.to_string()),
        }
        text.push('/');
        text
    }

    /// The JSON pointer (RFC 6901): `/metadata/annotations/example.com~1team`.
    pub(crate) fn pointer(&self) -> String {
        let mut text = self.parent.map_or_else(new_text, Trail::pointer);
        match self.step {
            Step::Root => {}
            Step::Key(key) if key.contains(['~', '/']) => {
                text.push('/');
                text.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Step::Key(key) => {
                text.push('/');
                text.push_str(key);
            }
            Step::Index(index) => {
                text.push('/');
                text.push_str(&index.to_string());
            }
        }
        text
    }
}

/// Room for most paths.
fn new_text() -> String {
    String::with_capacity(64)
}

#[cfg(test)]
mod tests {
    use super::Trail;

    #[test]
    fn tells_where_something_stands() {
        let root = Trail::ROOT;
        let (spec, odd) = (root.key("spec"), root.key("a/b~c"));
        let (item, below) = (spec.index(3), odd.key("-"));
        assert_eq!([root, spec, item, below].map(|trail| trail.render()), ["/", "/spec/", "/spec/3/", "/a/b~c/-/"]);
        assert_eq!([root, spec, item, below].map(|trail| trail.pointer()), ["", "/spec", "/spec/3", "/a~1b~0c/-"]);
    }
}
