//! The pages of the demo: the daemon itself lives through the same days over the same endpoint, as
//! fast as it goes, and stays where they end.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::DemoError;
use super::stage::{LEARNED, LIVE, SCRAPE, Stage};
use crate::clock::Clock;
use crate::config::{Config, Poll, Store};
use crate::daemon::{self, Limits};
use crate::{http, lab, source};

/// A folder of this process, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, DemoError> {
        let name = format!("grayflag-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).map_err(DemoError::Write)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is a small file where such files are cleaned up.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The address, with a port that is free where none was named.
pub(super) fn free(listen: SocketAddr) -> Result<SocketAddr, DemoError> {
    let found = TcpListener::bind(listen).and_then(|listener| listener.local_addr());
    found.map_err(|problem| DemoError::Pages(listen, problem))
}

/// Serves the pages until `stop`; `say` tells the reader where they are.
pub(super) async fn serve(
    stage: &Stage,
    listen: SocketAddr,
    say: &mut impl FnMut(&str) -> Result<(), DemoError>,
    stop: &CancellationToken,
) -> Result<(), DemoError> {
    let folder = Folder::new()?;
    let served = stage.serve().await?;
    let poll = Poll { interval: SCRAPE, history: LEARNED, ..Poll::default() };
    // The last tick, and not the one after it.
    let (reached, until) = (CancellationToken::new(), stage.now() + poll.settle);
    let config = Config {
        poll,
        rules: lab::rules().map_err(|problems| DemoError::Rules(problems.summary()))?,
        source: source::Config {
            // On the loopback it only costs time.
            gzip: false,
            ..source::Config::new(format!("http://{}", served.address))
        },
        store: Store { path: folder.0.join("state.db") },
        http: http::Config { listen, ..http::Config::default() },
        ..Config::default()
    };
    say(&format!(
        "\nThe pages: http://{listen}/\n\
         They fill while grayflag learns and lives through the same days; Ctrl-C ends.\n"
    ))?;
    let clock = Clock::rehearsal_until(LIVE, until, reached.clone());
    let limits = Limits { from: Some(LIVE), to: None };
    let run = daemon::run(config, clock, limits, stop.clone(), None);
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => ended?,
        () = reached.cancelled() => {
            say("They show the end of the story now.\n")?;
            run.await?;
        }
    }
    served.end().await;
    Ok(())
}
