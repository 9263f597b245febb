//! Reads `global/pg_control` of a stopped server.
//!
//! Source: `ControlFileData` in `src/include/catalog/pg_control.h`, whose first fields have kept their places from
//! PostgreSQL 11 to 19 (8-byte aligned, little-endian on the platforms that the images exist for).

use crate::model::Lsn;
use crate::model::postgres::{Control, ControlState};

const SYSTEM_IDENTIFIER: usize = 0;
const CONTROL_VERSION: usize = 8;
const STATE: usize = 16;
const CHECKPOINT: usize = 32;
const CHECKPOINT_TIMELINE: usize = 48;
const WRITTEN_AT: usize = 24;
/// `minRecoveryPoint`, which follows a copy of the checkpoint that has grown with version 19.
const MIN_RECOVERY: [usize; 2] = [136, 144];
/// `FLOATFORMAT_VALUE`: what comes before it differs between versions, what follows does not.
const FLOAT_FORMAT: f64 = 1_234_567.0;
/// The place of `xlog_seg_size` behind it.
const SEGMENT_BYTES: usize = 20;
/// What `initdb` takes unless it is told.
const USUAL_SEGMENT_BYTES: u64 = 16 << 20;

/// Reads a control file, or says why it cannot be one.
pub fn parse(bytes: &[u8]) -> Result<Control, String> {
    let version = u32_at(bytes, CONTROL_VERSION)?;
    // 1300 is PostgreSQL 13 to 17, 1800 is 18, 1905 is 19.
    if !(1300..2000).contains(&version) {
        return Err(format!(
            "pg_control has version {version}, which is not one of PostgreSQL 13 to 19; it may be damaged"
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
        written_at: u64_at(bytes, WRITTEN_AT)?.cast_signed(),
        min_recovery: Lsn(u64_at(bytes, MIN_RECOVERY[usize::from(version >= 1900)]).unwrap_or(0)),
        segment_bytes: segment_bytes(bytes).unwrap_or(USUAL_SEGMENT_BYTES),
    })
}

fn segment_bytes(bytes: &[u8]) -> Option<u64> {
    let mark = FLOAT_FORMAT.to_le_bytes();
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    let size = u32_at(bytes, at + SEGMENT_BYTES).ok()?;
    (size.is_power_of_two() && size >= 1 << 20).then_some(u64::from(size))
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
    use crate::model::Lsn;
    use crate::model::postgres::ControlState;

    fn file(version: u32, state: u32) -> Vec<u8> {
        let mut bytes = vec![0; 8192];
        bytes[0..8].copy_from_slice(&7_001_u64.to_le_bytes());
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        bytes[16..20].copy_from_slice(&state.to_le_bytes());
        bytes[32..40].copy_from_slice(&0x16_B374_D848_u64.to_le_bytes());
        bytes[48..52].copy_from_slice(&3_u32.to_le_bytes());
        bytes[24..32].copy_from_slice(&1_795_912_533_i64.to_le_bytes());
        let min_recovery = if version < 1900 { 136 } else { 144 };
        bytes[min_recovery..min_recovery + 8].copy_from_slice(&0x16_B374_E000_u64.to_le_bytes());
        bytes[216..224].copy_from_slice(&1_234_567.0_f64.to_le_bytes());
        for (at, number) in [(224, 8192_u32), (228, 131_072), (232, 8192), (236, 64 << 20)] {
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn every_field_is_read_from_its_place() {
        for version in [1300, 1700, 1800, 1905] {
            let control = parse(&file(version, 1)).expect("a control file");
            assert_eq!(control.system_identifier, 7_001);
            assert_eq!(control.state, ControlState::ShutDown);
            assert_eq!(control.checkpoint, Lsn(0x16_B374_D848));
            assert_eq!(control.timeline, 3);
            assert_eq!(control.written_at, 1_795_912_533);
            assert_eq!(control.min_recovery, Lsn(0x16_B374_E000));
            assert_eq!(control.segment_bytes, 64 << 20);
        }
    }

    #[test]
    fn every_state_has_its_number() {
        let states = (0..7).map(|state| parse(&file(1800, state)).expect("a control file").state);
        let expected = [
            ControlState::Startup,
            ControlState::ShutDown,
            ControlState::ShutDownInRecovery,
            ControlState::ShuttingDown,
            ControlState::InCrashRecovery,
            ControlState::InArchiveRecovery,
            ControlState::InProduction,
        ];
        assert!(states.eq(expected));
    }

    #[test]
    fn damage_is_an_error_and_not_a_state() {
        assert!(parse(&[]).is_err());
        assert!(parse(&[0; 512]).is_err());
        assert!(parse(&file(1201, 1)).is_err_and(|why| why.contains("version 1201")));
        assert!(parse(&file(1300, 7)).is_err_and(|why| why.contains("unknown state 7")));
        assert!(parse(&file(1300, 1)[..50]).is_err_and(|why| why.contains("50 bytes")));
    }
}
