//! A second network of one name, as the engine makes it when two calls cross: the command line asks it not to.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

/// Has the engine make a network, whether it has one of that name or not.
pub fn make(name: &str, labels: &BTreeMap<String, String>) {
    let body = json!({"Name": name, "Labels": labels}).to_string();
    let mut engine = UnixStream::connect("/var/run/docker.sock").unwrap();
    let head = "POST /v1.41/networks/create HTTP/1.0\r\nContent-Type: application/json";
    write!(engine, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    engine.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 201"), "{answer}");
}
