//! Whom to trust: the authorities of this system, and those of an endpoint's own file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Authorities that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("cannot read the certificates in {path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error(
        "this system has no certificates of authorities, so that no https server can be trusted; \
         install them (Debian's package is ca-certificates) or name a file by ca_file"
    )]
    None,
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] tokio_rustls::rustls::Error),
}

/// TLS with the authorities of this system and of a PEM file.
pub fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    // Some systems keep certificates that no reader takes; the others are enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let wrong = |reason: String| TrustError::File { path: path.to_owned(), reason };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| wrong(said(&error)))?;
        let mut found = false;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(said(&error)))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            found = true;
        }
        if !found {
            return Err(wrong("there is no certificate in it".to_owned()));
        }
    }
    if roots.is_empty() {
        return Err(TrustError::None);
    }
    trusting(roots)
}

/// TLS that trusts nobody, for a client that must have some and uses none.
pub fn nobody() -> Result<Arc<ClientConfig>, TrustError> {
    trusting(RootCertStore::empty())
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, TrustError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn said(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
