//! What the tests of this room make on an engine.

use std::collections::BTreeMap;

use crate::host::{Ask, HostError, Secrets};
use crate::model::container::{ContainerSpec, Escape, FileSpec, HealthSpec, Limits, NamedSpec, Placeholder, PortSpec};

use crate::model::plan::{ConfigCheck, Delivery, EngineOp};
use crate::model::{SecretRef, labels};

pub(super) const NAME: &str = "reconciler-live";
const PASSWORD: &str = "pa:ss\\word";

pub(super) struct Fixed;

impl Secrets for Fixed {
    fn reveal(&self, _: &SecretRef) -> Result<String, HostError> {
        Ok(PASSWORD.to_owned())
    }

    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
        self.reveal(secret).map(Some)
    }
}

fn image() -> String {
    std::env::var("RECONCILER_TEST_IMAGE").unwrap_or_else(|_| "postgres:17".to_owned())
}

pub(super) fn marks(uid: &str) -> BTreeMap<String, String> {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    BTreeMap::from([
        label(labels::UID, uid),
        label(labels::KIND, "PostgresCluster"),
        label(labels::NAME, NAME),
        label(labels::MEMBER, "a"),
    ])
}

/// A member much like those of `kinds::postgres`.
pub(super) fn container_spec(name: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: image(),
        user: "postgres".to_owned(),
        entrypoint: vec!["/bin/sh".to_owned(), "/etc/reconciler/start".to_owned()],
        env: BTreeMap::from([("PGDATA".to_owned(), "/var/lib/postgresql/data/pgdata".to_owned())]),
        labels: marks(name),
        volume: Some(NamedSpec {
            name: name.to_owned(),
            labels: marks(name),
        }),
        source: None,
        mount: "/var/lib/postgresql/data".to_owned(),
        network: name.to_owned(),
        aliases: vec!["a".to_owned()],
        ports: vec![PortSpec {
            address: "127.0.0.1".to_owned(),
            host: 55432,
            container: 5432,
        }],
        shm_bytes: 64 << 20,
        stop_signal: "SIGINT".to_owned(),
        stop_grace_secs: 20,
        health: Some(HealthSpec {
            command: ["/bin/sh", "-c", "exec pg_isready -q -t 3"].map(str::to_owned).to_vec(),
            interval_secs: 1,
            timeout_secs: 5,
            retries: 3,
        }),
        limits: Limits {
            nano_cpus: 500_000_000,
            memory_bytes: 256 << 20,
        },
        logging: None,
    }
}

pub(super) fn delivery(role: &str) -> Delivery {
    let conf = "listen_addresses = '*'\nhba_file = '/etc/reconciler/pg_hba.conf'\n";
    let hba = "local all postgres peer\nhost all all all scram-sha-256\n";
    Delivery {
        container: NAME.to_owned(),
        directory: "/etc/reconciler".to_owned(),
        owner: "postgres".to_owned(),
        files: vec![
            FileSpec::plain("pg_hba.conf", hba.to_owned()),
            FileSpec::plain("postgresql.conf", conf.to_owned()),
            FileSpec::plain("role", format!("{role}\n")),
            FileSpec::plain("start", include_str!("../../kinds/postgres/start.sh").to_owned()),
            FileSpec {
                name: "superuser.password".to_owned(),
                mode: 0o600,
                text: "{p}\n".to_owned(),
                secrets: vec![Placeholder {
                    token: "{p}".to_owned(),
                    secret: SecretRef::Env("P".to_owned()),
                    make: false,
                    escape: Escape::None,
                }],
            },
        ],
    }
}

pub(super) fn named() -> NamedSpec {
    NamedSpec {
        name: NAME.to_owned(),
        labels: marks(NAME),
    }
}

pub(super) fn ask(neighbours: bool) -> Ask {
    Ask {
        uid: NAME.to_owned(),
        images: vec![image()],
        neighbours,
        brisk: false,
    }
}

/// A rule that every server takes.
const ANY: &str = "local all all trust\n";

/// Configurations that a server starts with.
pub(super) const SOUND: [(&str, &str); 5] = [
    ("shared_buffers = '64MB'\nhba_file = '/nowhere'\n", ANY),
    ("pg_stat_statements.max = 100\n", ANY),
    ("log_min_messages = panic\nlc_messages = 'C'\n", ANY),
    (
        "session_preload_libraries = 'auto_explain, $libdir/auto_explain'\n",
        ANY,
    ),
    // It says that the line never applies, and takes it.
    ("", "hostssl all all all trust\nlocal \"a, b\" all peer # x\n"),
];

/// Configurations that no server starts with, or that lets nobody in, and what is said of them.
pub(super) const UNSOUND: [(&str, &str, &str); 11] = [
    ("shared_buffers = 'lots'\n", ANY, "shared_buffers"),
    ("no_such_parameter = 1\nwork_mem = 'x'\n", ANY, "no_such_parameter"),
    ("shared_buffers 64MB = oops =\n", ANY, "syntax error"),
    ("shared_preload_libraries = 'no_such_library'\n", ANY, "no_such_library"),
    (
        "session_preload_libraries = 'no_such_library'\n",
        ANY,
        "no_such_library",
    ),
    ("local_preload_libraries = 'no_such_library'\n", ANY, "plugins"),
    ("", "host all all 10.0.0.0/33 md5\n", "10.0.0.0/33"),
    ("ssl = on\n", ANY, "server.crt"),
    ("huge_pages = on\n", ANY, "huge pages"),
    ("shared_buffers = '900GB'\n", ANY, "the host has"),
    ("archive_mode = on\nwal_level = minimal\n", ANY, "wal_level"),
];

/// The check of a configuration.
pub(super) fn config_check(text: &str, hba: &str) -> EngineOp {
    EngineOp::CheckConfig(ConfigCheck {
        container: NAME.to_owned(),
        text: text.to_owned(),
        hba: hba.to_owned(),
        members: 1,
        is_altered: false,
    })
}
