//! WAL senders that hold a shutdown up. A fast shutdown waits for all of them before it writes its last checkpoint: for one
//! of the log until what it has begun to send is sent, for one of decoded changes until all is confirmed (PostgreSQL's
//! `walsender.c`). A receiver that is frozen keeps its server from ending for `wal_sender_timeout`, which may be for ever.

use super::super::conf;
use super::super::memory::Change;
use super::super::observe;
use super::view::{Step, View};
use crate::model::plan::{Action, EngineOp};
use crate::model::postgres::{Down, Receiver, Server};

/// How long a shutdown may be held up until its senders are ended, in seconds: whoever is alive has the rest by then.
const SHUTDOWN_SECS: i64 = 2;
/// How long it is tried in a row, and how often after that, in seconds: something else holds it up then.
const TRIES_SECS: i64 = 3;
const EVERY_SECS: i64 = 4;
/// A receiver that moves and lacks no more than this has it before the shutdown does anything that takes time.
const NEAR_BYTES: u64 = 1 << 20;
/// Subscribers confirm at least this often, in seconds, and at once when they are asked (`wal_receiver_status_interval`).
const REPLY_SECS: i64 = 10;

/// A receiver that could hold the shutdown of its server up.
#[derive(Debug, Clone, Copy)]
pub struct Obstacle<'v> {
    /// The receiver.
    pub receiver: &'v Receiver,
    /// What it lacks, in bytes.
    pub bytes: u64,
    /// How long it has not moved, in seconds.
    pub stands_secs: i64,
}

/// Whether a receiver is the stream of a member, by its role and its name. Anybody may take a name; the password of that role
/// only members have.
pub fn is_stream_of(receiver: &Receiver, member: &str) -> bool {
    receiver.role == conf::REPLICATOR && receiver.name == member
}

/// Whether a receiver is nobody's of this cluster.
pub fn is_foreign(view: &View<'_>, receiver: &Receiver) -> bool {
    let name = receiver.name.strip_suffix(".seed").unwrap_or(&receiver.name);
    receiver.role != conf::REPLICATOR || !view.observed.members.contains_key(name)
}

/// The receivers that could hold the shutdown of `member` up; never the one that takes over, which has to have everything.
pub fn obstacles<'v>(view: &View<'v>, member: &str, heir: &str) -> Vec<Obstacle<'v>> {
    let Some(facts) = view.facts(member) else {
        return Vec::new();
    };
    let others = facts.receivers.iter().filter(|receiver| !is_stream_of(receiver, heir));
    let found = others.map(|receiver| Obstacle {
        receiver,
        bytes: receiver.bytes_behind(facts.flush_lsn),
        stands_secs: view.lasts(&observe::stands_still(receiver)).unwrap_or(0),
    });
    found.filter(|found| is_obstacle(view, found)).collect()
}

fn is_obstacle(view: &View<'_>, found: &Obstacle<'_>) -> bool {
    let Obstacle {
        receiver,
        bytes,
        stands_secs,
    } = *found;
    let is_stuck = bytes > 0 && stands_secs > 0;
    if !is_foreign(view, receiver) {
        // A replica that moves has the rest of the log from whoever takes over.
        return is_stuck;
    }
    let answers = receiver.is_logical && receiver.reply_secs.is_some_and(|secs| secs <= REPLY_SECS);
    bytes > NEAR_BYTES || (is_stuck && !answers)
}

/// A receiver in words that a user reads.
pub fn told(receiver: &Receiver) -> String {
    let name = match receiver.name.as_str() {
        "" => "an unnamed receiver",
        name => name,
    };
    match receiver.address.as_str() {
        "" => format!("{name} (role {})", receiver.role),
        address => format!("{name} (role {}, from {address})", receiver.role),
    }
}

/// Where a receiver stands, in words that a user reads.
pub fn lag_told(receiver: &Receiver, bytes: u64) -> String {
    let reply = match receiver.reply_secs {
        Some(secs) => format!("last reply {secs} s ago"),
        None => "it has not replied yet".to_owned(),
    };
    format!("{} is {bytes} bytes behind, {reply}", told(receiver))
}

/// The step that ends the senders of a member that has been shutting down for too long, but that to `heir`. What is cut off
/// loses nothing: it goes on from whoever serves next.
pub fn end(view: &View<'_>, member: &str, heir: Option<&str>) -> Option<Step> {
    let container = view.container(member)?;
    if !matches!(
        view.server(member),
        None | Some(Server::Down(Down::ShuttingDown | Down::NotRunning, _))
    ) {
        return None;
    }
    let held_secs = view.silent_for(member)? - SHUTDOWN_SECS;
    if held_secs < 0 || (held_secs >= TRIES_SECS && held_secs % EVERY_SECS != 0) {
        return None;
    }
    let network = view.cluster.network_name();
    let heir = heir.and_then(|heir| view.container(heir)?.networks.get(&network).cloned());
    let end = EngineOp::EndSenders {
        container: container.id.clone(),
        spared: heir.unwrap_or_default(),
    };
    let cause = "its shutdown does not end, and waits for receivers of its log if any is frozen";
    let step: Action<Change> = Action::engine(member, end, cause);
    Some(step.aside())
}
