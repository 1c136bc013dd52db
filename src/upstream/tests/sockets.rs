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
        records: None,
        streams: false,
        heals: false,
        tls: None,
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

/// A TLS server on loopback that says `{}` to everybody who takes its certificate; counts who came.
fn tls_server(certificate: &'static [u8], key: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use std::io::{Read as _, Write as _};
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], key)
        .unwrap();
    let (config, came) = (Arc::new(config), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let count = came.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let mut tls = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream);
            if tls.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                let _it_may_be_gone = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
            }
        }
    });
    (url, came)
}

/// One with a certificate that nobody vouches for.
fn self_signed_server() -> (String, Arc<AtomicUsize>) {
    tls_server(include_bytes!("tls/self-signed.der"), include_bytes!("tls/self-signed.key.der"))
}

/// All of them are signed by an authority that is trusted; the clock and the name are what is wrong.
#[tokio::test]
async fn f37_a_certificate_that_has_expired_or_names_another_host_is_refused() {
    let certificates: [(&[u8], &str); 3] = [
        (include_bytes!("tls/good.der"), ""),
        (include_bytes!("tls/expired.der"), "certificate expired"),
        (include_bytes!("tls/other-name.der"), "not valid for name"),
    ];
    for (certificate, words) in certificates {
        let (url, _) = tls_server(certificate, include_bytes!("tls/leaf.key.der"));
        let authority = reqwest::Certificate::from_der(include_bytes!("tls/ca.der")).unwrap();
        let told = HttpTransport::trusting(authority).exchange(outgoing(::http::Method::POST, &url)).await;
        match told {
            Ok(response) => assert_eq!((response.status, words), (200, "")),
            Err(TransportError::Certificate(why)) => assert!(!words.is_empty() && why.contains(words), "{why}"),
            Err(other) => panic!("{words}: {other:?}"),
        }
    }
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

/// A server that answers each connection's first request and never the ones after it, but reads them. Tells every request
/// line, and `gone` where a connection ends.
fn forgetful_server() -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                for asked in 0.. {
                    let mut buffer = [0; 4096];
                    let length = stream.read(&mut buffer).unwrap_or(0);
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let _nobody_listens = tell.send(text.lines().next().unwrap_or("gone").to_owned());
                    if length == 0 || asked > 0 {
                        return;
                    }
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                    let _it_may_be_gone = stream.write_all(answer);
                }
            });
        }
    });
    (url, told)
}

/// The server has forgotten the connection that is used again: what may be sent twice is, on a new one.
#[tokio::test]
async fn f41_a_stale_connection_is_retried_by_method() {
    for (safety, line, expected) in [
        (Safety::Read, "GET /c", vec!["GET", "GET", "GET"]),
        (Safety::Idempotent, "PUT /c", vec!["PUT", "PUT", "PUT"]),
        (Safety::Plain, "POST /c", vec!["POST", "POST"]),
    ] {
        let (url, mut told) = forgetful_server();
        let client = client(upstream(&url), Arc::new(HttpTransport::new()), &TestClock::new());
        let built = client.build(&request(line), &Holes::default()).unwrap();
        assert!(client.send(built.clone(), safety).await.is_ok());
        let second = client.send(built, safety).await;
        match safety {
            Safety::Plain => assert_eq!(second.unwrap_err().kind, FailureKind::Unknown),
            Safety::Read | Safety::Idempotent => assert!(second.is_ok(), "{second:?}"),
        }
        let mut lines = Vec::new();
        while let Ok(line) = told.try_recv() {
            lines.push(line.split(' ').next().unwrap().to_owned());
        }
        lines.retain(|line| line != "gone");
        assert_eq!(lines, expected);
    }
}

/// A connection that nobody uses is closed by us before the other side forgets it.
#[tokio::test]
async fn f40_an_idle_connection_is_given_up() {
    let (url, mut told) = forgetful_server();
    let transport = HttpTransport::keeping(MILLIS(20));
    assert!(transport.exchange(outgoing(::http::Method::GET, &url)).await.is_ok());
    assert_eq!(told.recv().await.as_deref(), Some("GET / HTTP/1.1"));
    let told = tokio::time::timeout(Duration::from_secs(20), told.recv()).await.expect("it is closed");
    assert_eq!(told.as_deref(), Some("gone"), "while the transport still lives");
    drop(transport);
}

/// The row of the kernel's table for our end of the connection to this address.
#[cfg(target_os = "linux")]
fn row_of(address: std::net::SocketAddr) -> Option<Vec<String>> {
    let remote = format!("0100007F:{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows = table.lines().map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    rows.into_iter().find(|row| row.get(2) == Some(&remote))
}

/// After how many milliseconds without an acknowledgement the kernel gives this process's socket up, and after how much
/// silence it asks, first and then again.
#[cfg(target_os = "linux")]
fn limits_of(inode: &str) -> (u32, Duration, Duration) {
    use rustix::net::sockopt::{tcp_keepidle, tcp_keepintvl, tcp_user_timeout};
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let link = format!("socket:[{inode}]");
    let number = std::fs::read_dir("/proc/self/fd").unwrap().flatten().find_map(|entry| {
        let is_it = std::fs::read_link(entry.path()).is_ok_and(|target| target.to_str() == Some(link.as_str()));
        entry.file_name().to_str()?.parse().ok().filter(|_| is_it)
    });
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let socket = pidfd_getfd(this, number.unwrap(), PidfdGetfdFlags::empty()).unwrap();
    (tcp_user_timeout(&socket).unwrap(), tcp_keepidle(&socket).unwrap(), tcp_keepintvl(&socket).unwrap())
}

/// While an answer is awaited the kernel asks a silent peer whether it is there (the timer of the socket says so); one that
/// acknowledges nothing is then given up after the user timeout.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn f40_a_silent_peer_is_asked_whether_it_is_there_and_given_up_after_a_while() {
    const KEEPALIVE_TIMER: &str = "02:";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let transport = HttpTransport::new();
    let exchange = transport.exchange(outgoing(::http::Method::GET, &format!("http://{address}/")));
    let watch = async {
        loop {
            let row = row_of(address).filter(|row| row[5].starts_with(KEEPALIVE_TIMER));
            if let Some(row) = row {
                return limits_of(&row[9]);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = exchange => panic!("nobody answered, and no keep-alive was seen: {ended:?}"),
        limits = watch => assert_eq!(limits, (30_000, Duration::from_secs(15), Duration::from_secs(15))),
    }
}

/// A name that is looked up for too long: nothing was sent, whatever the request is.
#[tokio::test]
async fn f38_a_name_that_is_not_resolved_in_time_was_not_sent() {
    let mut request = outgoing(::http::Method::POST, "http://slow.invalid/?secret=1");
    request.timeouts = Timeouts { connect: MILLIS(50), idle: MILLIS(5000), total: MILLIS(9000) };
    let error = HttpTransport::without_names().exchange(request).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
    assert!(!error.to_string().contains("secret="), "{error}");
}

/// Credentials never reach the host that a redirect or a next page names.
#[tokio::test]
async fn f36_another_host_sees_no_request_at_all() {
    let (elsewhere, mut told) = forgetful_server();
    for next in [false, true] {
        let (status, head, body) = if next {
            ("200 OK", String::new(), format!(r#"{{"results":[],"next":"{elsewhere}/c?page=2"}}"#))
        } else {
            ("307 Temporary Redirect", format!("location: {elsewhere}/steal\r\n"), "{}".to_owned())
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\n{head}content-length: {length}\r\n\r\n{body}");
        let url = raw_server(answer.into_bytes());
        let auth = Auth::Bearer { token: template("${key}") };
        let rules = Upstream { auth, ..upstream(&url) };
        let client = client(rules, Arc::new(HttpTransport::new()), &TestClock::new());
        let mut ours = binding(client.upstream());
        ours.read = Some(read(Paging::NextUrl { next: crate::rules::NextAt::Body(path(".next")), more: None }));
        let (_, failure) = list(&client, ours, ListQuery::default()).await;
        let failure = failure.unwrap();
        assert!(matches!(failure.kind, FailureKind::BadAnswer | FailureKind::Fatal), "{failure}");
        assert!(!failure.words.contains("canary"), "{failure}");
    }
    assert!(told.try_recv().is_err());
}
