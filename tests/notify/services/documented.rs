//! What the services document of requests and answers. The page stands beside each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{GENIE_KEY, ROUTING_KEY, SLACK_TOKEN, Scripted, Seen, says};

/// What the services remember.
#[derive(Default)]
pub(super) struct Documented {
    count: usize,
    /// Messages by id, as they stand.
    messages: BTreeMap<String, Value>,
    /// Files of Slack that were uploaded and wait.
    files: BTreeSet<String>,
}

/// Why a request is refused.
type Problem = String;

fn ensure(holds: bool, problem: impl Into<String>) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(problem.into()) }
}

fn length(value: &Value) -> usize {
    value.as_str().map_or(usize::MAX, |text| text.encode_utf16().count())
}

impl Documented {
    /// The documented answer to a request.
    pub(super) fn answer(&mut self, seen: &Seen, base: &str) -> Scripted {
        let path = seen.path.split('?').next().unwrap();
        if let Some(method) = path.strip_prefix("/api/").filter(|p| !p.starts_with("webhooks/")) {
            return self.slack(method, seen, base);
        }
        if let Some(rest) = path.strip_prefix("/bot") {
            return self.telegram(rest.split_once('/').unwrap().1, seen);
        }
        if path.starts_with("/api/webhooks/") {
            return self.discord(path, seen);
        }
        if let Some(file) = path.strip_prefix("/upload/") {
            self.files.insert(file.to_owned());
            return Scripted { status: 200, after: None, body: "OK - 4".to_owned() };
        }
        match path {
            _ if path.starts_with("/services/") => slack_webhook(seen),
            _ if path.starts_with("/v2/alerts") => opsgenie(path, seen),
            _ if path.starts_with("/workflows/") => teams(seen),
            "/v2/enqueue" => pagerduty(seen),
            _ => says(200, &Value::Null),
        }
    }

    /// <https://docs.slack.dev/reference/methods/chat.postMessage>, `…/chat.update`,
    /// `…/files.getUploadURLExternal`, `…/files.completeUploadExternal`.
    fn slack(&mut self, method: &str, seen: &Seen, base: &str) -> Scripted {
        let refuse = |error: &str| says(200, &json!({ "ok": false, "error": error }));
        if seen.header("authorization") != Some(format!("Bearer {SLACK_TOKEN}").as_str()) {
            return refuse("not_authed");
        }
        if method == "files.getUploadURLExternal" {
            // "invalid_arguments" is what this method says to JSON.
            let form = seen.header("content-type") == Some("application/x-www-form-urlencoded");
            if !form || !seen.text().contains("filename=") || !seen.text().contains("length=") {
                return refuse("invalid_arguments");
            }
            let url = format!("{base}/upload/F0");
            return says(200, &json!({ "ok": true, "upload_url": url, "file_id": "F0" }));
        }
        if seen.header("content-type") != Some("application/json; charset=utf-8") {
            return refuse("invalid_post_type");
        }
        let body = seen.json();
        match method {
            "files.completeUploadExternal" => {
                let id = body["files"][0]["id"].as_str().unwrap_or_default();
                if !self.files.remove(id) {
                    return refuse("file_not_found");
                }
                says(200, &json!({ "ok": true, "files": [{ "id": id }] }))
            }
            _ if slack_message(&body).is_err() => {
                let problem = slack_message(&body).unwrap_err();
                let metadata = json!({ "messages": [problem] });
                let error = "invalid_blocks";
                says(200, &json!({ "ok": false, "error": error, "response_metadata": metadata }))
            }
            "chat.postMessage" if body["channel"].is_string() => {
                self.count += 1;
                let ts = format!("1503435956.{:06}", self.count);
                self.messages.insert(ts.clone(), body);
                says(200, &json!({ "ok": true, "channel": "C0123456789", "ts": ts }))
            }
            "chat.update" if body["channel"] == "C0123456789" => {
                let ts = body["ts"].as_str().unwrap_or_default().to_owned();
                if !self.messages.contains_key(&ts) {
                    return refuse("message_not_found");
                }
                self.messages.insert(ts.clone(), body);
                says(200, &json!({ "ok": true, "channel": "C0123456789", "ts": ts }))
            }
            _ => refuse("channel_not_found"),
        }
    }

    /// <https://docs.discord.com/developers/resources/webhook#execute-webhook>, limits of embeds:
    /// `…/resources/message#embed-object-embed-limits`.
    fn discord(&mut self, path: &str, seen: &Seen) -> Scripted {
        let body = seen.json();
        let check = || -> Result<(), Problem> {
            ensure(length(&body["content"]) <= 2_000, "content")?;
            ensure(length(&body["content"]) > 0, "empty message")?;
            let embeds = body["embeds"].as_array().cloned().unwrap_or_default();
            ensure(embeds.len() <= 10, "embeds")?;
            for embed in &embeds {
                ensure((1..=4_096).contains(&length(&embed["description"])), "description")?;
                ensure(embed["color"].as_u64().is_some_and(|c| c <= 0xff_ffff), "color")?;
            }
            Ok(())
        };
        if let Err(problem) = check() {
            return says(
                400,
                &json!({ "code": 50_035, "message": "Invalid Form Body", "errors": problem }),
            );
        }
        if let Some((_, id)) = path.split_once("/messages/") {
            if seen.method != "PATCH" || !self.messages.contains_key(id) {
                return says(404, &json!({ "message": "Unknown Message", "code": 10_008 }));
            }
            self.messages.insert(id.to_owned(), body);
            return says(200, &json!({ "id": id }));
        }
        if !seen.path.contains("wait=true") {
            return Scripted { status: 204, after: None, body: String::new() };
        }
        self.count += 1;
        let id = format!("11000000000000000{:02}", self.count);
        self.messages.insert(id.clone(), body);
        says(200, &json!({ "id": id }))
    }

    /// <https://core.telegram.org/bots/api#sendmessage>, `#editmessagetext`, `#html-style`.
    fn telegram(&mut self, method: &str, seen: &Seen) -> Scripted {
        let refuse = |description: &str| {
            let description = format!("Bad Request: {description}");
            says(400, &json!({ "ok": false, "error_code": 400, "description": description }))
        };
        let body = seen.json();
        if body["chat_id"] != "-1001234567890" {
            return refuse("chat not found");
        }
        match length(&body["text"]) {
            0 => return refuse("message text is empty"),
            4_097.. => return refuse("message is too long"),
            _ => {}
        }
        if body["parse_mode"] == "HTML"
            && let Err(problem) = telegram_tags(body["text"].as_str().unwrap())
        {
            return refuse(&format!("can't parse entities: {problem}"));
        }
        if method == "editMessageText" {
            let id = body["message_id"].to_string();
            return match self.messages.get(&id) {
                None => refuse("message to edit not found"),
                Some(stands) if stands["text"] == body["text"] => refuse(
                    "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
                ),
                Some(_) => {
                    self.messages.insert(id, body.clone());
                    says(
                        200,
                        &json!({ "ok": true, "result": { "message_id": body["message_id"] } }),
                    )
                }
            };
        }
        self.count += 1;
        self.messages.insert(self.count.to_string(), body);
        says(200, &json!({ "ok": true, "result": { "message_id": self.count } }))
    }
}

/// <https://docs.slack.dev/reference/block-kit/blocks>: 50 blocks, 150 characters of a header, 3000
/// of a text, and no text may be empty.
fn slack_message(body: &Value) -> Result<(), Problem> {
    ensure(length(&body["text"]) > 0, "no_text")?;
    ensure(length(&body["text"]) <= 40_000, "msg_too_long")?;
    let blocks = body["blocks"].as_array().cloned().unwrap_or_default();
    ensure(blocks.len() <= 50, "more than 50 blocks")?;
    for block in &blocks {
        let (text, kind) = (&block["text"], &block["text"]["type"]);
        match block["type"].as_str() {
            Some("header") => {
                ensure(kind == "plain_text", "header: plain_text only")?;
                ensure((1..=150).contains(&length(&text["text"])), "header: 1 to 150")?;
            }
            Some("section") => {
                ensure(kind == "mrkdwn" || kind == "plain_text", "section: text")?;
                ensure((1..=3_000).contains(&length(&text["text"])), "section: 1 to 3000")?;
            }
            other => return Err(format!("unsupported type: {other:?}")),
        }
    }
    Ok(())
}

/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>: the answers are words.
fn slack_webhook(seen: &Seen) -> Scripted {
    let answer = match slack_message(&seen.json()) {
        Ok(()) => (200, "ok"),
        Err(_) => (400, "invalid_blocks"),
    };
    Scripted { status: answer.0, after: None, body: answer.1.to_owned() }
}

/// Telegram's HTML: its own tags, closed in order, and four named entities.
fn telegram_tags(text: &str) -> Result<(), Problem> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(['<', '>', '&']) {
        let found = rest.strip_suffix(after).and_then(|before| before.chars().last());
        rest = after;
        match found {
            Some('&') => {
                let known = ["amp;", "lt;", "gt;", "quot;"].iter().any(|e| after.starts_with(e));
                ensure(known, "unknown entity")?;
            }
            Some('<') => {
                let (tag, behind) = after.split_once('>').ok_or("unclosed start tag")?;
                rest = behind;
                if let Some(name) = tag.strip_prefix('/') {
                    ensure(open.pop() == Some(name), format!("unexpected end tag {name}"))?;
                } else {
                    let name = tag.split(' ').next().unwrap();
                    let known = ["b", "i", "u", "s", "a", "code", "pre", "blockquote"];
                    ensure(known.contains(&name), format!("unsupported start tag \"{name}\""))?;
                    open.push(name);
                }
            }
            _ => return Err("unexpected >".to_owned()),
        }
    }
    ensure(open.is_empty(), "can't find end tag")
}

/// <https://developer.pagerduty.com/docs/send-alert-event>, and the schema of its API.
fn pagerduty(seen: &Seen) -> Scripted {
    let body = seen.json();
    let check = || -> Result<(), Problem> {
        ensure(body["routing_key"] == ROUTING_KEY, "'routing_key' is invalid")?;
        ensure((1..=255).contains(&length(&body["dedup_key"])), "'dedup_key' is missing")?;
        let action = body["event_action"].as_str().unwrap_or_default();
        ensure(["trigger", "acknowledge", "resolve"].contains(&action), "'event_action'")?;
        if action != "trigger" {
            return Ok(());
        }
        let payload = &body["payload"];
        ensure((1..=1_024).contains(&length(&payload["summary"])), "'payload.summary'")?;
        ensure(length(&payload["source"]) > 0 && payload["source"].is_string(), "'source'")?;
        let severity = payload["severity"].as_str().unwrap_or_default();
        ensure(["critical", "error", "warning", "info"].contains(&severity), "'severity'")?;
        ensure(payload["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')), "'timestamp'")?;
        ensure(seen.body.len() <= 512 * 1024, "too large")?;
        for link in body["links"].as_array().ok_or("'links'")? {
            ensure(link["href"].as_str().is_some_and(|h| h.starts_with("http")), "'links.href'")?;
        }
        Ok(())
    };
    match check() {
        Ok(()) => says(
            202,
            &json!({ "status": "success", "message": "Event processed", "dedup_key": body["dedup_key"] }),
        ),
        Err(problem) => says(
            400,
            &json!({ "status": "invalid event", "message": "Event object is invalid", "errors": [problem] }),
        ),
    }
}

/// <https://docs.opsgenie.com/docs/alert-api>: fields and their limits.
fn opsgenie(path: &str, seen: &Seen) -> Scripted {
    if seen.header("authorization") != Some(format!("GenieKey {GENIE_KEY}").as_str()) {
        return says(401, &json!({ "message": "API Key is not valid", "took": 0.001 }));
    }
    let body = seen.json();
    let check = || -> Result<(), Problem> {
        if path != "/v2/alerts" {
            ensure(seen.path.ends_with("?identifierType=alias"), "identifierType")?;
            if path.ends_with("/priority") {
                ensure(seen.method == "PUT", "method")?;
                return ensure(body["priority"].is_string(), "priority");
            }
            let known = ["/close", "/notes", "/acknowledge"].iter().any(|end| path.ends_with(end));
            ensure(known, "no such action")?;
            let note = !path.ends_with("/notes") || body["note"].is_string();
            return ensure(note && body["source"].is_string(), "note");
        }
        ensure((1..=130).contains(&length(&body["message"])), "message")?;
        ensure((1..=512).contains(&length(&body["alias"])), "alias")?;
        ensure(length(&body["description"]) <= 15_000, "description")?;
        ensure(length(&body["entity"]) <= 512, "entity")?;
        ensure(length(&body["source"]) <= 100, "source")?;
        let tags = body["tags"].as_array().ok_or("tags")?;
        ensure(tags.len() <= 20 && tags.iter().all(|tag| length(tag) <= 50), "tags")?;
        let details = body["details"].as_object().ok_or("details")?;
        ensure(details.values().all(Value::is_string), "details")?;
        ensure(body["details"].to_string().len() <= 8_000, "details")?;
        let priority = body["priority"].as_str().unwrap_or_default();
        ensure(["P1", "P2", "P3", "P4", "P5"].contains(&priority), "priority")
    };
    match check() {
        Ok(()) => says(
            202,
            &json!({ "result": "Request will be processed", "took": 0.302, "requestId": "43a29c5c" }),
        ),
        Err(problem) => says(
            422,
            &json!({ "message": "Request body is not processable. Please check the errors.", "errors": problem }),
        ),
    }
}

/// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook>
/// (28 KB) and <https://adaptivecards.io/explorer/>.
fn teams(seen: &Seen) -> Scripted {
    let body = seen.json();
    let check = || -> Result<(), Problem> {
        ensure(seen.body.len() <= 28 * 1024, "larger than 28 KB")?;
        ensure(body["type"] == "message", "type")?;
        let attachments = body["attachments"].as_array().ok_or("attachments")?;
        ensure(attachments.len() == 1, "attachments")?;
        let kind = "application/vnd.microsoft.card.adaptive";
        ensure(attachments[0]["contentType"] == kind, "contentType")?;
        let card = &attachments[0]["content"];
        ensure(card["type"] == "AdaptiveCard" && card["version"] == "1.4", "card")?;
        for element in card["body"].as_array().ok_or("body")? {
            let lines = match element["type"].as_str() {
                Some("Container") => element["items"].as_array().cloned().ok_or("items")?,
                _ => vec![element.clone()],
            };
            for line in lines {
                ensure(line["type"] == "RichTextBlock", "an element that may read Markdown")?;
                let run = &line["inlines"][0];
                ensure(run["type"] == "TextRun" && length(&run["text"]) > 0, "inlines")?;
            }
        }
        for action in card["actions"].as_array().ok_or("actions")? {
            ensure(action["type"] == "Action.OpenUrl", "action")?;
            ensure(action["url"].as_str().is_some_and(|u| u.starts_with("http")), "url")?;
        }
        Ok(())
    };
    match check() {
        Ok(()) => Scripted { status: 202, after: None, body: String::new() },
        Err(problem) => says(
            400,
            &json!({ "error": { "code": "TriggerInputSchemaMismatch", "message": problem } }),
        ),
    }
}
