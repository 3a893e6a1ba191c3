//! Through the outbox: how a service calls a message outlives the program.

use tempfile::TempDir;

use super::Api;
use crate::support::{Running, sample};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_again_after_a_restart() {
    for (kind, changes) in [
        ("slack", "POST /api/chat.update"),
        ("discord", "/messages/1100000000000000001"),
        ("telegram", "/editMessageText"),
    ] {
        let api = Api::start().await;
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("state.db");
        for state in ["firing", "updated", "resolved"] {
            let alert = sample(state);
            let running = Running::start(&path, &[api.receiver(kind)], alert.at);
            running.commit(vec![alert]).await;
            running.until_empty().await;
            let status = running.board.of("chat");
            assert_eq!((status.sent, status.dead), (1, 0), "{kind}, {state}: {status:?}");
            running.stop().await;
            let requests: Vec<String> =
                api.take().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
            if state == "firing" {
                assert_eq!(requests.len(), 1, "{kind}: {requests:?}");
            } else {
                // Changed, and then what matters is said: users are affected, and it is over.
                assert_eq!(requests.len(), 2, "{kind}, {state}: {requests:?}");
                assert!(requests[0].contains(changes), "{kind}, {state}: {requests:?}");
            }
        }
    }
}
