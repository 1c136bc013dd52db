//! Owns: tests of who we are in TLS, against a real server that wants to know.
//!
//! Must not know: rules.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::*;
use crate::rules::{ClientFiles, TlsFiles};

/// An authority of these tests.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// What a client showed, as the server saw it; `None` where it did not get that far.
type Seen = Option<Vec<u8>>;

/// A server on loopback that takes clients of one authority only, and says `{}` to them.
fn server(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> (String, Receiver<Seen>) {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let (certificate, key) = authority.sign("127.0.0.1");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let ((tell, told), config) = (channel(), Arc::new(config));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (tell, config) = (tell.clone(), config.clone());
            std::thread::spawn(move || {
                let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                loop {
                    if !tls.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                        // What it sent already is read, so that the alert is not lost with a reset.
                        let _it_may_be_gone = tls.sock.shutdown(std::net::Shutdown::Write);
                        let _until_it_ends = tls.sock.read_to_end(&mut Vec::new());
                        let _nobody_asks = tell.send(None);
                        return;
                    }
                    let shown = tls.conn.peer_certificates().map(|shown| shown[0].to_vec());
                    let _nobody_asks = tell.send(shown);
                    let _it_may_be_gone = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                }
            });
        }
    });
    (url, told)
}

/// A folder with the files of an upstream.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Puts a file in its place at once, as tools that renew certificates do.
    fn put(&self, name: &str, text: &str, mode: u32) {
        let (path, next) = (self.0.path().join(name), self.0.path().join("next"));
        fs::write(&next, text).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(next, path).unwrap();
    }

    fn client(&self, pair: &(rcgen::Certificate, KeyPair)) -> &Self {
        self.put("client.pem", &pair.0.pem(), 0o644);
        self.put("client.key", &pair.1.serialize_pem(), 0o600);
        self
    }

    fn ca(&self, authority: &Authority) -> &Self {
        self.put("ca.pem", &authority.pem, 0o644);
        self
    }

    /// As the rules name those that are there.
    fn tls(&self) -> TlsFiles {
        let path = |name: &str| Some(self.0.path().join(name)).filter(|path| path.exists());
        let client =
            path("client.pem").map(|certificate| ClientFiles { certificate, key: self.0.path().join("client.key") });
        TlsFiles { client, ca: path("ca.pem") }
    }

    fn words(&self, error: &TransportError) -> String {
        error.to_string().replace(&self.0.path().display().to_string(), "DIR")
    }
}

async fn ask(transport: &HttpTransport, url: &str, tls: TlsFiles) -> Result<u16, TransportError> {
    let request = Outgoing {
        method: ::http::Method::POST,
        url: url::Url::parse(url).unwrap(),
        headers: ::http::HeaderMap::new(),
        body: None,
        timeouts: upstream(url).timeout,
        body_bytes_max: 1 << 20,
        records: None,
        streams: false,
        heals: false,
        tls: Some(Arc::new(tls)),
    };
    transport.exchange(request).await.map(|response| response.status)
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_without_the_right_one_nothing_is_done() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let (url, told) = server(&ours, &[version]);
        let (good, bad) = (ours.sign("sync"), theirs.sign("sync"));
        let files = Files::new();
        let tls = files.ca(&ours).client(&good).tls();
        assert_eq!(ask(&HttpTransport::new(), &url, tls).await, Ok(200));
        assert_eq!(told.recv().unwrap().as_deref(), Some(good.0.der().as_ref()));

        // Ended connections are told of as well; only what was asked counts.
        let served = || told.try_iter().flatten().count();
        let none = Files::new();
        let error = ask(&HttpTransport::new(), &url, none.ca(&ours).tls()).await.unwrap_err();
        let words = none.words(&error);
        assert!(
            matches!(error, TransportError::Identity(_))
                && words
                    .starts_with("the upstream refused us: it wants a client certificate: write [upstream.NAME.tls]"),
            "{version:?}: {error:?}"
        );
        let wrong = Files::new();
        let error = ask(&HttpTransport::new(), &url, wrong.ca(&ours).client(&bad).tls()).await.unwrap_err();
        assert!(
            matches!(&error, TransportError::Identity(words) if words.starts_with("the upstream refused us: it does not")),
            "{version:?}: {error:?}"
        );
        assert_eq!(served(), 0);

        // Whoever is not vouched for by the private authority is not trusted, whatever the machine trusts.
        let stranger = Files::new();
        let error = ask(&HttpTransport::new(), &url, stranger.ca(&theirs).client(&good).tls()).await.unwrap_err();
        assert!(matches!(error, TransportError::Certificate(_)), "{error:?}");
    }
}

#[tokio::test]
async fn files_that_were_replaced_are_taken_at_the_next_connection() {
    let ours = Authority::new();
    let (url, told) = server(&ours, &[&rustls::version::TLS13]);
    let (old, new) = (ours.sign("sync"), ours.sign("sync"));
    let (files, transport) = (Files::new(), HttpTransport::new());
    let tls = files.ca(&ours).client(&old).tls();
    let mut shown = Vec::new();
    let mut asked = async || {
        ask(&transport, &url, tls.clone()).await.unwrap();
        shown.push(told.iter().flatten().next().unwrap() == *new.0.der().as_ref());
    };
    asked().await;
    // Half of the new pair: the old one goes on.
    files.put("client.pem", &new.0.pem(), 0o644);
    asked().await;
    files.put("client.key", &new.1.serialize_pem(), 0o600);
    asked().await;
    assert_eq!(shown, [false, false, true]);
}

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn replaced_files_that_cannot_be_used_are_read_once_and_again_after_any_change() {
    let ours = Authority::new();
    let (url, told) = server(&ours, &[&rustls::version::TLS13]);
    let (old, new) = (ours.sign("sync"), ours.sign("sync"));
    let (files, transport) = (Files::new(), HttpTransport::new());
    let tls = files.ca(&ours).client(&old).tls();
    let warnings = Arc::new(AtomicUsize::new(0));
    let _until_the_end = tracing::subscriber::set_default(Warnings(Arc::clone(&warnings)));
    let asked = async || {
        ask(&transport, &url, tls.clone()).await.unwrap();
        let new = told.iter().flatten().next().unwrap() == *new.0.der().as_ref();
        (new, warnings.load(Ordering::Relaxed))
    };
    assert_eq!(asked().await, (false, 0));
    files.put("client.pem", &new.0.pem(), 0o644);
    assert_eq!([asked().await, asked().await, asked().await], [(false, 1); 3]);
    files.put("client.key", &new.1.serialize_pem(), 0o640);
    assert_eq!([asked().await, asked().await], [(false, 2); 2]);
    // Neither its content nor its time is another one now.
    let key = files.0.path().join("client.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!([asked().await, asked().await], [(true, 2); 2]);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_and_never_quoted() {
    let (ours, transport) = (Authority::new(), HttpTransport::new());
    let (url, _) = server(&ours, &[&rustls::version::TLS13]);
    let (one, other) = (ours.sign("sync"), ours.sign("sync"));
    let key = one.1.serialize_pem();
    let spoilt = key.replace("PRIVATE KEY", "SECRET");
    let cases: [(&str, &str, u32, &str); 5] = [
        ("client.key", &key, 0o640, "DIR/client.key: others may read it, mode 640; run `chmod 600 DIR/client.key`"),
        ("client.key", &spoilt, 0o600, "DIR/client.key holds no private key in PEM (PKCS #8, PKCS #1 or SEC 1)"),
        ("client.key", &other.1.serialize_pem(), 0o600, "does DIR/client.key belong to DIR/client.pem? ("),
        ("client.pem", &key, 0o644, "DIR/client.pem: holds no certificate in PEM"),
        ("ca.pem", "nothing", 0o644, "DIR/ca.pem: holds no certificate in PEM"),
    ];
    for (name, text, mode, expected) in cases {
        let files = Files::new();
        files.ca(&ours).client(&one).put(name, text, mode);
        let error = ask(&transport, &url, files.tls()).await.unwrap_err();
        let words = files.words(&error);
        assert!(words.starts_with(&format!("the files of `tls` cannot be used: {expected}")), "{words}");
        let quoted = text.lines().skip(1).any(|line| !line.is_empty() && words.contains(line));
        assert!(!quoted && matches!(error, TransportError::Identity(_)), "{words}");
    }
    let files = Files::new();
    let tls = files.ca(&ours).client(&one).tls();
    fs::remove_file(files.0.path().join("client.key")).unwrap();
    let words = files.words(&ask(&transport, &url, tls).await.unwrap_err());
    assert!(words.contains("DIR/client.key: No such file"), "{words}");
}

/// A certificate that is refused will be so again: the upstream is left alone, and a write is known not to be done.
#[tokio::test]
async fn a_refused_identity_is_not_tried_again() {
    let refused = Err(TransportError::Identity("the upstream refused us: why".into()));
    let (script, clock) = (Script::new([refused]), TestClock::new());
    let client = client(upstream("https://up.test"), script.clone(), &clock);
    let built = client.build(&request("POST /c"), &Holes::default()).unwrap();
    let failure = client.send(built, Safety::Plain).await.unwrap_err();
    assert_eq!((failure.kind, script.lines().len()), (FailureKind::Fatal, 1));
    assert_eq!(failure.words, "POST /c: the upstream refused us: why");
}
