//! Alerts by mail, one message for each recipient.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::{Class, NotifyError, Retry};
use super::message;
use super::receiver::{Envelope, ReceiverError};
use crate::engine::alert::{Alert, Severity, State};
use crate::series::stable_hash;
use crate::time::Timestamp;

/// Mail as the config describes it.
#[derive(Clone, Debug)]
pub struct EmailConfig {
    /// The recipients.
    pub to: Vec<Mailbox>,
    /// The sender.
    pub from: Mailbox,
    /// The server.
    pub relay: Relay,
    /// User name and password, if the server wants them.
    pub login: Option<(String, SecretString)>,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: Tls,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    None,
    /// If the server offers it. Without a login and a `ca_file` its certificate is not checked:
    /// relays on the own host have self-made ones, and any encryption is better than none.
    Opportunistic,
    /// With STARTTLS, or nothing is sent.
    Required,
    /// From the first byte.
    Implicit,
}

/// Mail to one recipient, ready to send.
pub struct Email {
    to: Mailbox,
    from: Mailbox,
    relay: Relay,
    tls: Option<TlsParameters>,
    login: Option<(String, SecretString)>,
    attempt: String,
}

/// Whole exchange. Longer than the pause with which servers try the patience of senders.
const TIMEOUT: Duration = Duration::from_secs(45);
/// For saying goodbye once the message is accepted.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Replies about the sender's login and not about the message: worth another try, because the
/// password may be put right within the day.
const LOGIN_REPLIES: [u16; 4] = [530, 534, 535, 538];

impl Relay {
    /// Whether a password can be sent without anyone else reading it.
    pub fn protects_login(&self) -> bool {
        let own_host = matches!(self.host.as_str(), "127.0.0.1" | "::1" | "localhost");
        own_host || matches!(self.tls, Tls::Required | Tls::Implicit)
    }
}

impl Tls {
    /// The port on which servers offer this: for relays, for senders who log in, for TLS.
    pub const fn port(self) -> u16 {
        match self {
            Self::None | Self::Opportunistic => 25,
            Self::Required => 587,
            Self::Implicit => 465,
        }
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email")
            .field("to", &self.to)
            .field("relay", &self.relay)
            .finish_non_exhaustive()
    }
}

impl Email {
    /// Sets mail up for each recipient, in order.
    ///
    /// # Errors
    ///
    /// When there is none, a certificate cannot be used, or a password would go in the clear.
    pub fn for_each(receiver: &str, config: &EmailConfig) -> Result<Vec<Self>, ReceiverError> {
        let receiver = || receiver.to_owned();
        if config.to.is_empty() {
            return Err(ReceiverError::Nobody { receiver: receiver() });
        }
        let relay = &config.relay;
        if config.login.is_some() && !relay.protects_login() {
            return Err(ReceiverError::PlainLogin { receiver: receiver() });
        }
        let setup = |error: lettre::transport::smtp::Error| ReceiverError::Setup {
            receiver: receiver(),
            attempt: "set up encryption",
            detail: error.to_string(),
        };
        let mut tls = None;
        if relay.tls != Tls::None {
            let mut builder = TlsParameters::builder(relay.host.clone());
            if let Some(path) = &config.ca_file {
                let pem = std::fs::read(path).map_err(|source| ReceiverError::File {
                    receiver: receiver(),
                    path: path.clone(),
                    source,
                })?;
                let certificate = Certificate::from_pem(&pem).map_err(setup)?;
                builder = builder.add_root_certificate(certificate);
            } else if relay.tls == Tls::Opportunistic && config.login.is_none() {
                builder = builder
                    .dangerous_accept_invalid_certs(true)
                    .dangerous_accept_invalid_hostnames(true);
            }
            tls = Some(builder.build().map_err(setup)?);
        }
        let attempt = format!("cannot send mail through `{}:{}`", relay.host, relay.port);
        let mail = |to: &Mailbox| Self {
            to: to.clone(),
            from: config.from.clone(),
            relay: relay.clone(),
            tls: tls.clone(),
            login: config.login.clone(),
            attempt: attempt.clone(),
        };
        Ok(config.to.iter().map(mail).collect())
    }

    /// Sends a message. Returns when the server has taken responsibility for it.
    ///
    /// # Errors
    ///
    /// When the server refuses, or its acceptance was not seen.
    pub async fn send(&self, envelope: Envelope<'_>) -> Result<(), NotifyError> {
        let mail = self.compose(envelope)?;
        tokio::time::timeout(TIMEOUT, self.exchange(&mail)).await.unwrap_or_else(|_| {
            let detail = format!("no answer within {} seconds", TIMEOUT.as_secs());
            Err(self.error(Class::Timeout, Retry::Later, &detail))
        })
    }

    async fn exchange(&self, mail: &lettre::Message) -> Result<(), NotifyError> {
        let mut connection = self.connect().await.map_err(|e| self.failed(&e, false))?;
        if let Some((user, password)) = &self.login {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            if let Err(error) = connection.auth(DEFAULT_MECHANISMS, &credentials).await {
                connection.abort().await;
                return Err(self.failed(&error, false));
            }
        }
        let sent = connection.send(mail.envelope(), &mail.formatted()).await;
        if let Err(error) = sent {
            return Err(self.failed(&error, true));
        }
        // Accepted: whatever happens from here on, it must not be sent again.
        let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let hello = ClientId::default();
        let server = (self.relay.host.as_str(), self.relay.port);
        let at_once = self.tls.clone().filter(|_| self.relay.tls == Tls::Implicit);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(TIMEOUT), &hello, at_once, None)
                .await?;
        if let Some(tls) = &self.tls {
            let wanted = match self.relay.tls {
                Tls::Required => true,
                Tls::Opportunistic => connection.can_starttls(),
                Tls::None | Tls::Implicit => false,
            };
            if wanted {
                connection.starttls(tls.clone(), &hello).await?;
            }
        }
        Ok(connection)
    }

    /// What a failure means. Only a refusal of the message itself, `about_message`, is for good.
    fn failed(&self, error: &lettre::transport::smtp::Error, about_message: bool) -> NotifyError {
        let code = error.status().map(u16::from);
        let mut detail = error.to_string();
        let later = |class, detail: &str| self.error(class, Retry::Later, detail);
        if detail.contains("CaUsedAsEndEntity") {
            detail.push_str("; hint: the server's certificate is marked as an authority; give the server one issued by that authority");
        }
        match code {
            Some(code) if LOGIN_REPLIES.contains(&code) => later(Class::Auth, &detail),
            Some(_) if error.is_permanent() && about_message => {
                self.error(Class::Refused, Retry::Never, &detail)
            }
            Some(_) => later(Class::Busy, &detail),
            None if error.is_timeout() => later(Class::Timeout, &detail),
            None if error.is_tls() || detail.contains("certificate") => later(Class::Tls, &detail),
            None => later(Class::Network, &detail),
        }
    }

    fn error(&self, class: Class, retry: Retry, detail: &str) -> NotifyError {
        let secrets = self.login.iter().map(|(_, password)| password.expose_secret());
        NotifyError::new(class, retry, &self.attempt, detail, secrets)
    }

    fn compose(&self, envelope: Envelope<'_>) -> Result<lettre::Message, NotifyError> {
        let message = message::message(&as_news(envelope), envelope.now);
        if let Some(failure) = &message.failure {
            tracing::error!(key = envelope.key, failure, "a mail could not be laid out");
        }
        let id = self.message_id(envelope.key);
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .to(self.to.clone())
            .subject(message.subject)
            .date(date(envelope.now))
            .message_id(Some(id))
            .user_agent(concat!("grayflag/", env!("CARGO_PKG_VERSION")).to_owned())
            .header(AutoSubmitted);
        if envelope.first != envelope.key {
            let first = self.message_id(envelope.first);
            builder = builder.in_reply_to(first.clone()).references(first);
        }
        if envelope.alert.severity == Severity::Critical {
            builder = builder.header(Importance);
        }
        let built = match message.html {
            None => builder.singlepart(SinglePart::plain(message.text)),
            Some(html) => builder.multipart(
                MultiPart::alternative()
                    .boundary(format!("{:032x}", stable_hash(&["boundary", envelope.key])))
                    .singlepart(SinglePart::plain(message.text))
                    .singlepart(SinglePart::html(html)),
            ),
        };
        built.map_err(|error| self.error(Class::Message, Retry::Never, &error.to_string()))
    }

    /// The same for every repetition, so that servers and readers can tell one.
    fn message_id(&self, key: &str) -> String {
        format!("<{:032x}@{}>", stable_hash(&["message", key]), self.from.email.domain())
    }
}

/// A date that a mail can carry.
fn date(at: Timestamp) -> std::time::SystemTime {
    let seconds = u64::try_from(at.as_secs()).unwrap_or(0).min(LAST_SECOND);
    std::time::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The end of the year 9998; dates in mail have four digits for the year.
const LAST_SECOND: u64 = 253_370_764_800 - 1;

/// Tells holiday responders not to answer.
#[derive(Clone)]
struct AutoSubmitted;

/// Marks what should be seen first.
#[derive(Clone)]
struct Importance;

macro_rules! fixed_header {
    ($type:ty, $name:literal, $value:literal) => {
        impl Header for $type {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }
            fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Self)
            }
            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), $value.to_owned())
            }
        }
    };
}

fixed_header!(AutoSubmitted, "Auto-Submitted", "auto-generated");
fixed_header!(Importance, "Importance", "high");

/// The alert as this recipient should read it: whoever was not told of an incident before, because
/// it was too mild for its route, is told that there is one and not that it changed.
fn as_news(envelope: Envelope<'_>) -> Alert {
    let mut alert = envelope.alert.clone();
    if envelope.first == envelope.key && alert.state == State::Updated {
        alert.state = State::Firing;
    }
    alert
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_stay_on_the_own_host_or_are_encrypted() {
        for (host, tls, want) in [
            ("127.0.0.1", Tls::None, true),
            ("::1", Tls::Opportunistic, true),
            ("localhost", Tls::None, true),
            ("mail.example.com", Tls::None, false),
            ("mail.example.com", Tls::Opportunistic, false),
            ("mail.example.com", Tls::Required, true),
            ("mail.example.com", Tls::Implicit, true),
            ("127.0.0.1.example.com", Tls::None, false),
        ] {
            let relay = Relay { host: host.to_owned(), port: 25, tls };
            assert_eq!(relay.protects_login(), want, "{relay:?}");
        }
    }

    #[test]
    fn dates_outside_the_calendar_of_mail_are_clamped() {
        for at in [i64::MIN, -1, 0, i64::MAX] {
            let date = date(Timestamp::from_millis(at));
            // The conversion that panics for years that do not fit.
            let _ = lettre::message::header::Date::new(date);
        }
    }
}
