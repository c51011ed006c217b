//! Packages of programming languages.

mod python;

use crate::analyzer::Analyzer;

pub(crate) static ANALYZERS: &[Analyzer] = &[python::metadata::ANALYZER];
