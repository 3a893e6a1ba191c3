//! The exchange with a mail server, and what its answers mean.

use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use secrecy::ExposeSecret as _;

use super::{Email, Tls};
use crate::notify::error::{Class, NotifyError, Retry};

/// Up to where the server asks for the message. Longer than the pause with which servers try the
/// patience of senders.
const TIMEOUT: Duration = Duration::from_secs(45);
/// From there until the server has taken it (RFC 5321, 4.5.3.2.6): some look for spam meanwhile, and
/// who does not wait sends the same again and again.
const TAKEN_TIMEOUT: Duration = Duration::from_secs(600);
/// For saying goodbye once the message is accepted.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Replies about the sender's login and not about the message: worth another try, because the
/// password may be put right within the day.
const LOGIN_REPLIES: [u16; 4] = [530, 534, 535, 538];

impl Email {
    /// Hands a mail over. Returns when the server has taken responsibility for it.
    pub(super) async fn hand_over(&self, mail: &lettre::Message) -> Result<(), NotifyError> {
        let mut connection = self.within(TIMEOUT, self.announce(mail.envelope())).await?;
        let message = mail.formatted();
        let taken = async {
            let taken = connection.message(&message).await;
            taken.map_err(|error| self.failed(&error, true))
        };
        let taken = self.within(TAKEN_TIMEOUT, taken).await;
        // If it was accepted: whatever happens from here on, it must not be sent again.
        leave(&mut connection).await;
        taken.map(|_| ())
    }

    async fn within<T>(
        &self,
        limit: Duration,
        step: impl Future<Output = Result<T, NotifyError>>,
    ) -> Result<T, NotifyError> {
        tokio::time::timeout(limit, step).await.unwrap_or_else(|_| {
            let detail = format!("no answer within {} seconds", limit.as_secs());
            Err(self.error(Class::Timeout, Retry::Later, &detail))
        })
    }

    /// A connection on which the server waits for the message.
    async fn announce(&self, envelope: &Envelope) -> Result<AsyncSmtpConnection, NotifyError> {
        let mut connection = self.connect().await.map_err(|e| self.failed(&e, false))?;
        let mut ready = self.log_in(&mut connection).await;
        if ready.is_ok() {
            ready = self.address(&mut connection, envelope).await;
        }
        if ready.is_err() {
            leave(&mut connection).await;
        }
        ready.map(|()| connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<(), NotifyError> {
        let Some((user, password)) = &self.login else { return Ok(()) };
        let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
        let known = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
        known.map(|_| ()).map_err(|error| self.failed(&error, false))
    }

    async fn address(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
    ) -> Result<(), NotifyError> {
        let mut addresses = envelope.to().iter().chain(envelope.from());
        let mut parameters = Vec::new();
        // What is not ASCII in the rest of a mail is encoded.
        if !addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let detail = "an address is not ASCII, and the server takes no such addresses";
                return Err(self.error(Class::Refused, Retry::Later, detail));
            }
            parameters.push(MailParameter::SmtpUtfEight);
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let refused = |error| self.failed(&error, true);
        let from = Mail::new(envelope.from().cloned(), parameters);
        connection.command(from).await.map_err(refused)?;
        for to in envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(refused)?;
        }
        connection.command(Data).await.map(|_| ()).map_err(refused)
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
}

/// Says goodbye, which changes nothing any more.
async fn leave(connection: &mut AsyncSmtpConnection) {
    let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.abort()).await;
}
