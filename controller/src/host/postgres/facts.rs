//! Makes facts of a server's answer. Pure, except that verifiers are remembered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::failure::Trouble;
use super::verifier::Verifiers;
use super::wal;
use crate::model::Lsn;
use crate::model::postgres::{
    LogicalSlot, Made, Maintenance, PgFacts, PgQuestion, Receiver, RoleAttributes, RoleFacts, Running, Sizes,
    SlotFacts, StandbyFacts,
};
use crate::model::wal::{Mark, Place};

/// The question that all facts come from.
pub const SQL: &str = include_str!("facts.sql");

/// The parameter of [`SQL`].
#[derive(Serialize)]
pub struct Asked<'a> {
    /// Where the delivered files lie.
    pub directory: &'a str,
    /// The delivered files that are hashed.
    pub files: &'a [String],
    /// Whether to measure the data and the log.
    pub sizes: bool,
    /// A timeline and a position: the hash of what precedes it is asked for.
    pub mark: Option<(u32, u64)>,
    /// Timelines and addresses of pages of the log.
    pub pages: &'a [(u32, u64)],
}

impl Asked<'_> {
    /// As the text that the statement takes.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The answer to [`SQL`].
#[derive(Deserialize)]
struct Answer {
    system_identifier: String,
    in_recovery: bool,
    timeline: u32,
    checkpoint_due: bool,
    lsn: Lsn,
    receive_lsn: Lsn,
    flush_lsn: Lsn,
    mark: Option<MarkAnswer>,
    hash_asked: Option<String>,
    pages: Vec<(u32, u64, String)>,
    segment_bytes: u64,
    min_recovery_lsn: Lsn,
    sync_names: String,
    replay_paused: bool,
    receiver_streaming: bool,
    replay_lag_secs: i64,
    version: u32,
    file_hashes: BTreeMap<String, String>,
    files_edited: BTreeSet<String>,
    reload_due: bool,
    pending_restart: Vec<String>,
    running: BTreeMap<String, Row>,
    hba_remarks: Vec<String>,
    set_aside: String,
    holds: (u64, u64, u64),
    auto_conf: BTreeMap<String, String>,
    standby_floor: BTreeMap<String, i64>,
    floor_defaults: BTreeMap<String, i64>,
    setting_errors: Vec<String>,
    hba_errors: Vec<String>,
    standbys: BTreeMap<String, StandbyFacts>,
    receivers: Vec<Receiver>,
    slots: BTreeMap<String, SlotFacts>,
    logical: BTreeMap<String, LogicalSlot>,
    standby_slots: String,
    base_backups: BTreeMap<String, (u64, u64)>,
    roles: BTreeMap<String, RoleAnswer>,
    tablespaces: BTreeMap<String, String>,
    maintenance: Maintenance,
    databases: Option<BTreeMap<String, String>>,
    history: String,
    can_rewind: bool,
    sizes: Option<Sizes>,
    made: Option<Made>,
}

/// File, setting, unit, type, context, source, whether that is our file, whether a restart is waited for.
type Row = (Option<String>, String, String, String, String, String, bool, bool);

#[derive(Deserialize)]
struct MarkAnswer {
    timeline: u32,
    lsn: Lsn,
    hash: String,
}

#[derive(Deserialize)]
struct RoleAnswer {
    attributes: RoleAttributes,
    verifier: Option<String>,
    has_expired: bool,
    member_of: Vec<String>,
}

/// The facts of an answer to a question. `passwords` are the wanted ones; one that was not made yet fits no verifier.
pub fn read(
    text: &str,
    question: &PgQuestion,
    passwords: &BTreeMap<String, Option<String>>,
    verifiers: &mut Verifiers,
) -> Result<PgFacts, Trouble> {
    let answer: Answer = serde_json::from_str(text).map_err(|e| Trouble::Unreadable(e.to_string()))?;
    let roles = answer.roles.into_iter().map(|(name, role)| {
        let verifier = role.verifier.unwrap_or_default();
        // A password that nobody knows here can neither fit nor not fit.
        let wanted = passwords.get(&name).and_then(Option::as_ref);
        let fits = wanted.map(|wanted| verifiers.fits(&verifier, wanted));
        let facts = RoleFacts {
            attributes: role.attributes,
            password_fits: fits,
            member_of: role.member_of,
            has_expired: role.has_expired,
        };
        (name, facts)
    });
    // What is not on its disk yet ends nowhere.
    let is_written = |place: &&Place| place.lsn < answer.flush_lsn;
    let places: Vec<Place> = question.places.iter().filter(is_written).copied().collect();
    let boundaries = boundaries(&places, &answer.pages, answer.segment_bytes);
    let mark = answer.mark.map(|mark| Mark {
        place: Place::new(mark.timeline, mark.lsn),
        hash: mark.hash,
    });
    let asked = question.mark.as_ref().zip(answer.hash_asked);
    Ok(PgFacts {
        mark,
        found_mark: asked.map(|(mark, hash)| Mark { hash, ..mark.clone() }),
        boundaries,
        min_recovery_lsn: answer.min_recovery_lsn,
        system_identifier: identifier(&answer.system_identifier)?,
        in_recovery: answer.in_recovery,
        timeline: answer.timeline,
        checkpoint_due: answer.checkpoint_due,
        lsn: answer.lsn,
        receive_lsn: answer.receive_lsn,
        flush_lsn: answer.flush_lsn,
        sync_names: answer.sync_names,
        replay_paused: answer.replay_paused,
        receiver_streaming: answer.receiver_streaming,
        replay_lag_secs: answer.replay_lag_secs,
        version: answer.version,
        file_hashes: answer.file_hashes,
        files_edited: answer.files_edited,
        reload_due: answer.reload_due,
        pending_restart: answer.pending_restart,
        running: answer
            .running
            .into_iter()
            .map(|(name, row)| (name, running(row)))
            .collect(),
        conf_remarks: answer.hba_remarks,
        set_aside: answer.set_aside.lines().map(shown_line).collect(),
        holds: answer.holds,
        auto_conf: answer.auto_conf.into_iter().map(without_password).collect(),
        standby_floor: answer.standby_floor,
        floor_defaults: answer.floor_defaults,
        conf_errors: [answer.setting_errors, answer.hba_errors].concat(),
        standbys: answer.standbys,
        receivers: answer.receivers,
        slots: answer.slots,
        logical: answer.logical,
        standby_slots: names(&answer.standby_slots),
        base_backups: answer.base_backups,
        roles: roles.collect(),
        tablespaces: answer.tablespaces,
        maintenance: answer.maintenance,
        databases: answer.databases.unwrap_or_default(),
        extensions: BTreeMap::new(),
        history: history(&answer.history)?,
        can_rewind: answer.can_rewind,
        sizes: answer.sizes,
        made: answer.made,
    })
}

/// Which of the places that were asked for are the ends of records. What the server no longer has is left out.
fn boundaries(places: &[Place], pages: &[(u32, u64, String)], segment: u64) -> BTreeMap<String, bool> {
    let told = places.iter().filter_map(|place| {
        let at = wal::page_of(place.lsn).0;
        let (_, _, hex) = pages
            .iter()
            .find(|(timeline, page, _)| (*timeline, *page) == (place.timeline, at))?;
        Some((place.to_string(), wal::is_boundary(&bytes(hex)?, place.lsn, segment)?))
    });
    told.collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect()
}

/// The names in a list, as the agent writes them.
fn names(list: &str) -> Vec<String> {
    let names = list.split(',').map(|name| name.trim().trim_matches('"').to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// SQL shows the identifier as a signed number; `initdb` made it unsigned.
fn identifier(text: &str) -> Result<u64, Trouble> {
    let signed: i64 = text
        .parse()
        .map_err(|_| Trouble::Unreadable(format!("system identifier `{text}`")))?;
    Ok(signed.cast_unsigned())
}

fn running((file, setting, unit, vartype, context, source, is_ours, is_pending): Row) -> Running {
    Running {
        file,
        setting,
        unit,
        vartype,
        context,
        source,
        is_ours,
        is_pending,
    }
}

/// A line of `postgresql.auto.conf`, which is printed.
fn shown_line(line: &str) -> String {
    let (name, value) = line.split_once('=').unwrap_or((line, ""));
    let (name, value) = without_password((name.trim().to_owned(), value.trim().to_owned()));
    format!("{name} = {value}")
}

/// Values are printed in plans; one such as `primary_conninfo` may hold a password.
fn without_password((name, value): (String, String)) -> (String, String) {
    let hidden = [&name, &value]
        .iter()
        .any(|text| text.to_ascii_lowercase().contains("passw"));
    let value = if hidden {
        "(hidden: it holds a password)".to_owned()
    } else {
        value
    };
    (name, value)
}

/// Reads a timeline history file: for each ancestor a line with its number, where the next one branched off, and why
/// (PostgreSQL's `timeline.c`, `readTimeLineHistory`).
fn history(text: &str) -> Result<Vec<(u32, Lsn)>, Trouble> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut fields = line.split_whitespace();
            let timeline = fields.next().and_then(|field| field.parse().ok());
            let lsn = fields.next().and_then(|field| field.parse().ok());
            timeline
                .zip(lsn)
                .ok_or_else(|| Trouble::Unreadable(format!("timeline history `{line}`")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{history, identifier, without_password};
    use crate::model::Lsn;

    #[test]
    fn reads_a_timeline_history() {
        let text = "1\t0/A000198\tno recovery target specified\n\n2\t1/B00000A0\tbefore 2000-01-01 00:00:00+00\n";
        let found = history(text).expect("a valid history");
        assert_eq!(found, vec![(1, Lsn(0x0A00_0198)), (2, Lsn(0x1_B000_00A0))]);
        assert!(history("").expect("timeline 1 has none").is_empty());
        assert!(history("one 0/1 x").is_err());
    }

    #[test]
    fn an_identifier_is_unsigned() {
        assert_eq!(
            identifier("7711892524968054813").expect("a number"),
            7_711_892_524_968_054_813
        );
        assert_eq!(identifier("-1").expect("a number"), u64::MAX);
        assert!(identifier("").is_err());
    }

    #[test]
    fn a_password_in_a_parameter_is_not_shown() {
        let pair = |name: &str, value: &str| without_password((name.to_owned(), value.to_owned())).1;
        assert!(!pair("primary_conninfo", "host=a password=hush").contains("hush"));
        assert_eq!(pair("work_mem", "8MB"), "8MB");
    }
}
