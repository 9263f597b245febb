//! Bytes to text: what can be told about a file before YAML comes into play.

use super::diagnostic::{Finding, Position, Span};

/// A manifest written by hand has kilobytes. The limit bounds the time and memory of every later stage.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// How much of a file that is no text is looked at to show the line in question.
pub const MAX_SHOWN_BYTES: usize = 64 << 10;

/// The text of a file, without byte order mark and with `\n` as its only line break.
///
/// # Errors
/// One finding: too large, UTF-16, not UTF-8, or with characters that no text has.
pub fn decode(bytes: &[u8]) -> Result<String, Finding> {
    let size_bytes = bytes.len() as u64;
    if size_bytes > MAX_FILE_BYTES {
        return Err(too_large(size_bytes));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Finding::whole("the file is UTF-16; a manifest is UTF-8").help("save it as UTF-8"));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(not_utf8(bytes, error.valid_up_to())),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The line breaks of other systems go first, so that line numbers are the same for every later stage.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    match text
        .char_indices()
        .find(|&(_, c)| c.is_control() && c != '\n' && c != '\t')
    {
        Some((offset, c)) => Err(control_character(&text, offset, c)),
        None => Ok(text),
    }
}

/// The finding for a file above the limit.
pub fn too_large(size_bytes: u64) -> Finding {
    let size = match size_bytes {
        size if size >= 10 << 20 => format!("{} MB", size >> 20),
        size => format!("{} kB", size.div_ceil(1 << 10)),
    };
    Finding::whole(format!("the file is {size}; a manifest may have 1 MiB"))
        .help("check that it is a manifest, and split it into several files if it is")
}

fn not_utf8(bytes: &[u8], offset: usize) -> Finding {
    let before = bytes.get(..offset).unwrap_or_default();
    let byte = bytes.get(offset).copied().unwrap_or_default();
    let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
    let place = format!("byte 0x{byte:02X} at offset {offset} (line {line})");
    // A zero byte anywhere means that nobody typed this.
    match bytes.contains(&0) {
        true => Finding::whole(format!("the file is binary, not text: {place}"))
            .help("move it out of the manifests' directory"),
        false => Finding::whole(format!("the file is not UTF-8: {place}")).help("save it as UTF-8"),
    }
}

fn control_character(text: &str, offset: usize, c: char) -> Finding {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let message = match c {
        '\0' => {
            format!("the file is binary or damaged: zero byte at offset {offset} (line {line})")
        }
        c => format!("control character U+{:04X} at offset {offset} (line {line})", c as u32),
    };
    let at = Position {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    };
    let help = match c {
        '\0' => "write the file again from a good copy",
        _ => "remove it, or write it as an escape in double quotes",
    };
    Finding {
        span: Some(Span { at, width: 1 }),
        message,
        help: Some(help.to_owned()),
    }
}
