//! What one member looks like when all is well: its container, its volume and its files. Pure.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::conf::{self, Following, Frame};
use super::creation;
use super::memory::Settings;
use super::spec::Logging;
use crate::converge::files::marked;
use crate::model::container::{
    ContainerSpec, Escape, FileSpec, HealthSpec, ImageFacts, NamedSpec, Placeholder, PortSpec, SourceSpec, short_hash,
};
use crate::model::labels;
use crate::model::plan::Delivery;

/// The role that a member is started in. The entry point reads it before the server starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Initialises an empty volume, then serves as the primary.
    Bootstrap,
    /// Serves read-write; refuses an empty volume.
    Primary,
    /// Follows the primary; seeds an empty volume from it.
    Replica,
    /// Fills an empty volume from the member's old one and undoes in the copy what the primary does not have; then ends.
    Rewind,
}

impl Role {
    /// The word in the role file.
    pub fn word(self) -> &'static str {
        match self {
            Role::Bootstrap => "bootstrap",
            Role::Primary => "primary",
            Role::Replica => "replica",
            Role::Rewind => "rewind",
        }
    }
}

/// The files whose content is read back and compared on a running member. The others hold secrets or matter only at a start.
pub const WATCHED: [&str; 4] = ["pg_hba.conf", "postgresql.conf", "role", "start"];

/// Where the scripts lie that run in a new cluster.
pub const SCRIPTS: &str = "init";

/// Where a member keeps its data, which depends on the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlace {
    /// Where the volume is mounted: the path that the image declares, so that no anonymous volume is left behind.
    pub mount: String,
    /// The data directory, one below the mount point, so that it can be put in place by a rename.
    pub pgdata: String,
}

/// What official images declare: 18, and those before it.
pub const USUAL_MOUNTS: [&str; 2] = ["/var/lib/postgresql", "/var/lib/postgresql/data"];

/// Works out the data's place from what the image declares. Images up to 17 declare `/var/lib/postgresql/data`,
/// 18 declares `/var/lib/postgresql`.
pub fn data_place(image: &ImageFacts) -> DataPlace {
    let mount = image
        .volumes
        .iter()
        .find(|path| path.starts_with("/var/lib/postgresql"))
        .cloned()
        .unwrap_or_else(|| "/var/lib/postgresql/data".to_owned());
    let pgdata = format!("{mount}/pgdata");
    DataPlace { mount, pgdata }
}

/// The volume of a member in a generation.
pub fn volume(cluster: &Cluster, member: &str, generation: u32, image: &ImageFacts) -> NamedSpec {
    let mut labels = cluster.labels(Some(member));
    labels.insert(labels::GENERATION.to_owned(), generation.to_string());
    if let Some(major) = image.env.get("PG_MAJOR") {
        labels.insert(labels::POSTGRES_MAJOR.to_owned(), major.clone());
    }
    NamedSpec {
        name: cluster.volume_name(member, generation),
        labels,
    }
}

/// The network of the cluster.
pub fn network(cluster: &Cluster) -> NamedSpec {
    let subnet = cluster
        .spec
        .network
        .as_ref()
        .and_then(|networks| networks.subnet.clone());
    NamedSpec {
        name: cluster.network_name(),
        labels: labels::with_subnet(cluster.labels(None), subnet),
    }
}

/// The network that applications attach to.
pub fn service_network(cluster: &Cluster) -> NamedSpec {
    let networks = cluster.spec.network.as_ref();
    let subnet = networks.and_then(|networks| networks.service_subnet.clone());
    NamedSpec {
        name: cluster.service_network_name(),
        labels: labels::with_subnet(cluster.labels(None), subnet),
    }
}

/// The container of a member. The role takes no part in it: a promotion never recreates a container.
pub fn container(cluster: &Cluster, member: &str, generation: u32, image: &ImageFacts) -> ContainerSpec {
    let place = data_place(image);
    let ports = cluster.port(member).map(|host| PortSpec {
        address: cluster.spec.ports.address.clone(),
        host,
        container: conf::PORT,
    });
    // While a seed is running there is no server to ask, and that is not a fault.
    let probe = r#"[ -e "$PGDATA.partial" ] || exec pg_isready -q -t 3"#;
    ContainerSpec {
        name: cluster.container_name(member),
        image: cluster.spec.image.clone(),
        user: "postgres".to_owned(),
        entrypoint: vec!["/bin/sh".to_owned(), format!("{}/start", conf::DIRECTORY)],
        env: BTreeMap::from([("PGDATA".to_owned(), place.pgdata)]),
        labels: cluster.labels(Some(member)),
        volume: Some(volume(cluster, member, generation, image)),
        mount: place.mount,
        source: None,
        network: cluster.network_name(),
        aliases: vec![member.to_owned()],
        ports: ports.into_iter().collect(),
        shm_bytes: cluster.shm_bytes,
        // The fast shutdown: open transactions are rolled back, and a checkpoint is written.
        stop_signal: "SIGINT".to_owned(),
        stop_grace_secs: cluster.stop_grace_secs,
        health: Some(HealthSpec {
            command: vec!["/bin/sh".to_owned(), "-c".to_owned(), probe.to_owned()],
            interval_secs: cluster.probe_interval_secs,
            timeout_secs: 5,
            retries: cluster.spec.health.retries,
        }),
        limits: cluster.limits.clone(),
        logging: cluster.spec.logging.as_ref().map(Logging::spec),
    }
}

/// The same container while it fills its volume from an old one, which cannot be written to from within.
pub fn rewinding(container: ContainerSpec, old_volume: &str) -> ContainerSpec {
    let volume = NamedSpec {
        name: old_volume.to_owned(),
        labels: container.labels.clone(),
    };
    ContainerSpec {
        source: Some(SourceSpec {
            volume,
            mount: conf::OLD_DATA.to_owned(),
        }),
        ..container
    }
}

/// What decides the content of a member's files beside the cluster itself.
#[derive(Debug, Clone, PartialEq)]
pub struct FileInputs<'a> {
    /// The member.
    pub member: &'a str,
    /// Its role.
    pub role: Role,
    /// The member that is the primary.
    pub primary: &'a str,
    /// The configuration in force.
    pub settings: &'a Settings,
    /// Effective values of the parameters that a standby must have at least as large as its primary.
    pub floor: BTreeMap<String, i64>,
    /// What its commits wait for as the primary, in synchronous mode.
    pub sync_names: Option<String>,
    /// The mark of the start before, if its server ended by itself.
    pub suspicion: Option<String>,
    /// The directories of tablespaces in its volume: a standby stops replaying where one is missing.
    pub tablespaces: Vec<String>,
    /// The physical slots that logical receivers must not get ahead of, where logical slots are copied to standbys.
    pub standby_slots: Option<Vec<String>>,
}

/// All files of a member.
pub fn files(cluster: &Cluster, inputs: &FileInputs<'_>) -> Vec<FileSpec> {
    let following = following(cluster, inputs);
    let frame = frame(cluster, inputs);
    let hba = conf::pg_hba_conf(&inputs.settings.hba, inputs.standby_slots.is_some());
    let conf = conf::postgresql_conf(&inputs.settings.parameters, &frame);
    let conf = conf::with_record(conf, inputs.settings);
    let mut files = vec![
        marked("pg_hba.conf", &hba),
        marked("postgresql.conf", &conf::with_revision(conf, &hba)),
        FileSpec::plain("role", format!("{}\n", inputs.role.word())),
        FileSpec::plain("slot", conf::slot_name(inputs.member)),
        FileSpec::plain("source", conf::seed_conninfo(&following)),
        marked("start", &start_script()),
        pgpass(cluster, inputs.role),
    ];
    if let Some(mark) = &inputs.suspicion {
        files.push(FileSpec::plain("suspicion", mark.clone()));
    }
    if !inputs.tablespaces.is_empty() {
        files.push(FileSpec::plain("tablespaces", inputs.tablespaces.join("\n") + "\n"));
    }
    if inputs.role == Role::Rewind {
        files.push(FileSpec::plain("rewind", conf::rewind_source(&following)));
    }
    if inputs.role == Role::Bootstrap {
        for file in creation_files(cluster) {
            // A container may hold what an earlier try was given: the role says what counts.
            if let Some(role) = files.iter_mut().find(|file| file.name == "role") {
                role.text.push_str(&format!("{}\n", file[0].name));
            }
            files.extend(file);
        }
        files.push(FileSpec {
            name: "superuser.password".to_owned(),
            mode: 0o600,
            text: "{superuser}\n".to_owned(),
            secrets: vec![Placeholder {
                token: "{superuser}".to_owned(),
                secret: cluster.superuser_password(),
                make: true,
                escape: Escape::None,
            }],
        });
    }
    files
}

/// What a member's `postgresql.conf` asks for, by name in lower case.
pub fn asked(cluster: &Cluster, inputs: &FileInputs<'_>) -> BTreeMap<String, String> {
    conf::asked(&inputs.settings.parameters, &frame(cluster, inputs))
}

fn following(cluster: &Cluster, inputs: &FileInputs<'_>) -> Following {
    Following {
        host: cluster.container_name(inputs.primary),
        member: inputs.member.to_owned(),
    }
}

fn frame(cluster: &Cluster, inputs: &FileInputs<'_>) -> Frame {
    Frame {
        title: format!("{}/{}", cluster.name, inputs.member),
        max_slot_wal_keep_bytes: cluster.max_slot_wal_keep_bytes,
        following: matches!(inputs.role, Role::Replica | Role::Rewind).then(|| following(cluster, inputs)),
        floor: inputs.floor.clone(),
        sync_names: inputs.sync_names.clone(),
        standby_slots: inputs.standby_slots.clone(),
    }
}

/// The entry point, with what it tries a configuration with, and the names that `ALTER SYSTEM` has no say in.
fn start_script() -> String {
    let refused = conf::REFUSED_NAMES.join(" ");
    include_str!("start.sh")
        .replace("#probe#\n", include_str!("probe.sh"))
        .replace("#refused#", &refused)
}

/// What a new cluster is made with beside what every one is: the arguments of `initdb`, the scripts; the list that names them
/// comes first.
fn creation_files(cluster: &Cluster) -> Vec<Vec<FileSpec>> {
    let mut found = Vec::new();
    if let Some(initdb) = &cluster.spec.initdb {
        found.push(vec![FileSpec::plain("initdb", creation::arguments(initdb))]);
    }
    if !cluster.init_scripts.is_empty() {
        let names: Vec<&str> = cluster.init_scripts.keys().map(String::as_str).collect();
        let scripts = cluster.init_scripts.iter().map(|(name, text)| FileSpec {
            // They may hold passwords.
            mode: 0o600,
            ..FileSpec::plain(name, text.clone())
        });
        let list = FileSpec::plain("scripts", names.join("\n") + "\n");
        found.push(std::iter::once(list).chain(scripts).collect());
    }
    found
}

/// The hashes that a member's watched files have when they are as delivered.
pub fn watched_hashes(files: &[FileSpec]) -> BTreeMap<String, String> {
    files
        .iter()
        .filter(|file| WATCHED.contains(&file.name.as_str()))
        .map(|file| (file.name.clone(), short_hash(file.text.as_bytes())))
        .collect()
}

/// The delivery of files into a member's container.
pub fn delivery(cluster: &Cluster, member: &str, files: Vec<FileSpec>) -> Delivery {
    Delivery {
        container: cluster.container_name(member),
        directory: conf::DIRECTORY.to_owned(),
        owner: "postgres".to_owned(),
        files,
    }
}

/// Both passwords are made for the data that `initdb` makes, and never again.
fn pgpass(cluster: &Cluster, role: Role) -> FileSpec {
    let secret = |token: &str, secret| Placeholder {
        token: token.to_owned(),
        secret,
        make: role == Role::Bootstrap,
        escape: Escape::Pgpass,
    };
    FileSpec {
        name: "pgpass".to_owned(),
        // libpq ignores a password file that others may read.
        mode: 0o600,
        text: format!(
            "*:*:*:{}:{{replicator}}\n*:*:*:{}:{{superuser}}\n",
            conf::REPLICATOR,
            conf::SUPERUSER
        ),
        secrets: vec![
            secret("{replicator}", cluster.replicator_password()),
            secret("{superuser}", cluster.superuser_password()),
        ],
    }
}

#[cfg(test)]
mod tests;
