//! Alerts by mail, one message for each recipient.

mod compose;
mod transport;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use futures_util::future::BoxFuture;
use lettre::message::Mailbox;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::{Class, NotifyError, Retry};
use super::pace::Rate;
use super::receiver::{Channel, Envelope, Receipt, ReceiverError};
use super::templates::Templates;

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
pub(super) struct Email {
    templates: Templates,
    to: Mailbox,
    from: Mailbox,
    relay: Relay,
    tls: Option<TlsParameters>,
    login: Option<(String, SecretString)>,
    /// What must not be printed.
    secrets: Vec<SecretString>,
    attempt: String,
}

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
    /// Sets mail up for each recipient, in order, each address once.
    ///
    /// # Errors
    ///
    /// When there is none, a certificate cannot be used, or a password would go in the clear.
    pub(super) fn for_each(
        receiver: &str,
        config: &EmailConfig,
        templates: &Templates,
    ) -> Result<Vec<Self>, ReceiverError> {
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
        let secrets: Vec<SecretString> = config.login.iter().flat_map(unprintable).collect();
        let mail = |to: &Mailbox| Self {
            templates: templates.clone(),
            to: to.clone(),
            from: config.from.clone(),
            relay: relay.clone(),
            tls: tls.clone(),
            login: config.login.clone(),
            secrets: secrets.clone(),
            attempt: attempt.clone(),
        };
        let mut seen = BTreeSet::new();
        let once = config.to.iter().filter(|to| seen.insert(to.email.clone()));
        Ok(once.map(mail).collect())
    }

    /// A failure, without the login that an answer may repeat.
    fn error(&self, class: Class, retry: Retry, detail: &str) -> NotifyError {
        let secrets = self.secrets.iter().map(SecretString::expose_secret);
        NotifyError::new(class, retry, &self.attempt, detail, secrets)
    }
}

/// The password, alone and as logins carry it. Without padding, which a server may leave out.
fn unprintable((user, password): &(String, SecretString)) -> [SecretString; 4] {
    let password = password.expose_secret();
    let encoded = |text: &str| BASE64_STANDARD_NO_PAD.encode(text);
    let plain = encoded(&format!("\0{user}\0{password}"));
    let pair = encoded(&format!("{user}:{password}"));
    [plain, pair, encoded(password), password.to_owned()].map(SecretString::from)
}

impl Channel for Email {
    /// As much as most relays take from one sender.
    fn rate(&self) -> Rate {
        Rate::per_minute(60)
    }

    fn send<'a>(&'a self, envelope: Envelope<'a>) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(async move {
            let (mail, failure) = self.compose(envelope)?;
            self.hand_over(&mail).await?;
            Ok(Receipt { handle: None, failure })
        })
    }
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
}
