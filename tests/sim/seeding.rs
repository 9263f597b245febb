//! Base backups: what `pg_basebackup` in the entry point comes to.

use reconciler::model::postgres::ControlState;

use super::container::Phase;
use super::volume::{Content, ControlFile, Data};
use super::world::World;

impl World {
    /// The entry point runs `pg_basebackup`.
    pub fn begin_seed(&mut self, at: usize) {
        let conninfo = self.containers[at].text("source").to_owned();
        let slot = self.containers[at].text("slot").to_owned();
        if let Some(volume) = self.volume(self.containers[at].volume()) {
            self.volumes[volume].content = Content::Partial;
        }
        match self.sender(at, &conninfo, &slot) {
            Ok(source) if self.user_of(self.containers[source].serial, &slot).is_none() => {
                let serial = self.containers[source].serial;
                let until = self.now + self.takes(self.pace.seed);
                if let Some(process) = &mut self.containers[at].process {
                    process.phase = Phase::Seeding { source: serial, slot };
                    process.begun = self.now;
                    process.until = until;
                }
                let name = self.containers[at].seen.name.clone();
                let from = self.containers[source].seen.name.clone();
                self.tell(&name, || format!("is seeded from {from}"));
            }
            Ok(_) => self.seed_fails(at, "the slot is in use"),
            Err(why) => self.seed_fails(at, &why),
        }
    }

    pub fn seed_fails(&mut self, at: usize, why: &str) {
        self.containers[at].say(format!("pg_basebackup: error: {why}"));
        self.containers[at].say("reconciler: seeding failed".to_owned());
        self.exit(at, 81, why);
    }

    /// The copy is whole.
    pub fn seeded(&mut self, at: usize, source: u64) {
        let Some(source) = self.by_serial(source).and_then(|source| self.data(source)).cloned() else {
            return self.seed_fails(at, "the server closed the connection unexpectedly");
        };
        let copy = Data {
            is_standby: true,
            replayed: source.place.count,
            slots: std::collections::BTreeMap::new(),
            auto_conf: std::collections::BTreeMap::new(),
            control: ControlFile {
                state: ControlState::InProduction,
                ..source.control
            },
            oldest: source.control.checkpoint,
            ..source
        };
        if let Some(volume) = self.volume(self.containers[at].volume()) {
            self.volumes[volume].content = Content::Data(Box::new(copy));
        }
        self.boot(at);
    }
}
