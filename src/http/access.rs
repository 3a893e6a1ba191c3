//! Tokens, what they allow, and where they are needed.

use aws_lc_rs::{digest, hmac};
use axum::http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::{Choice, ConstantTimeEq as _};

use super::endpoint::Access;
use super::login;
use super::problem::Refusal;
use super::{Config, text};
use crate::time::Timestamp;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To look.
    Read,
    /// To look and to write.
    Write,
}

impl Scope {
    /// Both behind their names, for choices in files.
    pub const NAMED: [(&'static str, Self); 2] = [("read", Self::Read), ("write", Self::Write)];

    /// The name used in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Whoever shows it may do something.
#[derive(Clone, Debug)]
pub struct Token {
    /// What people call it; not secret.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// What is shown.
    pub secret: SecretString,
}

/// How somebody showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown<'t> {
    /// Not at all.
    Nothing,
    /// With something that is no token of ours.
    Wrong,
    /// In a header, which no web page sends by itself.
    Header(&'t str, Scope),
    /// In a cookie, which browsers send along.
    Cookie(&'t str, Scope),
}

impl Shown<'_> {
    fn scope(self) -> Option<Scope> {
        match self {
            Self::Header(_, scope) | Self::Cookie(_, scope) => Some(scope),
            Self::Nothing | Self::Wrong => None,
        }
    }
}

impl Config {
    /// What a token must allow for this; none where nobody needs one.
    fn needs(&self, access: Access) -> Option<Scope> {
        let here = self.listen.ip().is_loopback();
        let readers = self.tokens.iter().any(|token| token.scope == Scope::Read);
        match access {
            Access::Open => None,
            Access::Read => (!self.public_reads && (!here || readers)).then_some(Scope::Read),
            Access::Write => (!here || !self.tokens.is_empty()).then_some(Scope::Write),
        }
    }

    /// The token that a text is. All are compared, in a time that does not tell how much of which
    /// is right.
    pub(super) fn token(&self, shown: &str) -> Option<&Token> {
        let hash = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
        let shown = hash(shown);
        let mut found = None;
        for token in &self.tokens {
            let same: Choice = hash(token.secret.expose_secret()).as_ref().ct_eq(shown.as_ref());
            if bool::from(same) {
                found = Some(token);
            }
        }
        found
    }

    /// What a request shows.
    pub(super) fn shown(&self, headers: &HeaderMap, now: Timestamp) -> Shown<'_> {
        if let Some(value) = text(headers, header::AUTHORIZATION.as_str()) {
            let bearer = value
                .split_once(' ')
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                .and_then(|(_, shown)| self.token(shown.trim()));
            return bearer.map_or(Shown::Wrong, |token| Shown::Header(&token.name, token.scope));
        }
        match login::session(headers) {
            None => Shown::Nothing,
            // One that ran out, or of a token that was changed, is as good as none.
            Some(session) => login::of(session, &self.tokens, now)
                .map_or(Shown::Nothing, |token| Shown::Cookie(&token.name, token.scope)),
        }
    }

    /// Whether who shows this may have that access.
    ///
    /// # Errors
    ///
    /// 401 without a token or with a wrong one, 403 with one that allows too little.
    pub(super) fn admit(&self, access: Access, shown: Shown<'_>) -> Result<(), Refusal> {
        let Some(needed) = self.needs(access) else { return Ok(()) };
        let doing = match needed {
            Scope::Read => "reading",
            Scope::Write => "writing",
        };
        match shown.scope() {
            Some(scope) if needed <= scope => Ok(()),
            Some(_) => {
                let detail = format!("{doing} needs a token with the scope `write`");
                Err(Refusal::new(StatusCode::FORBIDDEN, detail))
            }
            None if !self.tokens.iter().any(|token| needed <= token.scope) => {
                let detail = format!(
                    "{doing} needs a token, and none is configured that allows it: see \
                     `http.token_file`"
                );
                Err(Refusal::new(StatusCode::FORBIDDEN, detail))
            }
            None => {
                let detail = format!(
                    "{doing} needs the header `Authorization: Bearer TOKEN` with a token that is \
                     configured in `[http]`"
                );
                Err(Refusal::new(StatusCode::UNAUTHORIZED, detail))
            }
        }
    }
}

impl Token {
    /// Signs what is handed out to those who showed it. The key is made of the token: whoever
    /// changes the token takes back everything that was signed with it.
    pub(super) fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.secret.expose_secret().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn config(listen: &str, scopes: &[Scope], public_reads: bool) -> Config {
        let token = |(n, scope): (usize, &Scope)| Token {
            name: format!("t{n}"),
            scope: *scope,
            secret: SecretString::from(format!("0123456789abcde{n}")),
        };
        let tokens = scopes.iter().enumerate().map(token).collect();
        let listen: SocketAddr = listen.parse().unwrap();
        Config { listen, tokens, public_reads, ..Config::default() }
    }

    #[test]
    fn what_needs_a_token() {
        use Scope::{Read, Write};
        let (here, there) = ("127.0.0.1:1", "0.0.0.0:1");
        for (listen, scopes, public, read, write, why) in [
            (here, &[][..], false, None, None, "this machine is trusted unless told otherwise"),
            (here, &[Write], false, None, Some(Write), "a token for writers leaves reading free"),
            (here, &[Read], false, Some(Read), Some(Write), "who guards reading guards writing"),
            (here, &[Read, Write], false, Some(Read), Some(Write), "both are asked for"),
            (there, &[Write], false, Some(Read), Some(Write), "strangers see nothing"),
            (there, &[Write], true, None, Some(Write), "unless that is wanted"),
            (there, &[], true, None, Some(Write), "and never write"),
            ("[::1]:1", &[], false, None, None, "this machine, too"),
        ] {
            let config = config(listen, scopes, public);
            assert_eq!(config.needs(Access::Read), read, "{why}");
            assert_eq!(config.needs(Access::Write), write, "{why}");
            assert_eq!(config.needs(Access::Open), None, "{why}");
        }
    }

    #[test]
    fn a_token_is_found_by_all_of_it() {
        let config = config("0.0.0.0:1", &[Scope::Read, Scope::Write], false);
        let name = |shown: &str| config.token(shown).map(|token| token.name.as_str());
        assert_eq!(name("0123456789abcde0"), Some("t0"));
        assert_eq!(name("0123456789abcde1"), Some("t1"));
        for wrong in ["", "0123456789abcde", "0123456789abcde2", "0123456789abcde00"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }
}
