//! How things are shown: tables for people, JSON and YAML for scripts.

use clap::ValueEnum;
use comfy_table::Table;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::{CommandResult, failed};
use crate::agent::clock::Clock;

pub use crate::model::status::bytes;

/// The format of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For people with wide terminals.
    Wide,
    /// For scripts.
    Json,
    /// For scripts, and for copying into a manifest.
    Yaml,
}

/// Prints a value for scripts. `false` when the format is one for people.
pub fn print_for_scripts<T: Serialize>(value: &T, format: Format) -> Result<bool, super::error::CommandError> {
    let text = match format {
        Format::Table | Format::Wide => return Ok(false),
        Format::Json => serde_json::to_string_pretty(value).map_err(failed)?,
        Format::Yaml => serde_yaml::to_string(value).map_err(failed)?,
    };
    print(&text)?;
    Ok(true)
}

/// Prints a line. A pipe that was closed (`| head`) is the reader's good right.
pub fn print(text: &str) -> CommandResult {
    use std::io::Write;
    match writeln!(anstream::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A table without lines, as `docker ps` prints it.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// A time in RFC 3339.
pub fn time(epoch_secs: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(epoch_secs).ok();
    time.and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_else(|| "-".to_owned())
}

/// How long ago something was, such as `3m`.
pub fn age(epoch_secs: i64) -> String {
    let secs = Clock::Machine.now().saturating_sub(epoch_secs).max(0);
    match secs {
        0..=119 => format!("{secs}s"),
        120..=7199 => format!("{}m", secs / 60),
        7200..=172_799 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86400),
    }
}
