//! Who receives a server's log.

use serde::{Deserialize, Serialize};

use super::super::lsn::Lsn;

/// One that receives a server's log, as its WAL sender shows it (`pg_stat_replication`): a standby, an archiver, a logical
/// subscriber, a base backup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Receiver {
    /// The sender's process.
    pub pid: i32,
    /// Its `application_name`.
    pub name: String,
    /// The role that it logged in as.
    pub role: String,
    /// Its address; empty for the socket inside the container.
    pub address: String,
    /// `streaming`, `catchup`, `startup`, `backup`.
    pub state: String,
    /// The slot that it uses; empty without one.
    pub slot: String,
    /// Whether it receives decoded changes, and not the log itself.
    pub is_logical: bool,
    /// What was sent to it.
    pub sent_lsn: Lsn,
    /// What it said that it has on its disk, or at least was written.
    pub confirmed_lsn: Lsn,
    /// Seconds since it last said anything; `None` if it never did.
    pub reply_secs: Option<i64>,
}

impl Receiver {
    /// How far it has come, as far as its sender waits for that before its server shuts down: until all of the log is sent;
    /// a logical one until all of it is confirmed besides (PostgreSQL's `walsender.c`, `XLogSendPhysical` and `WalSndDone`).
    pub fn stands_at(&self) -> Lsn {
        match self.is_logical {
            true => self.sent_lsn.min(self.confirmed_lsn),
            false => self.sent_lsn,
        }
    }

    /// How many bytes of a log that ends at `end` keep its sender from ending. A sender that has not begun to stream, or
    /// sends a base backup, ends when it is asked to.
    pub fn bytes_behind(&self, end: Lsn) -> u64 {
        match self.state.as_str() {
            "startup" | "backup" => 0,
            _ => end.bytes_past(self.stands_at()),
        }
    }
}
