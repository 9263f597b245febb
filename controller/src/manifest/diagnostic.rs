//! How an error looks: what is wrong, where, the line itself, and what to write instead.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longer words are cut in messages; a megabyte of text helps nobody.
const MAX_QUOTED_CHARS: usize = 60;
/// Longer source lines are cut, and not shown at all when the position lies beyond the cut.
const MAX_LINE_CHARS: usize = 160;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
}

/// A stretch of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub at: Position,
    /// How many characters it is wide; at least 1.
    pub width: u32,
}

/// Something wrong in a text, before it is known which file the text came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where; nothing when it is about the whole file.
    pub span: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Finding {
    /// A finding at a place, without help.
    pub fn at(span: Span, message: impl Into<String>) -> Self {
        Finding {
            span: Some(span),
            message: message.into(),
            help: None,
        }
    }

    /// A finding about the whole file, without help.
    pub fn whole(message: impl Into<String>) -> Self {
        Finding {
            span: None,
            message: message.into(),
            help: None,
        }
    }

    /// The same with a next step for the reader.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Finding {
            help: Some(help.into()),
            ..self
        }
    }
}

/// An error in a manifest, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file, as the user named it.
    pub file: String,
    /// Where in the file; nothing when it is about the whole file.
    pub at: Option<Position>,
    /// The line that `at` is in, without its line break and with its control characters replaced.
    pub source_line: Option<String>,
    /// How many characters from `at` on are meant.
    pub width: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Kind and name of the document, when both could be read.
    pub resource: Option<(String, String)>,
}

impl Diagnostic {
    /// A finding together with its file and the lines of it.
    #[must_use]
    pub fn new(file: &str, lines: &[&str], finding: Finding, resource: Option<(String, String)>) -> Self {
        let source_line = finding.span.and_then(|span| {
            let line = lines.get(span.at.line.checked_sub(1)? as usize)?;
            (span.at.column as usize <= MAX_LINE_CHARS).then(|| printable(&cut(line, MAX_LINE_CHARS)))
        });
        let room = MAX_LINE_CHARS as u32;
        Diagnostic {
            file: file.to_owned(),
            at: finding.span.map(|span| span.at),
            source_line,
            width: finding
                .span
                .map_or(1, |span| span.width.min(room.saturating_sub(span.at.column)).max(1)),
            message: finding.message,
            help: finding.help,
            resource,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        let number = self.at.map(|at| at.line.to_string()).unwrap_or_default();
        let gutter = number.len().max(2);
        write!(f, "\n{:gutter$}--> {}", "", self.file)?;
        if let Some(at) = self.at {
            write!(f, ":{}:{}", at.line, at.column)?;
            if let Some(line) = &self.source_line {
                let before = at.column.saturating_sub(1) as usize;
                let carets = "^".repeat(self.width.max(1) as usize);
                write!(f, "\n{:gutter$} |", "")?;
                write!(f, "\n{number:>gutter$} | {}", line.trim_end())?;
                write!(f, "\n{:gutter$} | {:before$}{carets}", "", "")?;
            }
        }
        match &self.help {
            Some(help) => write!(f, "\n{:gutter$} = help: {help}", ""),
            None => Ok(()),
        }
    }
}

/// The text in backquotes, cut when it is long and with control characters spelled out: it may hold anything, and
/// ends on a terminal.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut shown = String::from("`");
    for c in cut(text, MAX_QUOTED_CHARS).chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown.push('`');
    shown
}

/// The line is shown on a terminal, which would obey the control characters in it. Columns stay as they are, also for
/// tabs.
fn printable(line: &str) -> String {
    line.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32, width: u32) -> Span {
        Span {
            at: Position { line, column },
            width,
        }
    }

    #[test]
    fn an_error_shows_its_line_and_points_at_the_word() {
        let lines = ["", "", "", "", "", "", "  replica: 2"];
        let finding = Finding::at(at(7, 3, 7), "unknown field `replica`").help("did you mean `replicas`?");
        insta::assert_snapshot!(Diagnostic::new("manifests/pg.yaml", &lines, finding, None), @r"
        error: unknown field `replica`
          --> manifests/pg.yaml:7:3
           |
         7 |   replica: 2
           |   ^^^^^^^
           = help: did you mean `replicas`?
        ");
    }

    #[test]
    fn the_gutter_grows_with_the_line_number() {
        let lines: Vec<&str> = (0..1234).map(|_| "a:\tb").collect();
        insta::assert_snapshot!(Diagnostic::new("a.yaml", &lines, Finding::at(at(1234, 4, 1), "no"), None), @r"
        error: no
            --> a.yaml:1234:4
             |
        1234 | a: b
             |    ^
        ");
    }

    #[test]
    fn an_error_about_the_whole_file_has_no_line() {
        insta::assert_snapshot!(Diagnostic::new("a.yaml", &[], Finding::whole("is 10 MB").help("split it"), None), @r"
        error: is 10 MB
          --> a.yaml
           = help: split it
        ");
    }

    #[test]
    fn long_lines_are_cut_and_control_characters_spelled_out() {
        let long = "x".repeat(100_000);
        let shown = Diagnostic::new("a", &[&long], Finding::at(at(1, 1, 100_000), quote(&long)), None).to_string();
        assert!(shown.len() < 1000, "{}", shown.len());
        assert_eq!(
            Diagnostic::new("a", &[&long], Finding::at(at(1, 500, 1), ""), None).source_line,
            None
        );
        assert_eq!(quote("a\u{1b}[31m"), "`a\\u{1b}[31m`");
    }
}
