//! What a simulated server answers, derived from its files and from what was made in it.

use reconciler::kinds::postgres::conf;
use reconciler::model::Lsn;
use reconciler::model::postgres::{ExtensionFacts, PgFacts, PgQuestion, SlotFacts, StandbyFacts};

use super::machine::{Machine, Realm, SYSTEM_IDENTIFIER};

/// Where every log stands.
const LSN: Lsn = Lsn(0x0300_0000);

/// The answer of a container's server; `None` while it does not run.
pub fn of(realm: &Realm, container: &str, question: &PgQuestion) -> Option<PgFacts> {
    let machine = realm.machines.get(container).filter(|machine| machine.runs())?;
    let has_primary = realm.machines.values().any(|other| other.runs() && !other.is_standby());
    let mut facts = PgFacts {
        system_identifier: SYSTEM_IDENTIFIER,
        in_recovery: machine.is_standby(),
        timeline: 1,
        lsn: LSN,
        receive_lsn: LSN,
        receiver_streaming: machine.is_standby() && has_primary,
        version: 170_000,
        file_hashes: hashes(machine, question),
        reload_due: machine.is_reload_due,
        standby_floor: machine.floor.clone(),
        roles: realm.roles.clone(),
        databases: realm.databases.clone(),
        ..PgFacts::default()
    };
    for database in &question.look_into {
        if realm.databases.contains_key(database) {
            let present = realm.extensions.get(database).into_iter().flatten();
            let present = present.map(|name| (name.clone(), ExtensionFacts::default())).collect();
            facts.extensions.insert(database.clone(), present);
        }
    }
    if !machine.is_standby() {
        serve(realm, &mut facts);
    }
    Some(facts)
}

/// What only a primary has: its standbys and their slots.
fn serve(realm: &Realm, facts: &mut PgFacts) {
    let standbys = realm
        .machines
        .values()
        .filter(|other| other.runs() && other.is_standby());
    for standby in standbys {
        let streams = StandbyFacts {
            state: "streaming".to_owned(),
            replay_lsn: LSN,
            flush_lsn: LSN,
            sync_state: "async".to_owned(),
        };
        facts.standbys.insert(standby.member().to_owned(), streams);
    }
    for slot in &realm.slots {
        let is_used = facts.standbys.keys().any(|member| conf::slot_name(member) == *slot);
        let state = SlotFacts {
            active: is_used,
            wal_status: "reserved".to_owned(),
            ..SlotFacts::default()
        };
        facts.slots.insert(slot.clone(), state);
    }
}

fn hashes(machine: &Machine, question: &PgQuestion) -> std::collections::BTreeMap<String, String> {
    let asked = question.files.iter();
    asked
        .filter_map(|name| Some((name.clone(), machine.files.get(name)?.1.clone())))
        .collect()
}
