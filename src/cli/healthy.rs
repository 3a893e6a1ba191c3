//! `grayflag healthy`: asks a running daemon how it is. Containers without a shell have no other
//! way to look after themselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use super::Failure;
use crate::config::Config;

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
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    let asked = client.map_err(Failure::of)?.get(format!("http://{address}{path}")).send().await;
    match asked {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(Failure::verdict(format!("{address}{path} says {}", answer.status()))),
        Err(problem) => {
            let problem = problem.without_url();
            Err(Failure::verdict(format!("no daemon answers at {address}: {problem}")))
        }
    }
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
