//! An error in one line.

use std::fmt::Write as _;

/// `error` and its causes, `outermost: ...: innermost`, in one line. A cause that the text before it already ends with is left out:
/// libraries differ in whether an error's own text includes its cause.
#[must_use]
pub fn reason(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut line, cause| {
        let cause = cause.to_string();
        if line.is_empty() {
            return cause;
        }
        if !line.ends_with(&cause) {
            let _ = write!(line, ": {cause}");
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let told_twice = anyhow::anyhow!("refused").context("IO error: refused").context("no server at a");
        assert_eq!(reason(&told_twice), "no server at a: IO error: refused");
        let told_once = anyhow::anyhow!("refused").context("no server at a");
        assert_eq!(reason(&told_once), "no server at a: refused");
    }
}
