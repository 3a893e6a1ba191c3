//! Lists page by page: every entry once, whatever the size of a page.

use super::*;

impl Served {
    /// Every entry of a list, read in pages of `limit`.
    async fn pages(&self, path: &str, name: &str, limit: usize) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut after = String::new();
        loop {
            let (status, page) = self.get(&format!("{path}limit={limit}{after}")).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            let entries = page[name].as_array().unwrap();
            assert!(entries.len() <= limit);
            all.extend(entries.iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return all,
            }
        }
    }
}

#[tokio::test]
async fn pages_join_to_the_whole_list() {
    let served = Served::start(|_| {}).await;
    // Several at the same instant: the second half of the key decides.
    let changes: Vec<Change> = (0..25)
        .map(|n| Change {
            at: NOW - Span::from_mins(n / 3),
            end: None,
            kind: ChangeKind::Deploy,
            service: "web".to_owned(),
            what: format!("v{n}"),
        })
        .collect();
    let base: Alert = serde_json::from_str(include_str!("../data/messages/firing.json")).unwrap();
    let alerts: Vec<Alert> = (0..25)
        .map(|n| Alert {
            incident: format!("web-{n}"),
            at: base.at + Span::from_mins(n / 3),
            state: if n % 2 == 0 { State::Firing } else { State::Resolved },
            ..base.clone()
        })
        .collect();
    let fill = move |store: &mut Store| {
        store.post_changes(NOW, &changes)?;
        let last_tick = NOW;
        let alerts = &alerts[..];
        store.commit(&Tick { last_tick, snapshot: None, alerts, charts: &[], deliveries: &[] })
    };
    served.store.with(fill).await.unwrap();
    for n in 0..25 {
        let wanted =
            json!({"all": true, "for": format!("{}m", 1 + n / 3), "comment": format!("{n}")});
        assert_eq!(
            served.ask(served.post_to("/api/v1/silences", &wanted)).await.0,
            StatusCode::CREATED
        );
        let day = Digest::new(Every::Day, NOW, NOW + Span::from_mins(n));
        let keep = move |store: &mut Store| {
            let (id, json) = (day.id(), day.to_json());
            store.keep_digest(&NewDigest { id: &id, at: day.to, json: &json, to: &[] })
        };
        assert!(served.store.with(keep).await.unwrap());
    }
    for (path, name, count) in [
        ("/api/v1/changes?", "changes", 25),
        ("/api/v1/changes?service=web&", "changes", 25),
        ("/api/v1/changes?service=other&", "changes", 0),
        ("/api/v1/incidents?", "incidents", 25),
        ("/api/v1/incidents?open=true&", "incidents", 13),
        ("/api/v1/incidents?open=false&", "incidents", 12),
        ("/api/v1/silences?", "silences", 25),
        ("/api/v1/silences?open=false&", "silences", 25),
        ("/api/v1/digests?", "digests", 25),
    ] {
        let whole = served.pages(path, name, 1_000).await;
        assert_eq!(whole.len(), count, "{path}");
        for limit in [1, 2, 3, 7, 24, 25, 26] {
            assert_eq!(served.pages(path, name, limit).await, whole, "{path} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_query_that_cannot_be_used_is_told_parameter_by_parameter() {
    let served = Served::start(|_| {}).await;
    let lists: Vec<&str> = http::ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.method == "GET" && endpoint.path.starts_with("/api/"))
        .map(|endpoint| endpoint.path)
        .filter(|path| !path.contains(['{', '.']) && !path.ends_with("status"))
        .collect();
    assert_eq!(lists.len(), 8);
    for path in lists {
        let (status, told) = served.get(&format!("{path}?limit=0&limt=5&after=x")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        let pointers: Vec<&str> = told["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(pointers, ["limt", "limit", "after"], "{path}");
        assert!(told["detail"].as_str().unwrap().ends_with("(and 2 more)"), "{told}");
    }
    for (query, part) in [
        ("signals?role=latncy", "must be one of traffic"),
        ("signals?health=well", "must be one of judged, context, learning, too_small"),
        ("signals?min_score=2", "must be a number from 0 to 1"),
        ("signals?min_score=NaN", "must be a number from 0 to 1"),
        ("rules?kind=x", "must be one of signal, cause"),
        ("incidents?open=maybe", "must be `true`"),
        ("changes?from=yesterday", "must be a time"),
    ] {
        let (status, told) = served.get(&format!("/api/v1/{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(told["errors"][0]["detail"].as_str().unwrap().contains(part), "{told}");
    }
}
