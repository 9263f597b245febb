//! What a log says of why its server ended, or why a replica does not stream: the complaint with its detail and hint, not
//! the line that happens to be the last.

use crate::model::Lsn;

/// The severities of a complaint, as the C locale of the images has them.
const SEVERITIES: [&str; 3] = ["PANIC: ", "FATAL: ", "ERROR: "];
/// Lines that belong to the complaint before them.
const ADDITIONS: [(&str, &str); 2] = [("DETAIL: ", "; "), ("HINT: ", "; hint: ")];
/// Complaints of other programs: of `pg_basebackup`, `pg_rewind`, `initdb` and `postgres` itself before it has a log.
const PROGRAMS: [&str; 2] = ["error: ", "fatal: "];
/// What only says that something else has happened.
const CONSEQUENCES: [&str; 12] = [
    "terminating walreceiver process due to administrator command",
    "terminating connection due to administrator command",
    "terminating connection because of crash of another server process",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is not yet accepting connections",
    "the database system is in recovery mode",
    "waiting for WAL to become available",
    "canceling statement due to",
    "canceling authentication due to timeout",
    "WAL receiver process shutdown requested",
    "contains errors",
];
/// What a standby says when the next record of its log does not follow from the last one (`xlogreader.c`), or its primary
/// when it is asked for what it never wrote (`walsender.c`, `xlogrecovery.c`).
const SEAMS: [&str; 17] = [
    "record with incorrect prev-link",
    "record with invalid length",
    "invalid resource manager ID",
    "invalid record length at",
    "invalid record offset",
    "unexpected pageaddr",
    "invalid magic number",
    "invalid info bits",
    "incorrect resource manager data checksum",
    "there is no contrecord flag",
    "invalid contrecord length",
    "missing contrecord at",
    "out-of-sequence timeline ID",
    "is ahead of the WAL flush position",
    "is not in this server's history",
    "forked off current database system timeline",
    "of the primary is behind recovery timeline",
];

/// A line without what `log_line_prefix` puts before it.
pub fn bare(line: &str) -> &str {
    let severity = ["PANIC:", "FATAL:", "ERROR:", "LOG:", "WARNING:"]
        .iter()
        .filter_map(|word| line.find(word))
        .min();
    line.get(severity.unwrap_or(0)..).unwrap_or(line).trim()
}

/// The last complaint in a log, with its detail and hint; else the last line that says anything.
pub fn complaint(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    // The entry point ends with what failed and why, where it knows.
    let own = lines.last().and_then(|line| line.strip_prefix("reconciler: "));
    if let Some(own) = own.filter(|own| own.contains(" failed: ")) {
        return Some(own.to_owned());
    }
    let is_told = |line: &&&str| !CONSEQUENCES.iter().any(|words| line.contains(words));
    let of = |marks: &[&str]| {
        let is_complaint = |line: &&&str| marks.iter().any(|mark| line.contains(mark));
        let last = lines.iter().rfind(|line| is_complaint(line) && is_told(line))?;
        lines.iter().rposition(|line| line == last)
    };
    let Some(at) = of(&SEVERITIES).or_else(|| of(&PROGRAMS)) else {
        let is_own = |line: &&&str| !line.contains("database system is shut down");
        return lines
            .iter()
            .rfind(|line| is_told(line) && is_own(line))
            .map(|line| bare(line).to_owned());
    };
    let mut text = bare(lines[at]).to_owned();
    for line in &lines[at + 1..] {
        let Some((mark, joint)) = ADDITIONS.iter().find(|(mark, _)| line.contains(mark)) else {
            break;
        };
        text += joint;
        text += line.split_once(mark).map_or("", |(_, rest)| rest.trim());
    }
    Some(text)
}

/// Why a standby does not stream, in its log's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoStream {
    /// The words.
    pub text: String,
    /// Where its log and its primary's do not fit together, if that is what it says.
    pub seam: Option<Lsn>,
}

/// The newest reason in a standby's log for its not streaming.
pub fn no_stream(log: &str) -> Option<NoStream> {
    let is_seam = |line: &str| SEAMS.iter().any(|words| line.contains(words));
    let is_complaint = |line: &str| SEVERITIES.iter().any(|mark| line.contains(mark));
    let line = log.lines().rev().find(|line| {
        let is_told = !CONSEQUENCES.iter().any(|words| line.contains(words));
        is_told && (is_seam(line) || is_complaint(line))
    })?;
    let text = bare(line).to_owned();
    let positions = text
        .split_whitespace()
        .map(|word| word.trim_end_matches([':', ',', '.']));
    let position = positions
        .filter(|word| word.contains('/'))
        .find_map(|word| word.parse().ok());
    // Of two numbers with a slash, the previous record's comes first.
    let after_at = text.rsplit_once(" at ").and_then(|(_, rest)| {
        let word = rest.split_whitespace().next()?.trim_end_matches([':', ',', '.']);
        word.parse().ok()
    });
    let seam = after_at.or(position).filter(|_| is_seam(line));
    Some(NoStream { text, seam })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_point_says_which_script_failed() {
        let log = "psql:/etc/reconciler/init/40.sql:1: ERROR:  relation \"nowhere\" does not exist\n\
                   reconciler: the script 40.sql failed: ERROR:  relation \"nowhere\" does not exist\n";
        let said = complaint(log).unwrap();
        assert_eq!(
            said,
            "the script 40.sql failed: ERROR:  relation \"nowhere\" does not exist"
        );
        let seeding = "pg_basebackup: error: connection refused\nreconciler: seeding failed\n";
        assert!(complaint(seeding).unwrap().contains("connection refused"));
    }

    #[test]
    fn the_complaint_is_told_with_its_detail_and_hint_and_not_what_follows_from_it() {
        let log = "2026-11-29 00:31:51.295 GMT [29] LOG:  starting PostgreSQL 17.5\n\
            2026-11-29 00:31:51.295 GMT [1] FATAL:  could not map anonymous shared memory: Cannot allocate memory\n\
            2026-11-29 00:31:51.295 GMT [1] HINT:  This error usually means that huge_pages is on.\n\
            2026-11-29 00:31:51.299 GMT [52] FATAL:  the database system is starting up\n\
            2026-11-29 00:31:51.299 GMT [1] LOG:  database system is shut down\n\n";
        let expected = "FATAL:  could not map anonymous shared memory: Cannot allocate memory; hint: This error usually means \
            that huge_pages is on.";
        assert_eq!(complaint(log).as_deref(), Some(expected));
        let detail = "FATAL:  recovery aborted because of insufficient parameter settings\n\
            DETAIL:  max_connections = 50 is a lower setting than on the primary server, where its value was 100.\n\
            HINT:  You can restart the server after making the necessary configuration changes.\n\
            LOG:  startup process (PID 27) exited with exit code 1\nLOG:  aborting startup\nLOG:  database system is shut down\n";
        assert!(complaint(detail).is_some_and(|text| {
            text.starts_with("FATAL:  recovery aborted") && text.contains("was 100.; hint: You can restart")
        }));
    }

    #[test]
    fn other_programs_complain_too_and_without_a_complaint_the_last_line_counts() {
        let seed = "waiting for checkpoint\npg_basebackup: error: could not write to file \"x\": Permission denied\n\
            pg_basebackup: removing contents of data directory\nreconciler: seeding failed\n";
        assert_eq!(
            complaint(seed).as_deref(),
            Some("pg_basebackup: error: could not write to file \"x\": Permission denied")
        );
        assert_eq!(
            complaint("LOG:  one\nLOG:  database system is shut down\n").as_deref(),
            Some("LOG:  one")
        );
        assert_eq!(complaint("\n"), None);
    }

    #[test]
    fn a_seam_is_told_with_its_place_and_other_trouble_without() {
        let at = |log: &str| no_stream(log).and_then(|said| said.seam);
        let stuck = "2026-11-29 00:32:02 GMT [88] FATAL:  terminating walreceiver process due to administrator command\n\
            2026-11-29 00:32:03 GMT [29] LOG:  record with incorrect prev-link 54/66643062 at 0/30A4C28\n\
            2026-11-29 00:32:03 GMT [29] LOG:  waiting for WAL to become available at 0/3002000\n";
        assert_eq!(at(stuck), Some(Lsn(0x030A_4C28)));
        let short = "LOG:  invalid record length at 0/30A4C28: expected at least 24, got 0\n";
        assert_eq!(at(short), Some(Lsn(0x030A_4C28)));
        let ahead = "FATAL:  could not receive data from WAL stream: ERROR:  requested starting point 0/5000000 is ahead of the \
            WAL flush position of this server 0/4000148\n";
        assert_eq!(at(ahead), Some(Lsn(0x0500_0000)));
        let refused = format!(
            "{short}FATAL:  could not connect to the primary server: connection to server at \"pg-master\" (10.0.0.2), port 5432 \
             failed: FATAL:  password authentication failed for user \"replicator\"\n"
        );
        let said = no_stream(&refused).expect("a reason");
        assert!(
            said.seam.is_none() && said.text.contains("password authentication failed"),
            "{said:?}"
        );
        assert_eq!(
            no_stream("LOG:  started streaming WAL from primary at 0/3000000 on timeline 1\n"),
            None
        );
    }
}
