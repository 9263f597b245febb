//! The YAML parser's complaints in words that help.

use super::diagnostic::{Finding, Position, Span};

/// A position from the parser's counts: lines from 1, columns from 0.
pub fn position(line: usize, column: usize) -> Position {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position {
        line: narrow(line.max(1)),
        column: narrow(column.saturating_add(1)),
    }
}

/// The finding for a line that is indented with a tab.
pub fn tab(line: u32) -> Finding {
    let span = Span {
        at: Position { line, column: 1 },
        width: 1,
    };
    Finding::at(span, format!("line {line} begins with a tab; YAML indents with spaces"))
        .help("replace the tab by spaces")
}

/// The finding for an error of syntax. `line` counts from 1 and `column` from 0, as the parser does.
pub fn explain(info: &str, line: usize, column: usize, lines: &[&str]) -> Finding {
    if let Some(line) = tab_near(line, lines) {
        return tab(line);
    }
    let help = help_for(info);
    // The parser notices a missing colon only in the line after; and the end of the file is no line to show.
    let late = info.starts_with("simple key expect");
    let at = match (late, lines.get(line.saturating_sub(1))) {
        (false, Some(text)) if !text.trim().is_empty() => position(line, column),
        _ => last_written(line, lines).unwrap_or_else(|| position(line, column)),
    };
    let message = match late {
        true => "this line is neither `key: value` nor part of a list".to_owned(),
        false => format!("this is not YAML: {info}"),
    };
    Finding {
        span: Some(Span { at, width: 1 }),
        message,
        help: help.map(str::to_owned),
    }
}

/// The line of the error or one beside it, when it begins with a tab.
fn tab_near(line: usize, lines: &[&str]) -> Option<u32> {
    [line, line + 1, line.saturating_sub(1)].into_iter().find_map(|number| {
        let text = lines.get(number.checked_sub(1)?)?;
        let indent = text.get(..text.len() - text.trim_start().len())?;
        indent.contains('\t').then(|| position(number, 0).line)
    })
}

/// The beginning of the last line before this one that holds more than a comment.
fn last_written(line: usize, lines: &[&str]) -> Option<Position> {
    let before = lines.get(..line.saturating_sub(1).min(lines.len()))?;
    let written = |text: &&str| !text.trim().is_empty() && !text.trim_start().starts_with('#');
    let index = before.iter().rposition(written)?;
    let text = before.get(index)?;
    Some(position(
        index + 1,
        text.chars().take_while(|c| c.is_whitespace()).count(),
    ))
}

fn help_for(info: &str) -> Option<&'static str> {
    let table = [
        (
            "mapping values are not allowed",
            "put quotes around a value that contains `: `, or check the indentation",
        ),
        (
            "simple key expect",
            "check for a missing `:`, and for the indentation of a value that spans lines",
        ),
        (
            "unexpected character",
            "put quotes around a value that begins with `@`, `%` or a backquote",
        ),
        ("unknown anchor", "put quotes around a value that begins with `*`"),
        ("quoted scalar, found unexpected", "close the quotes"),
        ("indentation in quoted scalar", "close the quotes"),
        ("unknown escape character", "double the backslash, or use single quotes"),
        ("did not find expected key", "indent all fields of a map alike"),
        (
            "did not find expected '-'",
            "indent all entries of a list alike, each with `- `",
        ),
        (
            "block sequence entries are not allowed",
            "begin a list in the line below its key",
        ),
        ("illegal placement of ':'", "close the bracket that was opened before"),
        ("expected ',' or ']'", "close the `[`"),
        ("expected ',' or '}'", "close the `{`"),
        ("invalid indentation", "indent with two spaces for each level"),
    ];
    table
        .iter()
        .find(|(part, _)| info.contains(part))
        .map(|(_, help)| *help)
}
