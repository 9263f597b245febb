//! What the containers look like when all is well. Pure.

mod grafana;

use std::collections::BTreeMap;

use super::conf::{self, Target, Targets};
use super::monitor::{ALERTMANAGER, KIND, Monitor, PROMETHEUS, ROLE};
use super::plan::{View, userfiles};
use super::spec::RedisServer;
use super::{queries, rules};
use crate::converge::Piece;
use crate::converge::files::marked;
use crate::kinds::password;
use crate::kinds::peers::FaceMember;
use crate::kinds::postgres::spec::Logging;
use crate::model::container::{ContainerSpec, Escape, FileSpec, Limits, NamedSpec, Placeholder, PortSpec, short_hash};
use crate::model::labels;
use crate::model::plan::Delivery;

/// The user that all of it runs as: `nobody` in the images.
const USER: &str = "65534:65534";
/// Seconds that Prometheus may take to write down what it has in memory.
const PROMETHEUS_GRACE_SECS: i64 = 60;
/// For how many seconds Prometheus takes a sample for the present value, if it is not told otherwise.
const LOOKBACK_SECS: u64 = 300;
/// Seconds that the others may take to stop.
pub const GRACE_SECS: i64 = 10;

/// The network on which Prometheus reaches everything.
pub fn network(monitor: &Monitor) -> NamedSpec {
    let subnet = monitor.spec.network.as_ref().and_then(|network| network.subnet.clone());
    NamedSpec {
        name: monitor.network_name(),
        labels: labels::with_subnet(monitor.labels(None), subnet),
    }
}

/// All containers, Prometheus first.
pub fn pieces(view: &View<'_>) -> Vec<Piece> {
    let mut pieces = vec![prometheus(view)];
    pieces.extend(alertmanager(view));
    pieces.extend(grafana::piece(view));
    for (cluster, face) in view.clusters() {
        pieces.extend(
            face.members
                .iter()
                .map(|member| postgres_exporter(view, cluster, &face.network, member)),
        );
    }
    let servers = view.monitor.spec.exporters.redis.servers.iter();
    pieces.extend(servers.map(|server| redis_exporter(view, server)));
    pieces
}

/// The images that are needed.
pub fn images(monitor: &Monitor) -> Vec<String> {
    let spec = &monitor.spec;
    let redis = &spec.exporters.redis;
    let mut images = vec![spec.prometheus.image.clone(), spec.exporters.postgres.image.clone()];
    images.extend(spec.alertmanager.iter().map(|alertmanager| alertmanager.image.clone()));
    let own_grafana = spec.grafana.as_ref().filter(|grafana| grafana.url.is_none());
    images.extend(own_grafana.map(|grafana| grafana.image.clone()));
    images.extend(redis.servers.first().map(|_| redis.image.clone()));
    images
}

/// What Prometheus scrapes.
pub fn targets(view: &View<'_>) -> Targets {
    let monitor = view.monitor;
    let at = |member: &str, port: u16| format!("{}:{port}", monitor.container_name(member));
    let postgres = view.clusters().flat_map(|(cluster, face)| {
        let members = face.members.iter();
        members.map(move |member| Target {
            address: at(&Monitor::exporter(cluster, &member.name), conf::POSTGRES_EXPORTER_PORT),
            labels: vec![
                ("cluster", cluster.clone()),
                ("member", member.name.clone()),
                ("role", member.role.clone()),
            ],
        })
    });
    let redis = monitor.spec.exporters.redis.servers.iter().map(|server| Target {
        address: at(&Monitor::redis_exporter(&server.name), conf::REDIS_EXPORTER_PORT),
        labels: vec![("server", server.name.clone())],
    });
    let agent = view.agent_address().map(|address| Target {
        address: address.to_string(),
        labels: Vec::new(),
    });
    Targets {
        postgres: postgres.collect(),
        redis: redis.collect(),
        agent: agent.into_iter().collect(),
    }
}

/// The rule files in force, by their paths: ours, and the users' that were found good.
pub fn rule_files(view: &View<'_>) -> Vec<(String, String)> {
    let alerts = &view.monitor.spec.alerts;
    let ours = rules::ours(&view.runbook_url(), &alerts.disabled, view.monitor.scrape_secs);
    let ours = ours
        .into_iter()
        .map(|(name, text)| (format!("rules/ours/{name}"), text));
    let users = view
        .memory
        .accepted
        .iter()
        .filter(|(file, _)| file.starts_with("rules/"));
    ours.chain(users.map(|(file, text)| (file.clone(), text.clone())))
        .collect()
}

/// Which configuration Prometheus shall run, in a word: see [`conf::MARK`].
pub fn mark(view: &View<'_>) -> String {
    let rules = rule_files(view);
    let names: Vec<String> = rules.iter().map(|(name, _)| name.clone()).collect();
    let mut all = conf::prometheus(view.monitor, &names);
    for (_, text) in &rules {
        all.push_str(text);
    }
    short_hash(all.as_bytes())
}

/// Prometheus' files.
pub fn prometheus_files(view: &View<'_>) -> Vec<FileSpec> {
    let rules = rule_files(view);
    let names: Vec<String> = rules.iter().map(|(name, _)| name.clone()).collect();
    let conf = conf::prometheus_marked(view.monitor, &names, &mark(view));
    let Targets { postgres, redis, agent } = targets(view);
    let mut files = vec![marked("prometheus.yml", &conf)];
    files.extend(rules.iter().map(|(name, text)| marked(name, text)));
    // While a cluster is not known, such as right after a start of the agent, its targets stay as they are.
    let jobs = [("postgres", postgres), ("redis", redis), ("reconciler", agent)];
    for (job, targets) in jobs
        .into_iter()
        .filter(|(job, _)| *job != "postgres" || view.knows_all_clusters())
    {
        files.push(marked(&format!("targets/{job}.yml"), &conf::targets(&targets)));
    }
    files
}

fn prometheus(view: &View<'_>) -> Piece {
    let spec = &view.monitor.spec.prometheus;
    let mut entrypoint = vec![
        "/bin/prometheus".to_owned(),
        format!("--config.file={}/prometheus.yml", conf::DIRECTORY),
        "--storage.tsdb.path=/prometheus".to_owned(),
        format!("--storage.tsdb.retention.time={}s", view.monitor.retention_secs),
        format!("--web.listen-address=:{}", conf::PROMETHEUS_PORT),
        format!("--web.external-url=http://{}:{}/", view.monitor.reached_at(), spec.port),
    ];
    if view.monitor.scrape_secs > LOOKBACK_SECS / 2 {
        // Else a sample would be forgotten before the next one comes.
        entrypoint.push(format!("--query.lookback-delta={}s", 3 * view.monitor.scrape_secs));
    }
    if let Some(bytes) = view.monitor.retention_bytes {
        entrypoint.push(format!("--storage.tsdb.retention.size={bytes}B"));
    }
    let port = (spec.port, conf::PROMETHEUS_PORT);
    let container = ContainerSpec {
        entrypoint,
        volume: Some(volume(view, PROMETHEUS)),
        mount: "/prometheus".to_owned(),
        stop_grace_secs: PROMETHEUS_GRACE_SECS,
        ..container(
            view,
            PROMETHEUS,
            &spec.image,
            view.monitor.limits(PROMETHEUS),
            Some(port),
        )
    };
    Piece {
        port_field: "spec.prometheus.port",
        ..piece(view, PROMETHEUS, container, prometheus_files(view))
    }
}

fn alertmanager(view: &View<'_>) -> Option<Piece> {
    let spec = view.monitor.spec.alertmanager.as_ref()?;
    let entrypoint = vec![
        "/bin/alertmanager".to_owned(),
        format!("--config.file={}/alertmanager/alertmanager.yml", conf::DIRECTORY),
        "--storage.path=/alertmanager".to_owned(),
        format!("--web.listen-address=:{}", conf::ALERTMANAGER_PORT),
        format!("--web.external-url=http://{}:{}/", view.monitor.reached_at(), spec.port),
        // Alone, it has nobody to gossip with.
        "--cluster.listen-address=".to_owned(),
    ];
    let port = (spec.port, conf::ALERTMANAGER_PORT);
    let container = ContainerSpec {
        entrypoint,
        volume: Some(volume(view, ALERTMANAGER)),
        mount: "/alertmanager".to_owned(),
        ..container(
            view,
            ALERTMANAGER,
            &spec.image,
            view.monitor.limits(ALERTMANAGER),
            Some(port),
        )
    };
    let files = alertmanager_files(view);
    Some(Piece {
        port_field: "spec.alertmanager.port",
        ..piece(view, ALERTMANAGER, container, files)
    })
}

/// The users' files for Alertmanager that are in force, else one that tells nobody. They may hold passwords.
fn alertmanager_files(view: &View<'_>) -> Vec<FileSpec> {
    let mut texts: BTreeMap<&str, &str> =
        BTreeMap::from([("alertmanager/alertmanager.yml", conf::SILENT_ALERTMANAGER)]);
    let users = view
        .memory
        .accepted
        .iter()
        .filter(|(file, _)| file.starts_with("alertmanager/"));
    texts.extend(users.map(|(file, text)| (file.as_str(), text.as_str())));
    let files = texts.into_iter().map(|(name, text)| FileSpec {
        mode: 0o600,
        ..match name.ends_with(".tmpl") {
            // A comment would be part of what it makes.
            true => FileSpec::plain(name, text.to_owned()),
            false => marked(name, text),
        }
    });
    files.collect()
}

fn postgres_exporter(view: &View<'_>, cluster: &str, network: &str, member: &FaceMember) -> Piece {
    let spec = &view.monitor.spec.exporters.postgres;
    let name = Monitor::exporter(cluster, &member.name);
    let password = format!("{}/password", conf::DIRECTORY);
    let mut env = vec![
        (
            "DATA_SOURCE_URI",
            format!("{}:{}/postgres?sslmode=disable", member.container, member.port),
        ),
        ("DATA_SOURCE_USER", ROLE.to_owned()),
        ("DATA_SOURCE_PASS_FILE", password),
    ];
    if !spec.databases.is_empty() {
        env.push(("PG_EXPORTER_AUTO_DISCOVER_DATABASES", "true".to_owned()));
        env.push(("PG_EXPORTER_INCLUDE_DATABASES", spec.databases.join(",")));
    }
    let port = view
        .memory
        .ports
        .get(&name)
        .map(|port| (*port, conf::POSTGRES_EXPORTER_PORT));
    let container = ContainerSpec {
        entrypoint: vec![
            "/bin/postgres_exporter".to_owned(),
            format!("--web.listen-address=:{}", conf::POSTGRES_EXPORTER_PORT),
            format!("--extend.query-path={}/queries.yml", conf::DIRECTORY),
        ],
        env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..container(view, &name, &spec.image, view.monitor.limits("postgres"), port)
    };
    let users = userfiles::queries_in_force(view);
    let queries = marked("queries.yml", &queries::merged(&users, !spec.databases.is_empty()));
    let secret = Placeholder {
        token: "{password}".to_owned(),
        secret: Monitor::password(cluster),
        make: view.lacks_role(cluster),
        escape: Escape::None,
    };
    let password = FileSpec {
        mode: 0o600,
        secrets: vec![secret],
        ..FileSpec::plain("password", "{password}".to_owned())
    };
    Piece {
        networks: vec![network.to_owned()],
        read_at_start: vec!["queries.yml".to_owned()],
        port_field: "spec.exporters.postgres.ports",
        ..piece(view, &name, container, vec![queries, password])
    }
}

fn redis_exporter(view: &View<'_>, server: &RedisServer) -> Piece {
    let spec = &view.monitor.spec.exporters.redis;
    let name = Monitor::redis_exporter(&server.name);
    let address = format!("redis://{}", server.address);
    let mut entrypoint = vec![
        "/redis_exporter".to_owned(),
        format!("--web.listen-address=:{}", conf::REDIS_EXPORTER_PORT),
        format!("--redis.addr={address}"),
    ];
    entrypoint.extend(server.user.iter().map(|user| format!("--redis.user={user}")));
    let mut files = Vec::new();
    if let Some(from) = &server.password_from {
        entrypoint.push(format!("--redis.password-file={}/passwords.json", conf::DIRECTORY));
        let secret = Placeholder {
            token: "{password}".to_owned(),
            secret: password::of((KIND, &view.monitor.name), &name, Some(from)),
            make: false,
            escape: Escape::Json,
        };
        files.push(FileSpec {
            mode: 0o600,
            secrets: vec![secret],
            ..FileSpec::plain("passwords.json", format!("{{\"{address}\": \"{{password}}\"}}\n"))
        });
    }
    let port = server.port.map(|port| (port, conf::REDIS_EXPORTER_PORT));
    let container = ContainerSpec {
        entrypoint,
        ..container(view, &name, &spec.image, view.monitor.limits("redis"), port)
    };
    Piece {
        networks: vec![server.network.clone()],
        port_field: "spec.exporters.redis.servers",
        ..piece(view, &name, container, files)
    }
}

fn piece(view: &View<'_>, member: &str, container: ContainerSpec, files: Vec<FileSpec>) -> Piece {
    Piece {
        member: member.to_owned(),
        delivery: Delivery {
            container: container.name.clone(),
            directory: conf::DIRECTORY.to_owned(),
            owner: USER.to_owned(),
            files,
        },
        container,
        networks: Vec::new(),
        read_at_start: Vec::new(),
        exclusive: Vec::new(),
        restart_asked_at: view.memory.restarts.get(member).copied(),
        port_field: "",
    }
}

fn container(view: &View<'_>, member: &str, image: &str, limits: Limits, port: Option<(u16, u16)>) -> ContainerSpec {
    let monitor = view.monitor;
    let name = monitor.container_name(member);
    ContainerSpec {
        image: image.to_owned(),
        user: USER.to_owned(),
        entrypoint: Vec::new(),
        env: BTreeMap::new(),
        labels: monitor.labels(Some(member)),
        volume: None,
        mount: String::new(),
        source: None,
        network: monitor.network_name(),
        aliases: vec![name.clone()],
        name,
        ports: port
            .map(|(host, container)| PortSpec {
                address: monitor.spec.address.clone(),
                host,
                container,
            })
            .into_iter()
            .collect(),
        shm_bytes: 0,
        stop_signal: "SIGTERM".to_owned(),
        stop_grace_secs: GRACE_SECS,
        health: None,
        limits,
        logging: monitor.spec.logging.as_ref().map(Logging::spec),
    }
}

fn volume(view: &View<'_>, member: &str) -> NamedSpec {
    NamedSpec {
        name: view.monitor.volume_name(member),
        labels: view.monitor.labels(Some(member)),
    }
}
