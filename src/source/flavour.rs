//! Which product answers: the same query gives different values on different ones.

use std::fmt;

use serde::Deserialize;

use super::Prometheus;
use super::client::Ignored;
use crate::time::Span;

/// Which product answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Prometheus, with its version.
    Prometheus(String),
    /// VictoriaMetrics; it does not say its version here.
    VictoriaMetrics {
        /// Old versions repeat older values in the last half minute, or give none there, and
        /// cannot be told not to.
        hides_newest: bool,
    },
    /// Another one that gives its name, as Mimir does: name and version.
    Other(String, String),
    /// It does not say.
    Unknown,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prometheus(version) => write!(f, "Prometheus {version}"),
            Self::VictoriaMetrics { .. } => f.write_str("VictoriaMetrics"),
            Self::Other(name, version) => write!(f, "{name} {version}"),
            Self::Unknown => f.write_str("unknown backend"),
        }
    }
}

/// For so long old VictoriaMetrics hides new samples, unless its own options say otherwise.
const HIDDEN: Span = Span::from_secs(30);

impl Flavour {
    /// How long after a tick its values are final at the earliest, where ticks are less than a
    /// minute apart: a poll that settles sooner would read repeated values, or none.
    pub const fn settle_min(&self) -> Span {
        match self {
            Self::VictoriaMetrics { hides_newest: true } => HIDDEN,
            _ => Span::ZERO,
        }
    }
}

impl Prometheus {
    /// Asks which product this is. Never fails: what does not say is [`Flavour::Unknown`].
    pub async fn flavour(&self) -> Flavour {
        let path = "api/v1/status/buildinfo";
        let Ok(authorization) = self.client.authorization().await else {
            return Flavour::Unknown;
        };
        let answered = self.client.get(path, &authorization, self.client.timeout()).await;
        let Ok(answered) = answered else {
            return Flavour::Unknown;
        };
        // It pretends to be some Prometheus in the body, for Grafana's sake.
        if answered.headers.contains_key("x-server-hostname") {
            let form = [("query", "1"), ("start", "60"), ("end", "60"), ("step", "1")]
                .map(|(name, value)| (name, value.to_owned()));
            // Versions that know the option refuse a value that is no duration; they look at it
            // only where steps are short.
            let form = [&form[..], &[("latency_offset", "none".to_owned())]].concat();
            let path = "api/v1/query_range";
            let asked = self.client.ask(path, &form, &authorization, &mut Ignored).await;
            return Flavour::VictoriaMetrics { hides_newest: asked.is_ok() };
        }
        flavour_of(&answered.body)
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Build,
}

#[derive(Deserialize)]
struct Build {
    application: Option<String>,
    version: Option<String>,
}

fn flavour_of(body: &[u8]) -> Flavour {
    match serde_json::from_slice(body) {
        Ok(Answer { data: Build { application: Some(name), version } }) => {
            Flavour::Other(name, version.unwrap_or_default())
        }
        Ok(Answer { data: Build { version: Some(version), .. } }) => Flavour::Prometheus(version),
        _ => Flavour::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_say_nothing_are_unknown() {
        let prometheus = br#"{"status":"success","data":{"version":"3.5.3","revision":"x"}}"#;
        assert_eq!(flavour_of(prometheus).to_string(), "Prometheus 3.5.3");
        let mimir = br#"{"data":{"application":"Grafana Mimir","version":"2.17.0"}}"#;
        assert_eq!(flavour_of(mimir).to_string(), "Grafana Mimir 2.17.0");
        for body in ["", "<html>", r#"{"data":{}}"#, r#"{"data":[]}"#, "404 page not found"] {
            assert_eq!(flavour_of(body.as_bytes()), Flavour::Unknown, "{body}");
        }
    }
}
