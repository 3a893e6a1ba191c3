//! `grayflag healthy`: asks a running daemon how it is. Containers without a shell have no other
//! way to look after themselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use reqwest::{ClientBuilder, Identity};

use super::Failure;
use crate::config::Config;
use crate::http::tls;

/// Longest that an answer may take: both are made of what is known already.
const PATIENCE: Duration = Duration::from_secs(5);

/// Options of `grayflag healthy`.
#[derive(Debug, Args)]
pub struct HealthyArgs {
    /// Ask whether the past is learned and the backend answers, too
    #[arg(long)]
    ready: bool,
}

/// Asks the daemon that serves at `http.listen` of the configuration.
///
/// # Errors
///
/// Status 1 when it does not answer, or says that it is not healthy, or not ready.
pub async fn run(config: &Config, args: &HealthyArgs) -> Result<(), Failure> {
    let address = reachable(config.http.listen);
    let path = if args.ready { "/-/ready" } else { "/-/healthy" };
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    let (scheme, client) = match &config.http.tls {
        Some(tls) => ("https", over_tls(client, tls)?),
        None => ("http", client),
    };
    let client = client.build().map_err(Failure::of)?;
    match client.get(format!("{scheme}://{address}{path}")).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(Failure::verdict(format!("{address}{path} says {}", answer.status()))),
        Err(problem) => {
            let problem = format!("{:#}", anyhow::Error::from(problem.without_url()));
            Err(Failure::verdict(format!("no daemon answers at {address}: {problem}")))
        }
    }
}

/// The certificate names the server as people know it and not this address, and nothing secret is
/// said: it is not looked at. Where clients must show one, the server's own is shown: with an
/// authority for both sides, that is enough.
fn over_tls(client: ClientBuilder, tls: &tls::Config) -> Result<ClientBuilder, Failure> {
    let client = client.tls_danger_accept_invalid_certs(true);
    if tls.client_ca_file.is_none() {
        return Ok(client);
    }
    let read = |path: &Path| {
        std::fs::read(path).map_err(|problem| {
            Failure::could_not(format!("cannot read `{}`: {problem}", path.display()))
        })
    };
    let pem = [read(&tls.cert_file)?, read(&tls.key_file)?].join(&b'\n');
    Ok(client.identity(Identity::from_pem(&pem).map_err(Failure::of)?))
}

/// Where to ask one that listens on every address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
