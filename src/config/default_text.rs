//! The documented default configuration. Values come from the defaults themselves, so that
//! text and behaviour cannot part.

use super::{Config, rule_files};
use crate::rules::Budget;

/// Every option, explained, at its default. `##` explains; a line with one `#` is an option
/// that is not set by default.
pub fn default_text() -> String {
    let config = Config::default();
    let Config { poll, source, store, http, .. } = &config;
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
        ("from", super::receivers::FROM_DEFAULT.to_owned()),
    ];
    let mut text = TEXT.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("<{name}>"), &value);
    }
    text
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
## Relative paths begin at the folder of this file. `grayflag check` says what is wrong here.

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

## Where the API is served: changes are posted to it.
[http]
listen = "<listen>"
## What writers show as `Authorization: Bearer …`; required where `listen` is not on loopback. Or
## `token`, or `token_env` with the name of a variable. `openssl rand -hex 32` makes one.
# token_file = "secrets/http-token"
## Names under which it may be addressed, besides addresses and `localhost`: those of a proxy.
# hosts = ["grayflag.example.com"]

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

## Where alerts can go: one way for each receiver, `email` or `webhook`.
# [[receiver]]
# name = "oncall"
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
## Gets a POST with the alert as JSON, schema grayflag.alert/v1.
# url = "https://example.com/hooks/grayflag"
## As for the source.
# headers = { Authorization = { file = "secrets/hook-token" } }
## Trusted besides the system's authorities.
# ca_file = "tls/ca.pem"

## Which alerts go where; every route that matches is used. Without any route, warning and
## critical go to every receiver.
# [[route]]
## Each of the three is optional: severity (notice, warning, critical), service, cause.
# match = { severity = ["warning", "critical"], service = ["checkout"], cause = ["slow-dependency"] }
# to = ["oncall", "chat"]
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
