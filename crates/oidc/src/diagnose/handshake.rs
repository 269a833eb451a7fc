//! The TLS handshake, watched: what is believed stays as it is, but whose certificate was refused can be told.
//!
//! Invariant: the verifier that decides is the one every other request has.

use super::{
    Fault, Handshake,
    connection::{Stream, broken},
};
use crate::{
    certificate::{self, Names},
    http::Trust,
    show,
};
use broker::Timestamp;
use rustls::{
    CertificateError, DigitallySignedStruct, ProtocolVersion, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio_rustls::TlsConnector;

/// Agrees on TLS with `host`.
pub(super) async fn handshake(
    trust: &Trust,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<(Box<dyn Stream>, Handshake), Fault> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(|_| Fault::Handshake("the host is no name for TLS".to_owned()))?;
    let watching = Arc::new(Watching {
        inner: trust.verifier.clone(),
        schemes: trust.config.crypto_provider().signature_verification_algorithms.supported_schemes(),
        names: Mutex::new(None),
    });
    let mut config = trust.config.clone();
    config.dangerous().set_certificate_verifier(Arc::clone(&watching) as Arc<dyn ServerCertVerifier>);
    // A handshake that is resumed shows no certificate.
    config.resumption = rustls::client::Resumption::disabled();
    let result = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let names = watching.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let stream = result.map_err(|error| distrust(&error, names.as_ref(), trust.verifier.is_none()))?;
    let version = match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "1.2",
    };
    Ok((Box::new(stream), Handshake { version, issued_by: names.and_then(|names| names.issuer) }))
}

/// Why a handshake failed, with the names of the certificate that was shown.
fn distrust(error: &io::Error, names: Option<&Names>, no_roots: bool) -> Fault {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return broken(error);
    };
    let self_issued = names.is_some_and(|names| names.self_issued);
    let not_trusted =
        || Fault::NotTrusted { issued_by: names.and_then(|names| names.issuer.clone()), self_issued, no_roots };
    let time = |time: &UnixTime| i64::try_from(time.as_secs()).ok().map(Timestamp::from_seconds);
    match inner {
        rustls::Error::InvalidCertificate(fault) => match fault {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => not_trusted(),
            CertificateError::Expired => Fault::Expired { at: None },
            CertificateError::ExpiredContext { not_after, .. } => Fault::Expired { at: time(not_after) },
            CertificateError::NotValidYet => Fault::NotYetValid { from: None },
            CertificateError::NotValidYetContext { not_before, .. } => Fault::NotYetValid { from: time(not_before) },
            CertificateError::NotValidForName => Fault::OtherHost(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                Fault::OtherHost(presented.iter().take(3).map(|name| plain_name(name)).collect())
            }
            // Such as a certificate authority that serves its own certificate.
            CertificateError::Other(_) if self_issued => not_trusted(),
            other => Fault::BadCertificate(show::sentence(&format!("{other:?}"))),
        },
        rustls::Error::InvalidMessage(_) => Fault::NoTls,
        other => Fault::Handshake(show::sentence(&other.to_string())),
    }
}

/// `DnsName("x.example")` as rustls lists it, or `x.example`: the name alone.
fn plain_name(listed: &str) -> String {
    let name = listed.split_once('(').map_or(listed, |(_, rest)| rest.trim_end_matches(')')).trim_matches('"');
    show::sanitise(name, 80)
}

/// Believes what the real verifier believes, and remembers whose certificate it was.
#[derive(Debug)]
struct Watching {
    inner: Option<Arc<dyn ServerCertVerifier>>,
    schemes: Vec<SignatureScheme>,
    names: Mutex<Option<Names>>,
}

impl Watching {
    fn inner(&self) -> Result<&Arc<dyn ServerCertVerifier>, rustls::Error> {
        self.inner.as_ref().ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = certificate::read(end_entity);
        self.inner()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner()?.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner()?.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.as_ref().map_or_else(|| self.schemes.clone(), |inner| inner.supported_verify_schemes())
    }
}
