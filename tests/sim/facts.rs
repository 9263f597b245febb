//! What a server answers, and what a stopped one leaves in its control file.

use std::collections::BTreeMap;

use reconciler::host::Secrets;
use reconciler::model::Lsn;
use reconciler::model::postgres::{
    ControlState, ExtensionFacts, PgFacts, PgQuestion, RoleFacts, SlotFacts, StandbyFacts,
};
use reconciler::model::wal::{Mark, Place};

use super::conf;
use super::container::Phase;
use super::volume::Data;
use super::world::World;

/// `PG_CONTROL_VERSION` of PostgreSQL 17.
const CONTROL_VERSION: u32 = 1300;
/// What a base backup copies, in bytes.
const SEED_BYTES: u64 = 1 << 30;

impl World {
    /// All that the agent asks of a server that answers.
    pub fn facts(&self, at: usize, question: &PgQuestion) -> Option<PgFacts> {
        let container = &self.containers[at];
        let server = container.up()?;
        let data = self.data(at)?;
        let end = self.wal.end(data.place);
        let replayed = self.wal.end(self.wal.cut(data.place, data.replayed));
        let catalog = &self.catalogs[data.catalog];
        let mut facts = PgFacts {
            system_identifier: data.system_identifier,
            in_recovery: server.in_recovery,
            timeline: if server.in_recovery {
                data.timeline
            } else {
                self.wal.timeline(data.place)
            },
            lsn: Lsn(if server.in_recovery { replayed } else { end }),
            receive_lsn: Lsn(if server.in_recovery && server.has_streamed {
                end
            } else {
                0
            }),
            flush_lsn: Lsn(if server.in_recovery { 0 } else { end }),
            min_recovery_lsn: Lsn(if server.in_recovery { data.min_recovery } else { 0 }),
            sync_names: server
                .loaded
                .get("synchronous_standby_names")
                .cloned()
                .unwrap_or_default(),
            replay_paused: server.replay_paused || server.is_stuck,
            receiver_streaming: server.link.is_some(),
            replay_lag_secs: 0,
            version: 170_000,
            file_hashes: container.hashes(&question.files),
            reload_due: container.conf_version() > server.loaded_version,
            pending_restart: conf::pending(&server.at_start, &server.loaded),
            running: conf::running(&server.at_start, &server.loaded),
            auto_conf: data.auto_conf.clone(),
            standby_floor: conf::limits(&server.at_start),
            receivers: self.receivers_of(at),
            floor_defaults: conf::limits(&conf::Conf::new()),
            slots: self.slots_of(at, data),
            databases: catalog.databases.clone(),
            ..PgFacts::default()
        };
        for (name, role) in &catalog.roles {
            let wanted = question.passwords.get(name);
            let wanted = wanted.and_then(|secret| self.passwords.peek(secret).ok());
            let role = RoleFacts {
                attributes: role.attributes,
                password_fits: wanted.flatten().map(|wanted| wanted == role.password),
                member_of: role.member_of.clone(),
                has_expired: false,
            };
            facts.roles.insert(name.clone(), role);
        }
        for database in &question.look_into {
            if catalog.databases.contains_key(database) {
                let present = catalog.extensions.get(database).into_iter().flatten();
                let present = present.map(|name| (name.clone(), ExtensionFacts::default())).collect();
                facts.extensions.insert(database.clone(), present);
            }
        }
        self.standbys_of(at, &mut facts);
        if !server.in_recovery {
            self.compare(data, question, &mut facts);
        }
        // A standby has the history of its timeline from the first record of it on.
        if facts.timeline == self.wal.timeline(data.place) {
            let history = self.wal.history(data.place).into_iter();
            facts.history = history.map(|(timeline, left)| (timeline, Lsn(left))).collect();
        }
        Some(facts)
    }

    /// What a primary says of its log.
    fn compare(&self, data: &Data, question: &PgQuestion, facts: &mut PgFacts) {
        let (place, end) = (data.place, self.wal.end(data.place));
        facts.mark = Some(Mark {
            place: Place::new(facts.timeline, Lsn(end)),
            hash: self.wal.fingerprint(place, end),
        });
        let asked = question
            .mark
            .as_ref()
            .filter(|mark| mark.place.lsn.0 <= end && !mark.hash.is_empty());
        facts.found_mark = asked.map(|mark| Mark {
            hash: self.wal.fingerprint(place, mark.place.lsn.0),
            ..mark.clone()
        });
        let asked = question.places.iter().filter(|asked| asked.lsn.0 < end);
        facts.boundaries = asked
            .map(|asked| (asked.to_string(), self.wal.is_boundary(place, asked.lsn.0)))
            .collect();
    }

    fn slots_of(&self, at: usize, data: &Data) -> BTreeMap<String, SlotFacts> {
        let serial = self.containers[at].serial;
        let slots = data.slots.iter();
        slots
            .map(|(name, slot)| {
                let facts = SlotFacts {
                    active: self.user_of(serial, name).is_some(),
                    wal_status: if slot.is_lost { "lost" } else { "reserved" }.to_owned(),
                    ..SlotFacts::default()
                };
                (name.clone(), facts)
            })
            .collect()
    }

    fn standbys_of(&self, at: usize, facts: &mut PgFacts) {
        let serial = self.containers[at].serial;
        let voters = conf::voters(&facts.sync_names);
        for (other, container) in self.containers.iter().enumerate() {
            let Some(process) = &container.process else {
                continue;
            };
            if let Phase::Seeding { source, .. } = &process.phase
                && *source == serial
            {
                let (done, whole) = (self.now - process.begun, (process.until - process.begun).max(1));
                let sent = SEED_BYTES * done.min(whole) / whole;
                facts
                    .base_backups
                    .insert(container.member().to_owned(), (sent, SEED_BYTES));
            }
            let Some(link) = process.server.link.as_ref().filter(|link| link.source == serial) else {
                continue;
            };
            let Some(data) = self.data(other) else {
                continue;
            };
            let name = conf::word(&link.conninfo, "application_name").unwrap_or_default();
            let voters = voters
                .as_ref()
                .filter(|voters| voters.names.iter().any(|voter| voter == name));
            let standby = StandbyFacts {
                state: "streaming".to_owned(),
                flush_lsn: Lsn(self.wal.end(data.place)),
                replay_lsn: Lsn(self.wal.end(self.wal.cut(data.place, data.replayed))),
                sync_state: match voters {
                    None => "async",
                    Some(voters) if voters.are_ordered => "sync",
                    Some(_) => "quorum",
                }
                .to_owned(),
            };
            facts.standbys.insert(name.to_owned(), standby);
        }
    }
}

/// `global/pg_control`, as far as it is read.
pub fn control(data: &Data) -> Vec<u8> {
    let state: u32 = match data.control.state {
        ControlState::Startup => 0,
        ControlState::ShutDown => 1,
        ControlState::ShutDownInRecovery => 2,
        ControlState::ShuttingDown => 3,
        ControlState::InCrashRecovery => 4,
        ControlState::InArchiveRecovery => 5,
        ControlState::InProduction => 6,
    };
    let mut bytes = vec![0; 144];
    bytes[..8].copy_from_slice(&data.system_identifier.to_le_bytes());
    bytes[8..12].copy_from_slice(&CONTROL_VERSION.to_le_bytes());
    bytes[16..20].copy_from_slice(&state.to_le_bytes());
    bytes[32..40].copy_from_slice(&data.control.checkpoint.to_le_bytes());
    bytes[136..144].copy_from_slice(&data.min_recovery.to_le_bytes());
    bytes[48..52].copy_from_slice(&data.control.timeline.to_le_bytes());
    bytes
}
