//! Owns: tests of the mounted sandbox, over real sockets.
//!
//! Must not know: how records are kept.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn mounted() -> Served {
    let sandbox = filled(ResourceConfig::at("/c"), 2);
    serve(Arc::new(Mutex::new(sandbox)), Arc::new(|| at(1000))).await.unwrap()
}

async fn connect(served: &Served) -> TcpStream {
    TcpStream::connect(served.base_url().trim_start_matches("http://")).await.unwrap()
}

/// All that comes back until the server closes: head and body.
async fn exchange(served: &Served, request: &str) -> (String, String) {
    let mut stream = connect(served).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A reset instead of an orderly end is an end as well.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8(bytes).unwrap();
    text.split_once("\r\n\r\n").map(|(head, body)| (head.to_lowercase(), body.to_owned())).unwrap_or_default()
}

const GET: &str = "GET /c/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

async fn under(fault: Option<Fault>) -> (String, String) {
    let served = mounted().await;
    if let Some(fault) = fault {
        served.with_sandbox(|sandbox| sandbox.push_fault(Matcher::any(), fault));
    }
    exchange(&served, GET).await
}

#[tokio::test]
async fn an_answer_arrives_whole_at_once_or_slowly() {
    let (head, body) = under(None).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(body.contains("\"name\":\"r1\""), "{body}");
    let (slow_head, slow_body) = under(Some(Fault::Slow { delay_ms: 1, bytes_per_chunk: 16 })).await;
    assert!(slow_head.contains(&format!("content-length: {}", body.len())), "{slow_head}");
    assert_eq!(slow_body, body);
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection_without_a_byte() {
    assert_eq!(under(Some(Fault::LostResponseAfterCommit)).await, (String::new(), String::new()));
    assert_eq!(under(Some(Fault::LostRequestBeforeCommit)).await, (String::new(), String::new()));
}

#[tokio::test]
async fn a_truncated_answer_declares_more_than_it_sends() {
    let whole = under(None).await.1;
    let check = |head: &str, body: &str, declared: usize, sent: usize| {
        assert!(head.contains(&format!("content-length: {declared}")), "{head}");
        assert_eq!(body, &whole[..sent]);
    };
    let (head, body) = under(Some(Fault::TruncatedBody { after: Some(10) })).await;
    check(&head, &body, whole.len(), 10);
    let (head, body) = under(Some(Fault::WrongContentLength { extra: 7 })).await;
    check(&head, &body, whole.len() + 7, whole.len());
}

#[tokio::test]
async fn a_dropped_server_closes_idle_connections_too() {
    let served = mounted().await;
    let mut stream = connect(&served).await;
    stream.write_all(b"GET /c/1 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 8];
    stream.read_exact(&mut first).await.unwrap();
    let address = served.base_url().trim_start_matches("http://").to_owned();
    drop(served);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    // The port closes as soon as the accepting task has been dropped.
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_written_through_the_socket_is_seen_through_the_handle() {
    let served = mounted().await;
    let body = r#"{"name":"new"}"#;
    let head = format!("POST /c HTTP/1.1\r\nhost: h:5\r\nconnection: close\r\ncontent-length: {}", body.len());
    let (head, _) = exchange(&served, &format!("{head}\r\n\r\n{body}")).await;
    assert!(head.contains("location: http://h:5/c/3"), "{head}");
    served.with_sandbox(|sandbox| {
        assert_eq!(sandbox.get("/c", "3").unwrap()["updated_at"], json!("2023-11-14T22:30:00.000Z"));
        assert_eq!(sandbox.requests().map(LoggedRequest::line).collect::<Vec<_>>(), ["POST /c"]);
    });
}
