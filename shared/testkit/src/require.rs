//! Which parts must be there: `BIOTOPE_REQUIRE=all`, or a list such as `nats,ebpf`.

/// Whether a missing `part` must fail the test instead of skipping it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, no configuration of the product")]
pub fn is_required(part: &str) -> bool {
    std::env::var("BIOTOPE_REQUIRE").is_ok_and(|list| list.split(',').any(|item| item == "all" || item == part))
}

/// Says in one line that a test is skipped, and why.
///
/// # Panics
/// When the part is required: then a skip would hide that nothing was tested.
#[expect(clippy::print_stderr, reason = "the line is the purpose; a required part that is missing fails the test")]
pub fn skip(part: &str, why: &str) {
    assert!(!is_required(part), "required part `{part}` is missing: {why}");
    eprintln!("SKIP {part}: {why}");
}
