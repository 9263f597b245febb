//! The clients that write to a cluster during one event, all in the same way for every contender.

use std::rc::Rc;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_postgres::Client;

use crate::Done;
use crate::docker::{IMAGE, label};
use crate::place::Place;
use crate::sql::Address;
use crate::writer::{Notes, Writer, go_through};

/// The kinds of client.
pub const KINDS: [&str; 3] = ["list of hosts", "all hosts at once", "role name"];
/// Acknowledged rows before and after an event, so that its gap lies between two.
const AROUND: usize = 60;
/// So far apart are the rows of two clients.
const APART: i64 = 1_000_000_000;

/// A name that follows the primary on a network.
pub struct RoleName {
    /// The network.
    pub network: String,
    /// The name.
    pub host: String,
    /// The superuser's password.
    pub password: String,
}

/// The clients' rows so far.
#[derive(Default)]
pub struct Rows([i64; KINDS.len()]);

/// The clients of one event.
pub struct Clients(Vec<Writer>);

impl Clients {
    /// Begins to write, and waits until every client does.
    pub async fn start(place: &Place, members: &[Address], role: Option<&RoleName>, rows: &Rows) -> Done<Self> {
        let first = |kind: usize| kind as i64 * APART + rows.0[kind];
        let mut writers = vec![
            Writer::start_with_list(members.to_vec(), first(0)),
            Writer::start(members.to_vec(), first(1)),
        ];
        if let Some(role) = role {
            let command = inside(place, role, first(2))?;
            writers.push(Writer::start_with(first(2), |notes| listen(command, notes)));
        }
        let clients = Clients(writers);
        clients.wait().await?;
        Ok(clients)
    }

    /// Waits until every client has written a good deal more.
    pub async fn wait(&self) -> Done<()> {
        for writer in &self.0 {
            writer.wait_for(AROUND).await?;
        }
        Ok(())
    }

    /// Ends. Returns each client's longest time without an acknowledged row, in milliseconds, among those that ended
    /// after `begin`, and how many acknowledged rows the primary does not have.
    pub async fn end(self, begin: Instant, primary: &Client, rows: &mut Rows) -> Done<(Vec<f64>, usize)> {
        let outages = self.0.iter().map(|writer| writer.outage_ms(begin)).collect();
        let mut all_lost = 0;
        for (kind, writer) in self.0.into_iter().enumerate() {
            let (lost, next) = writer.stop(primary).await?;
            all_lost += lost;
            // What the last one sent and nobody noted stays unused.
            rows.0[kind] = next - kind as i64 * APART + AROUND as i64;
        }
        Ok((outages, all_lost))
    }
}

/// This program, as a client in a container of its own.
fn inside(place: &Place, role: &RoleName, first: i64) -> Done<Command> {
    let program = format!("{}:/client:ro", std::env::current_exe()?.display());
    let mut command = Command::new("docker");
    command.args([
        "run",
        "--rm",
        "-i",
        "--label",
        &label(place),
        "--network",
        &role.network,
    ]);
    command.args([
        "-v",
        &program,
        "-e",
        "PGPASSWORD",
        IMAGE,
        "/client",
        CLIENT,
        &role.host,
        &first.to_string(),
    ]);
    command.env("PGPASSWORD", &role.password).kill_on_drop(true);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    Ok(command)
}

/// The first argument of a client in a container.
pub const CLIENT: &str = "--client";

async fn listen(mut command: Command, notes: Rc<Notes>) {
    // A client that cannot begin never writes: whoever waits for it says so.
    let Ok(mut child) = command.spawn() else { return };
    let Some(output) = child.stdout.take() else { return };
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(id) = line.trim().parse() {
            notes.acknowledge(id);
        }
    }
}

/// Is a client in a container: prints each acknowledged row, until whoever started it goes away.
pub async fn be_client(host: &str, first: i64) -> Done<()> {
    let address = Address {
        port: 5432,
        password: std::env::var("PGPASSWORD").unwrap_or_default(),
    };
    let notes = Rc::new(Notes::beginning_at(first, |id| println!("{id}")));
    let hosts = [(host.to_owned(), address)];
    std::thread::spawn(|| {
        // Whoever started it holds the other end.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    go_through(&hosts, &notes).await;
    Ok(())
}
