//! Input that no manifest should be: a clear error, and the agent lives on.

use std::fs;
use std::process::{Command, Stdio};

use crate::world::World;

/// What is wrong, the file's bytes, and words of the error.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let head = "apiVersion: reconciler.dev/v1alpha1\nkind: PostgresCluster\nmetadata: {name: x}\nspec:\n";
    let valid = format!("{head}  image: postgres:17\n");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let before = format!("*a{}", n - 1);
        bomb += &format!("a{n}: &a{n} [{}]\n", vec![before; 9].join(", "));
    }
    let bytes = |text: &str| text.as_bytes().to_vec();
    vec![
        (
            "unknown field",
            bytes(&format!("{valid}  replcas: 2\n")),
            "did you mean `replicas`",
        ),
        (
            "wrong type",
            bytes(&format!("{valid}  replicas: two\n")),
            "whole number",
        ),
        (
            "duplicate key",
            bytes(&format!("{valid}  image: postgres:16\n")),
            "image",
        ),
        (
            "duplicate name",
            bytes(&format!("{valid}---\n{valid}")),
            "already declared",
        ),
        ("bomb", bytes(&bomb), "error"),
        ("tabs", bytes(&format!("{head}\timage: postgres:17\n")), "tab"),
        ("binary", (0..=255).cycle().take(4096).collect(), "error"),
        ("10 MB", vec![b'#'; 10 << 20], "1 MiB"),
        (
            "no kind",
            b"apiVersion: reconciler.dev/v1alpha1\nmetadata: {name: x}\nspec: {}\n".to_vec(),
            "kind",
        ),
        (
            "other kind",
            bytes(&valid.replace("PostgresCluster", "PostgressCluster")),
            "did you mean `PostgresCluster`",
        ),
    ]
}

fn validate(path: &std::path::Path) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_reconciler"))
        .args(["validate", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn every_error_names_its_file_and_the_exit_code_is_2() {
    let dir = tempfile::tempdir().unwrap();
    for (what, bytes, words) in hostile() {
        let path = dir.path().join("bad.yaml");
        fs::write(&path, bytes).unwrap();
        let (code, text) = validate(&path);
        assert_eq!(code, 2, "{what}: {text}");
        assert!(text.contains("bad.yaml"), "{what}: {text}");
        assert!(text.contains(words), "{what}: {text}");
    }
    let good = dir.path().join("good.yaml");
    let crlf = "apiVersion: reconciler.dev/v1alpha1\r\nkind: PostgresCluster\r\nmetadata:\r\n  name: x\r\nspec:\r\n  image: postgres:17\r\n";
    fs::write(&good, crlf).unwrap();
    assert_eq!(validate(&good).0, 0, "Windows line ends are no error");
}

#[test]
fn the_agent_lives_on_beside_bad_files() {
    let mut world = World::ready("hostile", 0);
    for (number, (what, bytes, _)) in hostile().into_iter().enumerate() {
        let path = world.dir.join(format!("manifests/bad-{number}.yaml"));
        fs::write(&path, bytes).unwrap();
        let name = format!("bad-{number}.yaml");
        world.until(&format!("{what} is reported"), |w| {
            w.cli(&["status"]).out.contains(&name)
        });
        assert!(world.agent_lives(), "{what}");
        fs::remove_file(&path).unwrap();
    }
    world.until("all is well", |w| {
        w.is_ready() && w.condition("ManifestAccepted").0 == "True"
    });
}
