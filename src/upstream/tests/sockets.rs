//! Owns: tests of the real transport against a real socket: what goes wrong on the wire, and what it is called.
//!
//! Must not know: rules.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::sandbox::{Fault, Matcher, ResourceConfig, Sandbox, SandboxConfig, Served, serve};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

async fn served(count: usize) -> Served {
    let mut sandbox = Sandbox::new(SandboxConfig::of([ResourceConfig::at("/c")]));
    let at = Utc.timestamp_opt(1_700_000_000, 0).unwrap();
    for n in 0..count {
        sandbox.insert("/c", &json!({"id": n.to_string(), "name": "x".repeat(50)}), at).unwrap();
    }
    serve(Arc::new(Mutex::new(sandbox)), Arc::new(move || at)).await.unwrap()
}

fn outgoing(method: ::http::Method, url: &str) -> Outgoing {
    Outgoing {
        method,
        url: url::Url::parse(url).unwrap(),
        headers: ::http::HeaderMap::new(),
        body: None,
        timeouts: Timeouts { connect: MILLIS(2000), idle: MILLIS(2000), total: MILLIS(5000) },
        body_bytes_max: 1 << 20,
    }
}

async fn get(served: &Served, change: impl FnOnce(&mut Outgoing)) -> Result<Response, TransportError> {
    let mut request = outgoing(::http::Method::GET, &format!("{}/c?secret=1", served.base_url()));
    change(&mut request);
    HttpTransport::new().exchange(request).await
}

#[tokio::test]
async fn an_answer_comes_whole() {
    let served = served(20).await;
    let response = get(&served, |_| {}).await.unwrap();
    let json: Tree = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status, json["results"].as_array().unwrap().len()), (200, 20));
    let agent = served.with_sandbox(|sandbox| sandbox.requests().last().unwrap().headers["user-agent"].clone());
    assert_eq!(agent, concat!("reconciled/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn f38_what_never_connected_was_not_sent() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [format!("http://127.0.0.1:{port}/"), "http://no-such-host.invalid/?secret=1".to_owned()] {
        let error = HttpTransport::new().exchange(outgoing(::http::Method::POST, &url)).await.unwrap_err();
        assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
        assert!(!error.to_string().contains("secret="), "{error}");
    }
}

#[tokio::test]
async fn f21_f28_what_broke_after_sending() {
    for fault in [
        Fault::LostResponseAfterCommit,
        Fault::LostRequestBeforeCommit,
        Fault::TruncatedBody { after: None },
        Fault::WrongContentLength { extra: 9 },
    ] {
        let served = served(20).await;
        served.with_sandbox(|sandbox| sandbox.push_fault(Matcher::any(), fault.clone()));
        let error = get(&served, |_| {}).await.unwrap_err();
        assert!(matches!(error, TransportError::Broken(_)), "{fault:?}: {error:?}");
        assert!(!error.to_string().contains("secret="), "{error}");
    }
}

#[tokio::test]
async fn f39_slow_answers_meet_the_idle_and_the_total_limit() {
    let slow = |delay_ms, bytes_per_chunk| Fault::Slow { delay_ms, bytes_per_chunk };
    for (fault, idle, total) in [(slow(10_000, 0), 50, 9000), (slow(300, 100), 50, 9000), (slow(20, 1), 2000, 150)] {
        let served = served(20).await;
        served.with_sandbox(|sandbox| sandbox.push_fault(Matcher::any(), fault.clone()));
        let limits = Timeouts { connect: MILLIS(200), idle: MILLIS(idle), total: MILLIS(total) };
        let error = get(&served, |request| request.timeouts = limits).await.unwrap_err();
        assert!(matches!(error, TransportError::TimedOut(_)), "{fault:?}: {error:?}");
    }
}

#[tokio::test]
async fn f30_a_body_beyond_the_limit_is_not_read() {
    let served = served(20).await;
    served.with_sandbox(|sandbox| sandbox.push_fault(Matcher::any(), Fault::HugeRecord { bytes: 100_000 }));
    let error = get(&served, |request| request.body_bytes_max = 50_000).await.unwrap_err();
    assert_eq!(error, TransportError::TooLarge { limit: 50_000 });
}

#[tokio::test]
async fn redirects_are_answers() {
    let served = served(1).await;
    served.with_sandbox(|sandbox| sandbox.push_fault(Matcher::any(), Fault::Redirect { url: "/x".to_owned() }));
    assert_eq!(get(&served, |_| {}).await.unwrap().status, 307);
}

/// One raw answer per connection, after which the connection closes.
fn raw_server(answer: Vec<u8>) -> String {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        if let Ok((mut stream, _)) = listener.accept() {
            let _read = stream.read(&mut [0; 4096]);
            let _written = stream.write_all(&answer);
        }
    });
    url
}

/// A gzip stream whose end is missing.
fn gzip_of_spaces() -> Vec<u8> {
    // gzip header; one stored block of 60 000 spaces.
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 0x60, 0xea, 0x9f, 0x15];
    bytes.extend(std::iter::repeat_n(b' ', 60_000));
    bytes
}

#[tokio::test]
async fn f29_the_limit_counts_decoded_bytes_and_a_broken_encoding_is_broken() {
    let gzip = gzip_of_spaces();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", gzip.len());
    let answer = [head.as_bytes(), &gzip].concat();
    let mut request = outgoing(::http::Method::GET, &raw_server(answer.clone()));
    request.body_bytes_max = 10_000;
    let error = HttpTransport::new().exchange(request).await.unwrap_err();
    assert_eq!(error, TransportError::TooLarge { limit: 10_000 });
    // The stream lacks its check sum, so it is not whole.
    let request = outgoing(::http::Method::GET, &raw_server(answer));
    let error = HttpTransport::new().exchange(request).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken(_)), "{error:?}");
}

#[tokio::test]
async fn f37_what_is_no_tls_is_not_sent() {
    let url = raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).replace("http:", "https:");
    let error = HttpTransport::new().exchange(outgoing(::http::Method::GET, &url)).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
}

/// A TLS server on loopback with a certificate that nobody vouches for; counts who came.
fn self_signed_server() -> (String, Arc<AtomicUsize>) {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    let certificate = CertificateDer::from(include_bytes!("tls/self-signed.der").to_vec());
    let key = PrivatePkcs8KeyDer::from(include_bytes!("tls/self-signed.key.der").to_vec());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    let (config, came) = (Arc::new(config), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let count = came.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let _refused_by_the_client = tls.complete_io(&mut stream);
        }
    });
    (url, came)
}

#[tokio::test]
async fn f37_a_certificate_that_nobody_vouches_for_is_refused_at_once_and_named() {
    let (url, came) = self_signed_server();
    let error = HttpTransport::new().exchange(outgoing(::http::Method::GET, &url)).await.unwrap_err();
    assert!(matches!(error, TransportError::Certificate(_)), "{error:?}");
    came.store(0, Ordering::SeqCst);
    for (safety, method) in [(Safety::Read, "GET /c"), (Safety::Plain, "POST /c")] {
        let client = client(upstream(&url), Arc::new(HttpTransport::new()), &TestClock::new());
        let built = client.build(&request(method), &Holes::default()).unwrap();
        let failure = client.send(built, safety).await.unwrap_err();
        assert_eq!((failure.kind, came.swap(0, Ordering::SeqCst)), (FailureKind::Fatal, 1), "{failure}");
        let words = format!("{method}: {url} cannot be trusted, certificate refused: invalid peer certificate: ");
        assert!(failure.words.starts_with(&words), "{failure}");
    }
}

#[tokio::test]
async fn a_client_over_a_socket_reads_and_writes() {
    let served = served(3).await;
    let client = client(upstream(served.base_url()), Arc::new(HttpTransport::new()), &TestClock::new());
    let rules = binding(client.upstream());
    served.with_sandbox(|sandbox| sandbox.push_fault(Matcher::any(), Fault::TruncatedBody { after: None }));
    let (pages, failure) = list(&client, binding(client.upstream()), ListQuery::default()).await;
    assert_eq!((pages.concat().len(), failure), (3, None));
    let written = write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Ann")])).await;
    assert!(matches!(written, Written::Done { record: Some(_), .. }), "{written:?}");
}
