//! `pg_hba.conf`: how it is written, and what can be told of a line without a server (PostgreSQL's `hba.c`, which splits a
//! line into fields and these into tokens).

use std::iter::Peekable;
use std::str::Chars;

use super::{REPLICATOR, SUPERUSER};
use crate::kinds::postgres::cluster::MONITORING_ROLE;

/// The methods of PostgreSQL 15 to 19. Which of them a server was built with only it can tell.
const METHODS: [&str; 15] = [
    "trust",
    "reject",
    "scram-sha-256",
    "md5",
    "password",
    "gss",
    "sspi",
    "ident",
    "peer",
    "pam",
    "bsd",
    "ldap",
    "radius",
    "cert",
    "oauth",
];

/// Records that name other files, from PostgreSQL 16 on.
const INCLUDES: [&str; 3] = ["include", "include_if_exists", "include_dir"];

/// A part of a line: its tokens, which commas divide.
type Field = Vec<String>;

/// Renders `pg_hba.conf`. The first line that matches decides, so ours come first.
/// `syncs_slots`: replicas copy logical slots, for which they ask the primary in a database.
pub fn pg_hba_conf(lines: &[String], syncs_slots: bool) -> String {
    let mut text = format!(
        "# Written by reconciler. An edit here is put back: change the manifest instead.\n\
         # The agent and the health check, through the socket inside the container:\n\
         local all {SUPERUSER} peer\n\
         # Replicas and the agent, from the cluster's own network:\n\
         host replication {REPLICATOR} samenet scram-sha-256\n\
         host all {SUPERUSER} samenet scram-sha-256\n\
         # Exporters of a Monitoring, from there too:\n\
         host all {MONITORING_ROLE} samenet scram-sha-256\n"
    );
    if syncs_slots {
        text.push_str(&format!("host postgres {REPLICATOR} samenet scram-sha-256\n"));
    }
    if !lines.is_empty() {
        text.push_str("# From the manifest:\n");
    }
    for line in lines {
        text.push_str(line.trim());
        text.push('\n');
    }
    text.push_str("# Everybody else, with a password:\n");
    text.push_str("local all all scram-sha-256\n");
    text.push_str("host all all all scram-sha-256\n");
    text
}

/// A server's complaint of a line of the file that [`pg_hba_conf`] makes, with the line that the manifest has there.
pub fn named_line(complaint: &str, lines: &[String]) -> String {
    let number = |rest: &str| rest.split(' ').next()?.parse::<usize>().ok()?.checked_sub(1);
    let at = complaint.split_once("line ").and_then(|(_, rest)| number(rest));
    let text = pg_hba_conf(lines, false);
    let line = at.and_then(|at| text.lines().nth(at));
    match line.filter(|line| complaint.contains("pg_hba.conf") && lines.iter().any(|own| own.trim() == *line)) {
        Some(line) => format!("{complaint}: `{line}` in spec.hba"),
        None => complaint.to_owned(),
    }
}

/// What is wrong with a line, if anything is.
pub fn problem(line: &str) -> Option<String> {
    if line.contains(['\n', '\r', '\0']) {
        return Some("one entry is one line".to_owned());
    }
    if line.trim_end().ends_with('\\') {
        return Some("a `\\` at the end would join it with the next line".to_owned());
    }
    let fields = fields(line);
    // A comment, or nothing at all.
    let first = fields.first()?;
    let [kind] = first.as_slice() else {
        return Some("the record type is a single word".to_owned());
    };
    match kind.as_str() {
        include if INCLUDES.contains(&include) => included(include, &fields),
        "local" => local(&fields),
        "host" | "hostssl" | "hostnossl" | "hostgssenc" | "hostnogssenc" => host(kind, &fields),
        other => Some(format!(
            "`{other}` is not a record type; it is local, host, hostssl, hostnossl, hostgssenc or hostnogssenc, or from \
             PostgreSQL 16 on include, include_if_exists or include_dir"
        )),
    }
}

fn included(kind: &str, fields: &[Field]) -> Option<String> {
    match fields {
        [_, path] if path.len() == 1 => None,
        _ => Some(format!("expected: {kind} PATH, and nothing else")),
    }
}

fn local(fields: &[Field]) -> Option<String> {
    match fields {
        [_, _, _, method, options @ ..] => method_problem("local", method, options),
        _ => Some("expected: local DATABASE USER METHOD".to_owned()),
    }
}

fn host(kind: &str, fields: &[Field]) -> Option<String> {
    let expected = || Some(format!("expected: {kind} DATABASE USER ADDRESS METHOD"));
    let [_, _, _, address, rest @ ..] = fields else {
        return expected();
    };
    let [address] = address.as_slice() else {
        return Some("one line has one address; write a line for each".to_owned());
    };
    let keyword = ["all", "samehost", "samenet"].contains(&address.as_str());
    let rest = match (address.split_once('/'), family(address)) {
        _ if keyword => rest,
        (Some((ip, length)), _) => match prefix_problem(ip, length) {
            Some(why) => return Some(why),
            None => rest,
        },
        // An address without a length has its mask in the next column.
        (None, Some(own)) => match rest {
            [mask, rest @ ..] => match mask_problem(address, own, mask) {
                Some(why) => return Some(why),
                None => rest,
            },
            [] => return expected(),
        },
        (None, None) => rest,
    };
    match rest {
        [method, options @ ..] => method_problem(kind, method, options),
        [] => expected(),
    }
}

/// The bits of an address, told by how it looks: the server's resolver also takes such as `10.1` and `fe80::1%eth0`.
fn family(text: &str) -> Option<u8> {
    let is_short = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    match text.contains(':') {
        true => Some(128),
        false => is_short.then_some(32),
    }
}

/// What is wrong with an address and the length of its network's part.
fn prefix_problem(ip: &str, length: &str) -> Option<String> {
    let Some(most) = family(ip) else {
        return Some(format!("`{ip}` is a host name, which has no `/{length}` behind it"));
    };
    let fits = length.parse::<u8>().is_ok_and(|bits| bits <= most);
    (!fits).then(|| format!("`{ip}/{length}`: behind the `/` stands a number from 0 to {most}"))
}

fn mask_problem(ip: &str, own: u8, mask: &Field) -> Option<String> {
    let [mask] = mask.as_slice() else {
        return Some(format!("address {ip} has one mask"));
    };
    match family(mask) {
        Some(other) if other == own => None,
        Some(_) => Some(format!("address {ip} and mask {mask} are of two families")),
        None => Some(format!(
            "behind address {ip} stands its mask, such as 255.255.255.0, and not `{mask}`; or write {ip}/{own}"
        )),
    }
}

fn method_problem(kind: &str, method: &Field, options: &[Field]) -> Option<String> {
    let [method] = method.as_slice() else {
        return Some("one line has one authentication method".to_owned());
    };
    let needs = match (method.as_str(), kind) {
        (method, _) if !METHODS.contains(&method) => {
            return Some(format!(
                "`{method}` is not an authentication method, such as scram-sha-256, cert or reject"
            ));
        }
        ("peer", kind) if kind != "local" => Some("local"),
        ("cert", kind) if kind != "hostssl" => Some("hostssl"),
        ("gss" | "sspi", "local") => Some("host"),
        _ => None,
    };
    if let Some(needs) = needs {
        return Some(format!("method {method} is for `{needs}` records"));
    }
    let wrong = options.iter().flatten().find(|option| !option.contains('='));
    wrong.map(|option| format!("behind the method stand options such as map=users, and not `{option}`"))
}

/// A line's fields. Blanks divide them, but not behind a comma.
fn fields(line: &str) -> Vec<Field> {
    let mut rest = line.chars().peekable();
    let mut fields: Vec<Field> = Vec::new();
    let mut goes_on = false;
    while rest.peek().is_some() {
        let (token, has_comma) = token(&mut rest);
        match (token, fields.last_mut()) {
            (Some(token), Some(field)) if goes_on => field.push(token),
            (Some(token), _) => fields.push(vec![token]),
            (None, _) => {}
        }
        goes_on = has_comma;
    }
    fields
}

/// The next token, without its quotes, and whether a comma ends it. Inside quotes two of them are one; what is not closed
/// goes on to the end of the line.
fn token(rest: &mut Peekable<Chars<'_>>) -> (Option<String>, bool) {
    let is_blank = |c: char| c == ' ' || c == '\t';
    while rest.next_if(|c| is_blank(*c)).is_some() {}
    let (mut token, mut is_quoted, mut has_quotes) = (String::new(), false, false);
    let mut has_comma = false;
    while let Some(c) = rest.next_if(|c| is_quoted || !is_blank(*c)) {
        match c {
            '#' if !is_quoted => rest.by_ref().for_each(drop),
            ',' if !is_quoted => {
                has_comma = true;
                break;
            }
            '"' if is_quoted && rest.next_if_eq(&'"').is_some() => token.push('"'),
            '"' => {
                is_quoted = !is_quoted;
                has_quotes = true;
            }
            _ => token.push(c),
        }
    }
    ((has_quotes || !token.is_empty()).then_some(token), has_comma)
}

#[cfg(test)]
mod tests {
    use super::{named_line, problem};

    #[test]
    fn what_postgresql_takes_passes() {
        for line in [
            "",
            "  ",
            "# the office",
            "local all all peer # a remark",
            "local all all peer map=users",
            "host all all 10.0.0.0/8 scram-sha-256",
            "host all all 10.0.0.0 255.0.0.0 md5",
            "host all all ::1/128 trust",
            "host all all fe80::1 ffff::0 trust",
            "host all all db.example.org md5",
            "host all all 10.0.0/8 md5",
            "host all all fe80::1%eth0/64 md5",
            "host all all .example.org md5",
            "host \"my db\",other \"some one\", two samenet scram-sha-256",
            "host \"a,\"\"b\" +admins,@names all reject",
            "host /^app_.*$ /^.*@example\\.org$ samehost md5",
            "hostssl app app samenet cert map=users clientcert=verify-full",
            "host all all 0.0.0.0/0 ldap ldapserver=a ldapprefix=\"cn=\" ldapsuffix=\", dc=x\"",
            "host all all all oauth issuer=\"https://a.example\" scope=\"openid email\"",
            "include extra.conf",
            "include_if_exists \"/etc/some where/x.conf\"",
            "include_dir /etc/hba.d",
            "host replication all samenet scram-sha-256",
        ] {
            assert_eq!(problem(line), None, "{line}");
        }
    }

    #[test]
    fn a_servers_complaint_gets_the_line_that_it_is_about() {
        let lines = ["# x".to_owned(), " host all all nowhere.invalid/8 md5".to_owned()];
        let told = named_line("invalid x; line 11 of configuration file \"pg_hba.conf\"", &lines);
        insta::assert_snapshot!(told, @r#"invalid x; line 11 of configuration file "pg_hba.conf": `host all all nowhere.invalid/8 md5` in spec.hba"#);
        assert_eq!(
            named_line("line 9 of something else", &lines),
            "line 9 of something else"
        );
        assert_eq!(
            named_line("line 1 of \"pg_hba.conf\"", &lines),
            "line 1 of \"pg_hba.conf\""
        );
    }

    #[test]
    fn what_no_server_takes_is_explained() {
        let told = |line: &str| problem(line).unwrap_or_default();
        insta::assert_snapshot!(told("host all all 10.0.0.0/33 md5"), @"`10.0.0.0/33`: behind the `/` stands a number from 0 to 32");
        insta::assert_snapshot!(told("host all all ::1/129 md5"), @"`::1/129`: behind the `/` stands a number from 0 to 128");
        insta::assert_snapshot!(told("host all all db.example.org/24 md5"), @"`db.example.org` is a host name, which has no `/24` behind it");
        insta::assert_snapshot!(told("host all all 10.0.0.1 md5"), @"behind address 10.0.0.1 stands its mask, such as 255.255.255.0, and not `md5`; or write 10.0.0.1/32");
        insta::assert_snapshot!(told("host all all 10.0.0.1 ffff:: md5"), @"address 10.0.0.1 and mask ffff:: are of two families");
        insta::assert_snapshot!(told("host all all a,b md5"), @"one line has one address; write a line for each");
        insta::assert_snapshot!(told("host all all all peer"), @"method peer is for `local` records");
        insta::assert_snapshot!(told("host all all all cert"), @"method cert is for `hostssl` records");
        insta::assert_snapshot!(told("host all all all md5 please"), @"behind the method stand options such as map=users, and not `please`");
        insta::assert_snapshot!(told("host \"all all all md5"), @"expected: host DATABASE USER ADDRESS METHOD");
        insta::assert_snapshot!(told("include a b"), @"expected: include PATH, and nothing else");
        insta::assert_snapshot!(told("local all all peer \\"), @r"a `\` at the end would join it with the next line");
        insta::assert_snapshot!(told("host,local all all peer"), @"the record type is a single word");
    }
}
