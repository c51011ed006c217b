//! The real servers that biotope works with, as child processes: nats-server, OpenBao, an OCI registry; for tests also a
//! kube-apiserver alone and a whole one-node cluster.
//!
//! Used by `biotope up` and `biotope demo`, and by tests. Every part listens on a loopback port of its own, keeps its data in a
//! folder that the caller gives, and is ended by its process id.

#![warn(missing_docs)]

mod apiserver;
mod certificates;
mod find;
mod image;
mod leftovers;
mod node;
mod node_files;
mod process;
mod program_image;
mod servers;

pub use apiserver::KubeApiserver;
pub use find::{MissingTool, Tool, find, tools_folder};
pub use image::{ImageFile, docker_archive};
pub use node::{BUSYBOX_IMAGE, Cluster};
pub use process::{Process, ProcessError, free_port, wait_until};
pub use program_image::program_archive;
pub use servers::{Moto, Nats, OpenBao, Registry, StartError};
