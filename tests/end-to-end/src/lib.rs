//! The product as its users run it: the tests in `tests/it` start the built programs, nothing else.
