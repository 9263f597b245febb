//! Containers of the peers, made by the engine's own command line.

use std::process::Stdio;

use tokio::process::Command;

use crate::Done;
use crate::place::{LABEL, Place};
use crate::sql::Address;

/// The image that the peers run in.
pub const IMAGE: &str = "reconciler-peers:17";

/// Runs a docker command and returns what it prints.
pub async fn docker(arguments: &[&str]) -> Done<String> {
    let mut command = Command::new("docker");
    let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = output.output().await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("`docker {}` failed: {}", arguments.join(" "), why.trim()).into())
}

/// The run's label.
pub fn label(place: &Place) -> String {
    format!("{LABEL}={}", place.name)
}

/// One container of a peer.
pub struct Node {
    /// The container's name.
    pub name: String,
    /// Its address on the peers' network.
    pub ip: String,
    /// Where its server is reached from the host.
    pub address: Address,
}

impl Node {
    /// Makes the container and its volume, and runs a script in it as root.
    pub async fn run(&self, place: &Place, options: &[String], script: &str) -> Done<()> {
        let label = label(place);
        docker(&["volume", "create", "--label", &label, &self.name]).await?;
        let port = format!("127.0.0.1:{}:5432", self.address.port);
        let volume = format!("{}:/data", self.name);
        let network = network_name(place);
        let mut arguments = vec![
            "run",
            "-d",
            "--label",
            &label,
            "--name",
            &self.name,
            "--hostname",
            &self.name,
        ];
        arguments.extend(["--network", &network, "--ip", &self.ip, "-p", &port, "-v", &volume]);
        arguments.extend(options.iter().map(String::as_str));
        arguments.extend([IMAGE, "sh", "-c", script]);
        docker(&arguments).await.map(drop)
    }

    /// Runs a program in the container, as root.
    pub async fn exec(&self, arguments: &[&str]) -> Done<String> {
        docker(&[&["exec", &self.name], arguments].concat()).await
    }
}

fn network_name(place: &Place) -> String {
    format!("{}-peers", place.name)
}

/// Makes the peers' network. Returns the first three numbers of its addresses, which the peers' configuration names.
pub async fn make_network(place: &Place) -> Done<String> {
    let label = label(place);
    let mut last = None;
    // The engine takes its own from 172.16.0.0/12 and 192.168.0.0/16; other runs may have some of these.
    for third in 0..64 {
        let prefix = format!("10.213.{}", (std::process::id() + third) % 256);
        let subnet = format!("{prefix}.0/24");
        let name = network_name(place);
        match docker(&["network", "create", "--label", &label, "--subnet", &subnet, &name]).await {
            Ok(_) => return Ok(prefix),
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.unwrap_or_else(|| "no network".into()))
}
