//! Java: archives, projects of Maven, caches of Gradle.

pub(crate) mod gradle;
pub(crate) mod jar;
pub(crate) mod manifest;
pub(crate) mod pom;
pub(crate) mod project;
