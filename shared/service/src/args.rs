//! Arguments that all services take.

use std::path::PathBuf;

use model::NodeName;

/// Arguments of a service.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Configuration file (YAML). Without one, every setting has its default.
    #[arg(long, short, env = "BIOTOPE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of the node, for services that run on each; goes before the configuration's `node`.
    #[arg(long, env = "BIOTOPE_NODE", value_name = "NAME")]
    pub node: Option<NodeName>,
    /// Checks the configuration, says what is wrong with it, and exits: 0 good, 64 bad.
    #[arg(long)]
    pub check_config: bool,
}
