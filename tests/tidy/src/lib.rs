//! The rules of the tree; the tests in `tests/it` check them.
