//! Whom to trust and who we are, for `https` backends.
//!
//! The process has one TLS provider (aws-lc-rs), installed at its start.

use std::net::SocketAddr;
use std::path::Path;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, ClientBuilder, Identity, Url};

use super::SourceError;
use super::config::Tls;

/// Applies the options; also the address to connect to and, where that is not what the user
/// wrote, the `Host` header that is.
pub(super) fn apply(
    mut builder: ClientBuilder,
    tls: &Tls,
    mut base: Url,
) -> Result<(ClientBuilder, Url, Option<String>), SourceError> {
    if let Some(path) = &tls.ca_file {
        let pem = read("tls.ca_file", path)?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| unusable("tls.ca_file", path, "has no certificate in PEM"))?;
        builder = builder.tls_certs_only(certificates);
    }
    if let (Some(cert), Some(key)) = (&tls.cert_file, &tls.key_file) {
        let mut pem = read("tls.cert_file", cert)?;
        pem.push(b'\n');
        pem.extend(read("tls.key_file", key)?);
        let identity = Identity::from_pem(&pem)
            .map_err(|_| unusable("tls.cert_file", cert, "and the key are not a pair in PEM"))?;
        builder = builder.identity(identity);
    }
    let Some(name) = &tls.server_name else {
        return Ok((builder, base, None));
    };
    // The name decides what is asked for in the handshake and what the certificate is compared
    // with; the address is still the user's.
    let host = base.host_str().unwrap_or_default().to_owned();
    let header = base.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    base.set_host(Some(name)).map_err(|error| SourceError::Config {
        option: "tls.server_name",
        reason: error.to_string(),
    })?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((builder.dns_resolver(Instead { host }), base, Some(header)))
}

/// What to do about a failed handshake; `None` if the failure was none.
pub(super) fn hint(reason: &str) -> Option<&'static str> {
    const HINTS: [(&str, &str); 9] = [
        (
            "CaUsedAsEndEntity",
            "the server shows a certificate that is a CA (plain `openssl req -x509` makes such); \
             give it one that a CA signed, and name the CA in tls.ca_file",
        ),
        ("UnknownIssuer", "name the CA that signed the server's certificate in tls.ca_file"),
        ("NotValidForName", "set tls.server_name to a name that the server's certificate has"),
        ("not valid for name", "set tls.server_name to a name that the server's certificate has"),
        ("Expired", "the server's certificate has expired; renew it"),
        ("NotValidYet", "the server's certificate is not valid yet; compare the clocks"),
        (
            "CertificateRequired",
            "the server wants our certificate: set tls.cert_file and tls.key_file",
        ),
        ("fatal alert", "the server refuses our side of the handshake; see tls.cert_file"),
        ("InvalidContentType", "the server does not speak TLS here; try `http://`"),
    ];
    let found = HINTS.iter().find(|(part, _)| reason.contains(part)).map(|(_, hint)| *hint);
    let general = "see source.tls: ca_file, cert_file, key_file, server_name";
    found.or_else(|| reason.contains("certificate").then_some(general))
}

/// Resolves every name to the addresses of one host.
#[derive(Debug)]
struct Instead {
    host: String,
}

impl Resolve for Instead {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.host.clone();
        Box::pin(async move {
            // The port is put in by the caller.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok::<Addrs, _>(Box::new(found.into_iter()))
        })
    }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path).map_err(|error| SourceError::File {
        option,
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn unusable(option: &'static str, path: &Path, reason: &str) -> SourceError {
    SourceError::Config { option, reason: format!("{} {reason}", path.display()) }
}
