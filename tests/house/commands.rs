//! The command line's promises to scripts: its exit codes.

use std::process::{Command, Output};

use reconciler::cli::error::Exit;

/// The documented codes. The words are those of `--help` and of the README.
pub const CODES: [(u8, &str); 6] = [
    (0, "done"),
    (Exit::Failed as u8, "failed"),
    (Exit::Invalid as u8, "usage or invalid input"),
    (Exit::Differences as u8, "differences"),
    (Exit::Refused as u8, "refused"),
    (Exit::Unreachable as u8, "agent not reachable"),
];

fn reconciler(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
    command.args(arguments).env_remove("RECONCILER_STATE_DIR");
    command.output().unwrap()
}

#[test]
fn help_names_every_exit_code() {
    let output = reconciler(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    // The terminal's width decides where it is wrapped.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (nth, (code, word)) in CODES.into_iter().enumerate() {
        assert_eq!(
            usize::from(code),
            nth,
            "the code for `{word}` is documented and cannot change"
        );
        assert!(
            help.contains(&format!("{code} {word}")),
            "--help does not say `{code} {word}`:\n{help}"
        );
    }
}

#[test]
fn a_usage_error_an_invalid_manifest_and_a_missing_agent_are_told_apart() {
    let empty = tempfile::tempdir().unwrap();
    let state_dir = empty.path().to_str().unwrap();
    let wrong = empty.path().join("wrong.yaml");
    std::fs::write(&wrong, "kind: PostgresCluster\n").unwrap();
    let code = |arguments: &[&str]| reconciler(arguments).status.code();
    assert_eq!(code(&["frobnicate"]), Some(2));
    assert_eq!(code(&["validate", "-f", wrong.to_str().unwrap()]), Some(2));
    assert_eq!(code(&["--state-dir", state_dir, "status"]), Some(5));
    assert_eq!(code(&["version"]), Some(0));
}
