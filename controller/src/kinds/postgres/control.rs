//! Reads `global/pg_control` of a stopped server.
//!
//! Source: `ControlFileData` in `src/include/catalog/pg_control.h`, whose first fields have kept their places from
//! PostgreSQL 11 to 18 (8-byte aligned, little-endian on the platforms that the images exist for).

use crate::model::Lsn;
use crate::model::postgres::{Control, ControlState};

const SYSTEM_IDENTIFIER: usize = 0;
const CONTROL_VERSION: usize = 8;
const STATE: usize = 16;
const CHECKPOINT: usize = 32;
const CHECKPOINT_TIMELINE: usize = 48;

/// Reads a control file, or says why it cannot be one.
pub fn parse(bytes: &[u8]) -> Result<Control, String> {
    let version = u32_at(bytes, CONTROL_VERSION)?;
    // 1300 is PostgreSQL 13 to 17, 1800 is 18.
    if !(1300..2000).contains(&version) {
        return Err(format!(
            "pg_control has version {version}, which is not one of PostgreSQL 13 to 18; it may be damaged"
        ));
    }
    let state = match u32_at(bytes, STATE)? {
        0 => ControlState::Startup,
        1 => ControlState::ShutDown,
        2 => ControlState::ShutDownInRecovery,
        3 => ControlState::ShuttingDown,
        4 => ControlState::InCrashRecovery,
        5 => ControlState::InArchiveRecovery,
        6 => ControlState::InProduction,
        other => return Err(format!("pg_control names an unknown state {other}; it may be damaged")),
    };
    Ok(Control {
        system_identifier: u64_at(bytes, SYSTEM_IDENTIFIER)?,
        state,
        checkpoint: Lsn(u64_at(bytes, CHECKPOINT)?),
        timeline: u32_at(bytes, CHECKPOINT_TIMELINE)?,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, String> {
    field(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, String> {
    field(bytes, at).map(u64::from_le_bytes)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], String> {
    bytes
        .get(at..at + N)
        .and_then(|slice| slice.try_into().ok())
        .ok_or_else(|| format!("pg_control is only {} bytes long; it is damaged", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn damage_is_an_error_and_not_a_state() {
        assert!(parse(&[]).is_err());
        assert!(parse(&[0; 512]).is_err());
    }
}
