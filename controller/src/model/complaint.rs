//! Why a PostgreSQL server did not start, in its own words. Pure.

/// Lines of the log that are no complaint.
const USUAL: [&str; 7] = [
    "starting PostgreSQL",
    "listening on",
    "database system is",
    "database system was",
    "redirecting log output",
    "ending log output",
    "could not open usermap file",
];
/// What a server says at last after it has said above what is wrong.
const SUMMARIES: [(&str, &str); 2] = [
    ("configuration file ", "contains errors"),
    ("could not load ", "hba.conf"),
];
/// A complaint is cut after so many characters.
const MAX_CHARS: usize = 600;

struct Message {
    is_last_word: bool,
    text: String,
}

/// The reason in what a server wrote before it ended, with its details and its advice, and without what only follows from
/// it. `None` when it gave none.
pub fn complaint(log: &str) -> Option<String> {
    let messages = messages(log);
    let end = messages.iter().rposition(|message| message.is_last_word)?;
    let last = &messages[end].text;
    let is_summary = SUMMARIES
        .iter()
        .any(|(begin, rest)| last.starts_with(begin) && last.contains(rest));
    let before = messages[..end].iter().rev();
    let causes = before.take_while(|message| is_summary && !message.is_last_word && !is_usual(&message.text));
    let mut causes: Vec<&str> = causes.map(|message| message.text.as_str()).collect();
    causes.reverse();
    let words = if causes.is_empty() {
        last.clone()
    } else {
        causes.join("; ")
    };
    Some(words.chars().take(MAX_CHARS).collect())
}

fn is_usual(text: &str) -> bool {
    USUAL.iter().any(|usual| text.starts_with(usual))
}

fn messages(log: &str) -> Vec<Message> {
    const SEVERITIES: [(&str, bool); 5] = [
        ("FATAL:  ", true),
        ("PANIC:  ", true),
        ("ERROR:  ", false),
        ("WARNING:  ", false),
        ("LOG:  ", false),
    ];
    const ADDITIONS: [(&str, &str); 3] = [("DETAIL:  ", ""), ("HINT:  ", "hint: "), ("CONTEXT:  ", "")];
    let mut messages: Vec<Message> = Vec::new();
    for line in log.lines() {
        let found = SEVERITIES
            .iter()
            .find_map(|(mark, is_last_word)| Some((line.split_once(mark)?.1.trim(), *is_last_word)));
        if let Some((text, is_last_word)) = found {
            let text = text.to_owned();
            messages.push(Message { is_last_word, text });
            continue;
        }
        let more = ADDITIONS
            .iter()
            .find_map(|(mark, name)| Some(format!("; {name}{}", line.split_once(mark)?.1.trim())));
        if let (Some(more), Some(message)) = (more, messages.last_mut()) {
            message.text.push_str(&more);
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn the_reason_stands_above_what_only_follows_from_it() {
        let memory = "LOG:  starting PostgreSQL 17.6\n\
            2026-01-01 10:00:00.000 UTC [1] FATAL:  could not map anonymous shared memory: Cannot allocate memory\n\
            2026-01-01 10:00:00.000 UTC [1] HINT:  Reduce it.\n\
            2026-01-01 10:00:00.000 UTC [1] LOG:  database system is shut down\n";
        insta::assert_snapshot!(complaint(memory).unwrap_or_default(), @"could not map anonymous shared memory: Cannot allocate memory; hint: Reduce it.");
        let hba = "LOG:  listening on Unix socket \"x\"\n\
            LOG:  invalid CIDR mask in address \"10.0.0.0/33\"\n\
            CONTEXT:  line 8 of configuration file \"/etc/reconciler/pg_hba.conf\"\n\
            FATAL:  could not load /etc/reconciler/pg_hba.conf\n\
            LOG:  database system is shut down\n";
        insta::assert_snapshot!(complaint(hba).unwrap_or_default(), @r#"invalid CIDR mask in address "10.0.0.0/33"; line 8 of configuration file "/etc/reconciler/pg_hba.conf""#);
        let value = "LOG:  invalid value for parameter \"work_mem\": \"lots\"\n\
            LOG:  unrecognized configuration parameter \"x\" in file \"y\" line 3\n\
            FATAL:  configuration file \"y\" contains errors\n";
        insta::assert_snapshot!(complaint(value).unwrap_or_default(), @r#"invalid value for parameter "work_mem": "lots"; unrecognized configuration parameter "x" in file "y" line 3"#);
        assert_eq!(complaint("LOG:  database system is shut down\n"), None);
        let bare = "LOG:  listening on x\nFATAL:  could not load pg_hba.conf\n";
        assert_eq!(complaint(bare).as_deref(), Some("could not load pg_hba.conf"));
    }
}
