//! The exchange with a mail server, and what its answers mean.

use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret as _;

use super::{Email, Tls};
use crate::notify::error::{Class, NotifyError, Retry};

/// Whole exchange. Longer than the pause with which servers try the patience of senders.
const TIMEOUT: Duration = Duration::from_secs(45);
/// For saying goodbye once the message is accepted.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Replies about the sender's login and not about the message: worth another try, because the
/// password may be put right within the day.
const LOGIN_REPLIES: [u16; 4] = [530, 534, 535, 538];

impl Email {
    /// Hands a mail over. Returns when the server has taken responsibility for it.
    pub(super) async fn hand_over(&self, mail: &lettre::Message) -> Result<(), NotifyError> {
        let sent = tokio::time::timeout(TIMEOUT, self.exchange(mail)).await;
        sent.unwrap_or_else(|_| {
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
}
