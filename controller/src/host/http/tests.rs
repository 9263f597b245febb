use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Call, Credentials, Http, MAX_BYTES, Method, Trouble};
use crate::host::FailureKind;

const DEADLINE: Duration = Duration::from_secs(3);

/// A server that gives one answer and tells what it was asked.
async fn ask(answer: String, credentials: &Credentials, body: Option<&Value>) -> (Result<Value, Trouble>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 65536];
        let count = stream.read(&mut asked).await.unwrap();
        // Whoever has read enough goes away.
        let _ = stream.write_all(answer.as_bytes()).await;
        String::from_utf8_lossy(&asked[..count]).into_owned()
    });
    let call = Call {
        method: if body.is_some() { Method::Post } else { Method::Get },
        body,
        ..Call::get(&url, credentials, DEADLINE)
    };
    (Http::new().call(&call).await, served.await.unwrap())
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_request_carries_who_asks_and_what_is_sent() {
    let basic = Credentials::Basic("admin".to_owned(), "pa:ss".to_owned());
    let (got, asked) = ask(answer("200 OK", r#"{"a":1}"#), &basic, Some(&json!({"b": 2}))).await;
    assert_eq!(got, Ok(json!({"a": 1})));
    assert!(asked.starts_with("POST /api HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Basic YWRtaW46cGE6c3M=\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\n{\"b\":2}"), "{asked}");
    let (got, asked) = ask(answer("204 No Content", ""), &Credentials::None, None).await;
    assert_eq!(got, Ok(Value::Null));
    assert!(!asked.contains("authorization"), "{asked}");
}

#[tokio::test]
async fn a_refusal_says_what_the_other_side_said_but_never_the_token() {
    let token = Credentials::Bearer("glsa_secret".to_owned());
    let said = answer("401 Unauthorized", r#"{"message":"no such key: glsa_secret"}"#);
    let trouble = ask(said, &token, None).await.0.unwrap_err();
    assert_eq!(trouble.kind(), FailureKind::Invalid);
    assert_eq!(trouble.words(&token), "it answered 401: no such key: ***");
    assert_eq!(format!("{token:?}"), "Bearer(..)");
    let trouble = ask(answer("502 Bad Gateway", "<html>\n no\n"), &token, None)
        .await
        .0
        .unwrap_err();
    assert_eq!(trouble.kind(), FailureKind::Unreachable);
    assert_eq!(trouble.words(&token), "it answered 502: <html> no");
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let said = "HTTP/1.1 301 Moved\r\nlocation: https://elsewhere/\r\ncontent-length: 0\r\n\r\n";
    let trouble = ask(said.to_owned(), &Credentials::None, None).await.0.unwrap_err();
    assert_eq!(
        trouble.words(&Credentials::None),
        "its answer is not understood: it redirects to https://elsewhere/; use that URL"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let said = answer("200 OK", &" ".repeat(MAX_BYTES + 1));
    let trouble = ask(said, &Credentials::None, None).await.0.unwrap_err();
    assert_eq!(trouble, Trouble::Unreadable("it is larger than 16 MiB".to_owned()));
    let trouble = ask(answer("200 OK", "hello"), &Credentials::None, None)
        .await
        .0
        .unwrap_err();
    assert!(
        trouble.words(&Credentials::None).contains("it is no JSON"),
        "{trouble:?}"
    );
}

#[tokio::test]
async fn nobody_there_and_nobody_who_answers_are_both_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let call = Call::get(&url, &Credentials::None, Duration::from_millis(50));
    let late = Http::new().call(&call).await.unwrap_err();
    assert_eq!(late, Trouble::Late(Duration::from_millis(50)));
    drop(listener);
    let gone = Http::new().call(&call).await.unwrap_err();
    assert_eq!(gone.kind(), FailureKind::Unreachable);
    assert!(
        gone.words(&Credentials::None).contains("Connection refused"),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_invalid() {
    for url in [
        "",
        "grafana",
        "ftp://grafana",
        "http://admin:secret@grafana",
        "http://gra fana",
    ] {
        let trouble = Http::new()
            .call(&Call::get(url, &Credentials::None, DEADLINE))
            .await
            .unwrap_err();
        assert_eq!(trouble.kind(), FailureKind::Invalid, "{url}: {trouble:?}");
        assert!(!trouble.words(&Credentials::None).contains("secret"), "{trouble:?}");
    }
}
