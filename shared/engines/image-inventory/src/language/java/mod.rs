//! Java: archives, projects of Maven, caches of Gradle.

pub(crate) mod address;
pub(crate) mod gradle;
pub(crate) mod jar;
pub(crate) mod manifest;
pub(crate) mod mirrors;
pub(crate) mod pom;
pub(crate) mod project;
pub(crate) mod settings;
