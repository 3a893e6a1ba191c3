//! Signs of life to the outside, so that somebody is called when there is nobody left to call.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::notify::error::NotifyError;
use crate::notify::heartbeat::{Heartbeat, HeartbeatConfig};
use crate::notify::receiver::ReceiverError;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;

/// Sends a sign of life as often as configured, for as long as the newest tick is fresh; until
/// `stop`. Nothing is sent without `[heartbeat]`.
///
/// # Errors
///
/// An address that cannot be used.
pub(super) fn start(
    config: Option<&HeartbeatConfig>,
    telemetry: &Telemetry,
    clock: &Arc<Clock>,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, ReceiverError> {
    let Some(config) = config else { return Ok(tokio::spawn(async {})) };
    let (heartbeat, every) = (Heartbeat::new(config)?, config.every.to_std());
    let (telemetry, clock) = (telemetry.clone(), Arc::clone(clock));
    let beats = async move {
        let mut is_missed = false;
        let mut due = tokio::time::interval(every);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            match beat(&heartbeat, &telemetry, clock.now()).await {
                Some(Err(problem)) if !is_missed => {
                    warn!(%problem, "the heartbeat was not taken, will try again");
                    is_missed = true;
                }
                Some(Ok(())) if is_missed => {
                    info!("the heartbeat is taken again");
                    is_missed = false;
                }
                _ => {}
            }
        }
    };
    Ok(tokio::spawn(async move {
        // A request under way may be dropped: the next start sends another.
        let _ = stop.run_until_cancelled(beats).await;
    }))
}

/// Sends one if all is well; none is what tells that it is not.
async fn beat(
    heartbeat: &Heartbeat,
    telemetry: &Telemetry,
    now: Timestamp,
) -> Option<Result<(), NotifyError>> {
    telemetry.ready(now).ok()?;
    let taken = heartbeat.beat(now).await;
    telemetry.beaten(now, taken.is_ok());
    Some(taken)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

    use axum::Router;
    use axum::extract::Request;
    use axum::http::StatusCode;

    use super::*;
    use crate::engine::outcome::Outcome;
    use crate::notify::heartbeat::Method;
    use crate::notify::post::PostConfig;
    use crate::time::Span;

    #[tokio::test]
    async fn only_a_fresh_tick_is_a_sign_of_life() {
        // A second test of this process may have set it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (answer, taken) = (Arc::new(AtomicU16::new(200)), Arc::<AtomicUsize>::default());
        let seen = (Arc::clone(&answer), Arc::clone(&taken));
        let app = Router::new().fallback(move |request: Request| {
            let (answer, taken) = seen.clone();
            async move {
                assert_eq!(request.method(), "POST");
                taken.fetch_add(1, Ordering::SeqCst);
                let status = StatusCode::from_u16(answer.load(Ordering::SeqCst)).unwrap();
                (status, "no such check: 0123456789abcdef")
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ping/0123456789abcdef", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let config = HeartbeatConfig {
            post: PostConfig { url: url.into(), headers: Vec::new(), ca_file: None },
            method: Method::Post,
            every: Span::MINUTE,
        };
        let heartbeat = Heartbeat::new(&config).unwrap();
        let telemetry = Telemetry::default();
        let now = Timestamp::from_secs(1_000_000);
        assert!(beat(&heartbeat, &telemetry, now).await.is_none(), "nothing is learned");
        telemetry.ticked(now, 1.0, 1, &Outcome::default());
        assert!(matches!(beat(&heartbeat, &telemetry, now).await, Some(Ok(()))));
        let late = now + Span::HOUR;
        assert!(beat(&heartbeat, &telemetry, late).await.is_none(), "the tick is old");
        assert_eq!(taken.load(Ordering::SeqCst), 1);
        answer.store(404, Ordering::SeqCst);
        let refused = beat(&heartbeat, &telemetry, now).await.unwrap().unwrap_err().to_string();
        assert!(refused.contains("status 404") && !refused.contains("0123456789"), "{refused}");
    }
}
