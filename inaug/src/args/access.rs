//! How stores behind URLs are reached.

use std::path::PathBuf;

/// Whom to trust, what to show, and by whose hands.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Stores behind URLs")]
pub(crate) struct AccessArgs {
    /// Trust the authorities in this PEM file to sign the certificates of https stores [default:
    /// this host's, /etc/ssl/certs/ca-certificates.crt]; machines that are made here get it too
    #[arg(long, value_name = "FILE", env = "INAUG_CA", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,

    /// Show the token in this file to the stores, as Authorization: Bearer; machines that are made
    /// here get it too
    #[arg(long, value_name = "FILE", env = "INAUG_TOKEN_FILE", hide_env_values = true)]
    pub(crate) token_file: Option<PathBuf>,

    /// Ask this proxy, http://[USER:PASSWORD@]HOST[:PORT], in the stores' place
    #[arg(long, value_name = "URL", env = "INAUG_PROXY", hide_env_values = true)]
    pub(crate) proxy: Option<String>,

    /// Ask these hosts without the proxy, joined by commas, and all whose names end in one
    #[arg(long, value_name = "HOSTS", env = "INAUG_NO_PROXY", value_delimiter = ',')]
    pub(crate) no_proxy: Vec<String>,
}
