//! The documented default configuration. Values come from the defaults themselves, so that
//! text and behaviour cannot part.

use super::{Config, rule_files};
use crate::hours::Moment;
use crate::rules::Budget;

/// Every option, explained, at its default. `##` explains; a line with one `#` is an option
/// that is not set by default.
pub fn default_text() -> String {
    let config = Config::default();
    let Config { poll, source, store, http, digest, .. } = &config;
    let paths: Vec<String> =
        rule_files::default_paths().iter().map(|path| format!("{path:?}")).collect();
    let Budget { alerts_per_week, notices_per_week } = Budget::default();
    let values = [
        ("interval", poll.interval.to_string()),
        ("settle", poll.settle.to_string()),
        ("history", poll.history.to_string()),
        ("timezone", poll.timezone.iana_name().unwrap_or("UTC").to_owned()),
        ("alerts", rate(alerts_per_week)),
        ("notices", rate(notices_per_week)),
        ("url", source.url.clone()),
        ("timeout", source.timeout.to_string()),
        ("concurrency", source.max_concurrency.to_string()),
        ("points", source.max_points_per_query.to_string()),
        ("gzip", source.gzip.to_string()),
        ("store", format!("sqlite:{}", store.path.display())),
        ("listen", http.listen.to_string()),
        ("paths", paths.join(", ")),
        ("every", super::heartbeat::EVERY_DEFAULT.to_string()),
        ("daily", moment(digest.daily.as_ref())),
        ("weekly", moment(digest.weekly.as_ref())),
        ("log", config.runtime.log.clone()),
        ("watch", config.runtime.watch.to_string()),
        ("from", super::receivers::FROM_DEFAULT.to_owned()),
        ("slack", crate::notify::slack::API_URL.to_owned()),
        ("telegram", crate::notify::telegram::API_URL.to_owned()),
        ("keep_alive", super::receivers::KEEP_ALIVE_DEFAULT.to_string()),
    ];
    let mut text = TEXT.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("<{name}>"), &value);
    }
    text
}

fn moment(moment: Option<&Moment>) -> String {
    moment.map_or_else(|| super::digest::NEVER.to_owned(), ToString::to_string)
}

/// A rate in the longest unit in which it is a whole number.
fn rate(per_week: f64) -> String {
    let per_month = per_week * 30.0 / 7.0;
    if (per_week - per_week.round()).abs() < 1e-9 {
        format!("{}/week", per_week.round())
    } else if (per_month - per_month.round()).abs() < 1e-9 {
        format!("{}/month", per_month.round())
    } else {
        format!("{per_week}/week")
    }
}

const TEXT: &str = r#"## The configuration of grayflag: every option, at its default.
##
## Lines with two # explain. Lines with one # are options that are not set; remove the #, and
## change the value, to use one. Durations are written as Prometheus does: 250ms, 30s, 1h30m, 4w.
## Relative paths begin at the folder of this file. A secret's or certificate's file can also be
## "credential:NAME", which systemd hands over. `grayflag check` says what is wrong here.

[poll]
## The time between ticks, 1s to 5m; it must divide 5m evenly.
interval = "<interval>"
## How long a tick waits for samples that come late, at most 10m.
settle = "<settle>"
## How much of the past is read at the first start to learn what is normal, 3d to 8w.
history = "<history>"
## For the time of the week and calendar boundaries; a name of the IANA database.
timezone = "<timezone>"

## False alarms that you accept, per service: a number per day, week or month (30 days).
## Thresholds are set from these numbers. Fractions are fine: "0.25/week".
[budget]
## What interrupts a person: warning and critical.
alerts = "<alerts>"
## What is shown on the pages and told in the digest; at least as many as alerts.
notices = "<notices>"

## The metrics backend. It is only ever read.
[source]
## Prometheus, VictoriaMetrics, Thanos, Mimir and Cortex answer the same API.
kind = "prometheus"
## The address, up to the path before `/api/v1`.
url = "<url>"
## For one request, at most 5m.
timeout = "<timeout>"
## Requests at once, 1 to 64.
max_concurrency = <concurrency>
## Points per series that one request may ask for, 100 to 11000; longer times are split.
max_points_per_query = <points>
## Whether answers are compressed.
gzip = <gzip>
## Sent with every request. A value can also be kept elsewhere: { file = "…" } or { env = "…" }.
# headers = { "X-Scope-OrgID" = "team-a" }
## User and password; or `password_file`, or `password_env` with the name of a variable.
# basic_auth = { username = "grayflag", password_file = "secrets/source-password" }
## A file with a token, read again when it changes; or `bearer_token`, or `bearer_token_env`.
# bearer_token_file = "secrets/source-token"
## For https: whom to trust, who we are, and the name in the server's certificate.
# tls = { ca_file = "tls/ca.pem", cert_file = "tls/client.pem", key_file = "tls/client.key", server_name = "metrics.internal" }

## Where state is kept: one SQLite file, "sqlite:PATH".
[store]
url = "<store>"

## Where pages and API are served, and who may use them. On loopback everybody on this machine may,
## as long as no token is configured; elsewhere reading and writing need a token. Health and metrics
## never need one.
[http]
listen = "<listen>"
## A token that may read and write, shown as `Authorization: Bearer …` or on the page /-/login; one
## that may write is required where `listen` is not on loopback. Or `token`, or `token_env` with the
## name of a variable. `openssl rand -hex 32` makes one.
# token_file = "secrets/http-token"
## Whether strangers may read, also where `listen` is not on loopback.
# public_reads = true
## A certificate and its key in PEM, read again when they change. With `client_ca_file`, whoever
## connects must show a certificate of these authorities.
# tls = { cert_file = "tls/server.pem", key_file = "tls/server.key", client_ca_file = "tls/clients.pem" }
## Names under which it may be addressed, besides addresses and `localhost`: those of a proxy.
# hosts = ["grayflag.example.com"]
## Where people open the pages, for links in alerts: `http://` and the address above unless set.
# url = "https://grayflag.example.com"

## Or several tokens, each with a name, so that one can be taken back alone. One
## that may read guards reading on loopback, too.
# [[http.token]]
# name = "ci"
## read, or write, which includes reading.
# scope = "write"
# token_file = "secrets/http-token-ci"

## Sends a sign of life, while everything is learned and the newest tick is fresh, to a service that
## calls somebody when none comes, such as Healthchecks.io or Dead Man's Snitch.
# [heartbeat]
## The address that the service gave, a secret; or `url`, or `url_env` with the name of a variable.
# url_file = "secrets/heartbeat-url"
## From 10s to 1d; tell the service to wait for a few of them.
# every = "<every>"
## get or post.
# method = "get"
## Trusted besides the system's authorities.
# ca_file = "tls/ca.pem"

## The rule files; `*` can stand in the file's name. Where this is not set, files in the folders
## below are read, and in place of the first two, where they have none, the rules that the program
## brings along: signals of HTTP, RPC and database clients, and all causes.
[rules]
# paths = [<paths>]

## Services are discovered from the labels of the signals. Describe one to say more about it.
# [[service]]
# name = "checkout"
## What it calls: services, databases, queues.
# depends_on = ["payments", "orders-db"]
# owner = "checkout-team"
## What users would notice; learned from history if it is not given.
# objective = { latency = "800ms", errors = "0.1%" }

## Calls between services, from metrics: rows with the labels `client` and `server`.
# [topology]
# query = 'sum by (client, server) (rate(traces_service_graph_request_total[1h])) > 0'

## Changes, from metrics; others arrive by POST /api/v1/changes.
# [[change]]
## deploy, config, flag, migration, scaling or maintenance.
# kind = "deploy"
# query = 'count by (service, version) (app_build_info)'
## The label that names the service.
# service = "service"
## A value of this label that was not seen before is the event. Or in its place:
## value = "timestamp" (the sample is the unix time of the event), value = "step" (the number moved).
# appears = "version"
## How long such a change goes on where nobody knows when it was over, 1s to 1w.
# lasts = "20m"

## Or from Grafana's annotations.
# [[change]]
# kind = "deploy"
# [change.grafana]
# url = "http://127.0.0.1:3000"
## A service account's token; or `token`, or `token_env` with the name of a variable.
# token_file = "secrets/grafana-token"
## An annotation must have all of these tags.
# tags = ["deploy"]
## What follows this in a tag is the service; or `service = "checkout"` for always the same.
# service_tag = "service:"

## Where alerts can go: one way for each receiver, `email`, `webhook`, `slack`, `pagerduty`,
## `opsgenie`, `teams`, `discord`, `telegram` or `alertmanager`. docs/receivers.md says what each
## looks like.
# [[receiver]]
# name = "oncall"
## Messages it is sent at most, per s, m or h; the rest waits. docs/operations.md has the usual ones.
# rate = "60/m"
## Messages in hand at once, 1 to 32; those about one incident keep their order.
# at_once = 1
# [receiver.email]
# to = ["oncall@example.com"]
# from = "<from>"
## smtp://HOST:PORT, or smtps://HOST:PORT for TLS from the first byte. Without a PORT it is 25,
## 587 with starttls, 465 with smtps.
# smtp = "smtp://127.0.0.1:25"
## With smtp://: none, opportunistic (STARTTLS if it is offered) or starttls (required).
# tls = "opportunistic"
## A password leaves this machine only with starttls or smtps.
# username = "grayflag"
## Or `password`, or `password_env` with the name of a variable.
# password_file = "secrets/smtp-password"
## Trusted besides the system's authorities.
# ca_file = "tls/ca.pem"

# [[receiver]]
# name = "chat"
# [receiver.webhook]
## Gets a POST with the alert as JSON, schema grayflag.alert/v1, or a digest, grayflag.digest/v1.
# url = "https://example.com/hooks/grayflag"
## As for the source.
# headers = { Authorization = { file = "secrets/hook-token" } }
## Signs what is sent, in the header X-Grayflag-Signature. Or `signing_secret`, or
## `signing_secret_env` with the name of a variable.
# signing_secret_file = "secrets/hook-signing"
## Trusted besides the system's authorities; every way that follows takes it too.
# ca_file = "tls/ca.pem"

## When this receiver is not to be disturbed: what comes waits until the hours end, and what is over
## by then is not sent. What `except` names comes all the same; critical unless told otherwise.
# [receiver.quiet]
# hours = ["22:00-07:00", "Sat,Sun 00:00-24:00"]
## The zone of poll.timezone unless told otherwise.
# timezone = "Europe/Berlin"
# except = ["critical"]

# [[receiver]]
# name = "slack"
# [receiver.slack]
## As an app: the message about an incident changes as the incident moves. Or `token`, or
## `token_env` with the name of a variable; so it is with all secrets that follow.
# token_file = "secrets/slack-token"
## Its id, or `#` and its name.
# channel = "C0123456789"
## The address of the API, where it is not the service's own: a proxy, or GovSlack.
# api_url = "<slack>"

# [[receiver]]
# name = "slack-webhook"
# [receiver.slack]
## In place of `token` and `channel`, the webhook of a channel: every message is a new one.
# webhook_url_file = "secrets/slack-webhook"

# [[receiver]]
# name = "pager"
# [receiver.pagerduty]
## The key of an integration of the kind Events API v2.
# routing_key_file = "secrets/pagerduty-key"
## us or eu; or `api_url` in its place.
# region = "us"

# [[receiver]]
# name = "opsgenie"
# [receiver.opsgenie]
## The key of an integration of the kind API.
# api_key_file = "secrets/opsgenie-key"
## us or eu; or `api_url` in its place.
# region = "us"

# [[receiver]]
# name = "teams"
# [receiver.teams]
## The address that a workflow gives, of those that begin when a webhook request is received.
# webhook_url_file = "secrets/teams-webhook"

# [[receiver]]
# name = "discord"
# [receiver.discord]
## The address of a channel's webhook; with `?thread_id=…` for a thread.
# webhook_url_file = "secrets/discord-webhook"

# [[receiver]]
# name = "telegram"
# [receiver.telegram]
## The bot's token.
# token_file = "secrets/telegram-token"
## The number of a chat, or the @name of a channel.
# chat_id = "-1001234567890"
## The topic within the chat.
# message_thread_id = 4
## The address of the API, where it is not the service's own.
# api_url = "<telegram>"

# [[receiver]]
# name = "alertmanager"
# [receiver.alertmanager]
## Every member of a cluster, up to the path before `/api/v2`.
# urls = ["http://127.0.0.1:9093"]
## As for the source: headers, basic_auth, and bearer_token, bearer_token_file or bearer_token_env.
# bearer_token_file = "secrets/alertmanager-token"
## Trusted besides the system's authorities.
# ca_file = "tls/ca.pem"
## Further labels of every alert.
# labels = { team = "shop" }
## How often an open incident is repeated, 5s to 30m: one that is not is taken as over.
# keep_alive = "<keep_alive>"

## Which alerts go where; every route that matches is used. Without any route, warning and
## critical go to every receiver, and notices are told in the digest only. `grayflag routes test`
## shows who would get what.
# [[route]]
# to = ["oncall", "chat"]
## The routes after this one are not for what matches it.
# stop = true
## All are optional, one value of each list must match, and `*` stands for any text.
# [route.match]
## notice, warning, critical.
# severity = ["warning", "critical"]
## A service in the incident, or its owner as [[service]] says it.
# service = ["checkout", "payments-*"]
# owner = ["checkout-team"]
## The leading cause.
# cause = ["slow-dependency"]
## A signal that moved.
# signal = ["http-latency-p99"]
## Labels of signals that moved, of the culprit and of the breakdown.
# label = { tenant = ["acme"] }
## When it was decided; the zone of poll.timezone unless told otherwise.
# hours = ["Mon-Fri 09:00-17:00"]
# timezone = "Europe/Berlin"

## Every alert, notices too.
# [[route]]
# to = ["slack", "slack-webhook", "pager", "opsgenie", "teams", "discord", "telegram", "alertmanager"]

## What interrupts a person and matches no other route.
# [[route]]
# default = true
# to = ["oncall"]

## Planned work that returns. While it lasts nothing is learned, and alerts wait until it is over.
# [[maintenance]]
# name = "backup"
## All services without this.
# services = ["orders-db"]
# hours = ["Sun 02:00-04:00"]
# timezone = "Europe/Berlin"

## News of a day and of a week: incidents, notices, what crept, what was held back, what is silent.
## Told as soon as there is a receiver.
[digest]
## A time of day, or "never".
daily = "<daily>"
## A day and a time of day, or "never".
weekly = "<weekly>"
## `poll.timezone` unless told otherwise.
# timezone = "UTC"
## Receivers that people read; all of them unless told otherwise.
# to = ["chat"]

## Messages are laid out by templates. Every file of this folder replaces the one of the same name;
## `grayflag config --templates DIR` writes them all, to start from. docs/templates.md explains.
# [templates]
# dir = "templates"

## What is logged: a level, or a list such as "info,grayflag::source=debug". The option `--log` of
## `grayflag run`, or GRAYFLAG_LOG, counts before it.
[log]
filter = "<log>"

## Changed files are taken up within 20 s: this one, the rules, and whatever else they name. What
## cannot be used is told, and the configuration before stays in force. SIGHUP and
## `POST /-/reload` do the same at once, whether or not files are watched.
[reload]
watch = <watch>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_in_whole_numbers() {
        for (per_week, want) in
            [(1.0, "1/week"), (7.0 / 30.0, "1/month"), (14.0 / 30.0, "2/month"), (0.3, "0.3/week")]
        {
            assert_eq!(rate(per_week), want);
        }
    }

    #[test]
    fn no_placeholder_is_left() {
        assert!(!default_text().contains('<'), "{}", default_text());
    }
}
