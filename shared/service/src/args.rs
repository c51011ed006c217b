//! Arguments that all services take.

use std::path::PathBuf;

/// Arguments of a service.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Configuration file (YAML). Without one, every setting has its default.
    #[arg(long, short, env = "BIOTOPE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Checks the configuration, says what is wrong with it, and exits: 0 good, 64 bad.
    #[arg(long)]
    pub check_config: bool,
}
