//! TLS for what is served: a certificate and its key, read again when the files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::Now;
use super::validity::validity;
use crate::time::{Span, Timestamp};

/// The files are looked at again after this long at the earliest.
const LOOKED_EVERY: Span = Span::from_secs(5);

/// Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The certificate, and behind it those of authorities on the way to one that clients know.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// Authorities of clients: with these, whoever connects must show a certificate.
    pub client_ca_file: Option<PathBuf>,
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}` of `http.tls`", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{}` of `http.tls` has no {what} in PEM", path.display())]
    Lacks {
        /// Which one.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The time of the certificate.
    #[error(
        "the certificate `{}` of `http.tls` holds from {from} to {to}, and it is {now}\nhint: renew it; the files are read again when they change", path.display()
    )]
    OutOfTime {
        /// Which file.
        path: PathBuf,
        /// The first instant at which it holds.
        from: Timestamp,
        /// The last.
        to: Timestamp,
        /// When it was looked at.
        now: Timestamp,
    },
    /// What the TLS library says of the pair.
    #[error(
        "the certificate `{}` and the key `{}` of `http.tls` cannot be used together: {reason}", cert.display(), key.display()
    )]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What the TLS library says of the authorities.
    #[error("`{}` of `http.tls` cannot be used: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A certificate that is served, and the files that it comes from. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls(Arc<Inner>);

struct Inner {
    config: Config,
    now: Now,
    held: Mutex<Held>,
}

struct Held {
    acceptor: TlsAcceptor,
    /// Of the files when they were read last, whether they could be used or not.
    content: Content,
    /// When the files were looked at last.
    looked_at: Timestamp,
}

/// What the files held, as a hash: the key is not kept twice.
type Content = Vec<u8>;

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.config).finish()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Files that cannot be read or used, and a certificate whose time is not now.
    pub(super) fn open(config: Config, now: Now) -> Result<Self, TlsError> {
        let looked_at = now();
        let files = Files::read(&config)?;
        let (acceptor, until) = files.acceptor(&config, looked_at)?;
        tracing::info!(certificate = %config.cert_file.display(), %until, "serving over TLS");
        let held = Mutex::new(Held { acceptor, content: files.content(), looked_at });
        Ok(Self(Arc::new(Inner { config, now, held })))
    }

    /// What the next connection is accepted with: the files' newest content, or the last that could
    /// be used. Reads files: not for a thread that drives the network.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let Inner { config, now, held } = &*self.0;
        let now = now();
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now - held.looked_at;
        if (Span::ZERO..LOOKED_EVERY).contains(&since) {
            return held.acceptor.clone();
        }
        held.looked_at = now;
        let read = Files::read(config).and_then(|files| {
            let content = files.content();
            if content == held.content {
                return Ok(None);
            }
            // Also of one that cannot be used, so that this is told once.
            held.content = content;
            files.acceptor(config, now).map(Some)
        });
        match read {
            Ok(None) => {}
            Ok(Some((acceptor, until))) => {
                tracing::info!(%until, "the certificate has changed and is served from now on");
                held.acceptor = acceptor;
            }
            Err(problem) => {
                let source = std::error::Error::source(&problem).map(ToString::to_string);
                let reason = source.unwrap_or_default();
                tracing::error!(%problem, reason, "the certificate that was served before is kept");
            }
        }
        held.acceptor.clone()
    }
}

/// The files' bytes.
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl Files {
    fn read(config: &Config) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
        };
        Ok(Self {
            cert: read(&config.cert_file)?,
            key: read(&config.key_file)?,
            authorities: config.client_ca_file.as_deref().map(read).transpose()?,
        })
    }

    fn content(&self) -> Content {
        let mut hash = Context::new(&SHA256);
        for file in [&self.cert, &self.key].into_iter().chain(&self.authorities) {
            hash.update(&file.len().to_le_bytes());
            hash.update(file);
        }
        hash.finish().as_ref().to_vec()
    }

    /// Something to accept connections with, and until when it can be used.
    fn acceptor(
        &self,
        config: &Config,
        now: Timestamp,
    ) -> Result<(TlsAcceptor, Timestamp), TlsError> {
        let chain = certificates(&self.cert, &config.cert_file)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::Lacks {
            path: config.key_file.clone(),
            what: "private key without a password",
        })?;
        let until = in_time(&chain, config, now)?;
        let builder = ServerConfig::builder();
        let builder = match (&self.authorities, &config.client_ca_file) {
            (Some(pem), Some(path)) => {
                let refuse = |reason: String| TlsError::Authorities { path: path.clone(), reason };
                let mut roots = RootCertStore::empty();
                for authority in certificates(pem, path)? {
                    roots.add(authority).map_err(|problem| refuse(problem.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
                let verifier = verifier.map_err(|problem| refuse(problem.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let server = builder.with_single_cert(chain, key);
        let mut server = server.map_err(|problem| TlsError::Pair {
            cert: config.cert_file.clone(),
            key: config.key_file.clone(),
            reason: problem.to_string(),
        })?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((TlsAcceptor::from(Arc::new(server)), until))
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let lacks = || TlsError::Lacks { path: path.to_owned(), what: "certificate" };
    read.ok().filter(|chain| !chain.is_empty()).ok_or_else(lacks)
}

/// Until when the certificate holds, if it does now. One whose time cannot be read is left to the
/// clients.
fn in_time(
    chain: &[CertificateDer<'_>],
    config: &Config,
    now: Timestamp,
) -> Result<Timestamp, TlsError> {
    let Some((from, to)) = chain.first().and_then(|leaf| validity(leaf)) else { return Ok(now) };
    if (from..=to).contains(&now) {
        return Ok(to);
    }
    Err(TlsError::OutOfTime { path: config.cert_file.clone(), from, to, now })
}
