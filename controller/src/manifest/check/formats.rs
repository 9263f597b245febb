//! The `format` names that a spec's type may carry. One that is not listed here is not checked.

use std::net::IpAddr;

use crate::manifest::diagnostic::quote;
use crate::manifest::envelope::is_dns_label;
use crate::manifest::quantity::{parse_bytes, parse_cpus, parse_duration};

/// PostgreSQL cuts longer names silently, and then two of them may be the same.
const MAX_IDENTIFIER_BYTES: usize = 63;

/// What is wrong with a text, without saying where.
pub struct Wrong {
    pub message: String,
    pub help: Option<String>,
}

/// Checks a text against a format.
pub fn check(format: &str, text: &str) -> Result<(), Wrong> {
    match format {
        "bytes" => parse_bytes(text).map(drop).map_err(split_help),
        "duration" => parse_duration(text).map(drop).map_err(split_help),
        "cpus" => parse_cpus(text).map(drop).map_err(split_help),
        "dns-label" if !is_dns_label(text) => Err(wrong(
            text,
            "a name that can be a host name",
            "use at most 63 lower-case letters, digits and `-`; begin with a letter, and do not end with `-`",
        )),
        "identifier" if !is_identifier(text) => Err(wrong(
            text,
            "an identifier",
            "use at most 63 bytes, without `/` and control characters, and no `.` at the beginning",
        )),
        "ip" if text.parse::<IpAddr>().is_err() => Err(wrong(
            text,
            "an IP address",
            "write an address such as `127.0.0.1`, `0.0.0.0` or `::1`; names are not resolved",
        )),
        "image" => check_image(text),
        _ => Ok(()),
    }
}

/// The values that an integer format of schemars can hold.
pub fn integer_range(format: Option<&str>) -> (i128, i128) {
    match format {
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint" | "uint64") => (0, u64::MAX.into()),
        Some("int8") => (i8::MIN.into(), i8::MAX.into()),
        Some("int16") => (i16::MIN.into(), i16::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

fn wrong(text: &str, wanted: &str, help: &str) -> Wrong {
    Wrong {
        message: format!("{} is not {wanted}", quote(text)),
        help: Some(help.to_owned()),
    }
}

/// The sentence of a quantity has its help behind the semicolon.
fn split_help(sentence: String) -> Wrong {
    let (message, help) = match sentence.rsplit_once("; ") {
        Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
        None => (sentence, None),
    };
    Wrong { message, help }
}

/// Whatever PostgreSQL takes in quotes, but for what cannot be the name of the file that a password is kept in.
fn is_identifier(text: &str) -> bool {
    (1..=MAX_IDENTIFIER_BYTES).contains(&text.len())
        && !text.starts_with('.')
        && !text.chars().any(|c| c == '/' || c.is_control())
}

/// `[registry[:port]/]path[:tag][@sha256:…]`, as Docker reads it.
fn check_image(text: &str) -> Result<(), Wrong> {
    let help = "write `name:tag`, such as `postgres:17`, with a registry before it when needed: `registry.local:5000/postgres:17`";
    let no_image = || wrong(text, "an image", help);
    let (reference, digest) = match text.split_once('@') {
        Some((reference, digest)) => (reference, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(wrong(
            text,
            "an image: behind `@` stands a digest",
            "write `@sha256:` and 64 hexadecimal digits",
        ));
    }
    // A colon before the last slash belongs to the registry's port.
    let tag_at = reference
        .rfind(':')
        .filter(|colon| reference.rfind('/').is_none_or(|slash| slash < *colon));
    let (name, tag) = match tag_at.and_then(|colon| reference.split_at_checked(colon)) {
        Some((name, tag)) => (name, tag.strip_prefix(':')),
        None => (reference, None),
    };
    if !tag.is_none_or(is_tag) {
        return Err(no_image());
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    // The first part is a registry when it cannot be anything else.
    if parts.len() > 1
        && parts
            .first()
            .is_some_and(|p| p.contains(['.', ':']) || *p == "localhost")
    {
        let registry = parts.remove(0);
        let (host, port) = registry.split_once(':').unwrap_or((registry, "443"));
        let host_fits = !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        if !host_fits || port.parse::<u16>().is_err() {
            return Err(no_image());
        }
    }
    if parts.iter().any(|part| part.chars().any(|c| c.is_ascii_uppercase())) {
        return Err(wrong(
            text,
            "an image: its name has upper-case letters",
            "write the name in lower case",
        ));
    }
    match name.len() <= 255 && parts.iter().all(|part| is_path_part(part)) {
        true => Ok(()),
        false => Err(no_image()),
    }
}

fn is_path_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(word) && part.ends_with(word) && part.chars().all(|c| word(c) || matches!(c, '.' | '_' | '-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()))
}
