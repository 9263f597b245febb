//! What a Grafana is to hold for a monitoring resource: the data source, the folder, our dashboards and the users' own. Pure.

use std::collections::BTreeMap;

use serde_json::json;

use super::conf;
use super::dashboards::{self, Source};
use super::grafana::{Board, Content, import};
use super::monitor::{GRAFANA, Monitor, PROMETHEUS};
use super::spec::Grafana;
use crate::kinds::password;
use crate::manifest::diagnostic::Position;
use crate::manifest::folders::Complaint;
use crate::model::SecretRef;
use crate::model::container::short_hash;
use crate::model::grafana::{Datasource, GrafanaAuth, GrafanaTarget};

/// The folder of a manifest that holds users' dashboards.
const USERS: &str = "dashboards";

/// What it is to hold.
pub fn content(monitor: &Monitor, spec: &Grafana) -> Content {
    let source = Source {
        uid: format!("reconciler-prometheus{}", suffix(monitor, spec)),
        name: match spec.url {
            Some(_) => format!("Prometheus of {}", monitor.name),
            None => "Prometheus".to_owned(),
        },
    };
    let folder = format!("reconciler{}", suffix(monitor, spec));
    let mut boards: BTreeMap<String, Board> = BTreeMap::new();
    for (name, text) in monitor.folder(USERS) {
        // What is wrong with one was said when it was loaded.
        if let Ok((uid, board)) = import(text, stem(name), Some(&folder), &source.uid) {
            boards.insert(uid, board);
        }
    }
    for built_in in dashboards::all(&source) {
        let uid = format!("{}{}", built_in.uid, suffix(monitor, spec));
        let mut json = built_in.json;
        json["uid"] = json!(uid);
        boards.insert(uid, Board::new(Some(&folder), json));
    }
    let settings = Datasource {
        name: source.name,
        plugin: "prometheus".to_owned(),
        url: prometheus_url(monitor, spec),
        // Which one somebody's own Grafana takes where none is named is not ours to say.
        is_default: spec.url.is_none(),
        json_data: json!({"httpMethod": "POST", "timeInterval": format!("{}s", monitor.scrape_secs)}),
    };
    Content {
        datasources: BTreeMap::from([(source.uid, settings)]),
        folders: BTreeMap::from([(folder, spec.folder.clone())]),
        dashboards: boards,
    }
}

/// In somebody's own Grafana others of our kind may keep theirs: uids tell who they are of.
fn suffix(monitor: &Monitor, spec: &Grafana) -> String {
    match spec.url {
        Some(_) => format!("-{}", short_hash(monitor.uid.as_bytes())),
        None => String::new(),
    }
}

fn prometheus_url(monitor: &Monitor, spec: &Grafana) -> String {
    let own = || {
        format!(
            "http://{}:{}",
            monitor.container_name(PROMETHEUS),
            conf::PROMETHEUS_PORT
        )
    };
    let published = || format!("http://{}:{}", monitor.reached_at(), monitor.spec.prometheus.port);
    match (&spec.url, &spec.prometheus_url) {
        (Some(_), Some(url)) => url.clone(),
        (Some(_), None) => published(),
        (None, _) => own(),
    }
}

/// Where it is and who we are there. `address` is that of our own, while it has one.
pub fn target(monitor: &Monitor, spec: &Grafana, address: Option<&str>) -> Option<GrafanaTarget> {
    let Some(url) = &spec.url else {
        return address.map(|address| GrafanaTarget {
            url: format!("http://{address}:{}", conf::GRAFANA_PORT),
            auth: GrafanaAuth::User {
                name: "admin".to_owned(),
                password: admin_password(monitor, spec),
            },
        });
    };
    let from = spec.token_from.as_ref()?;
    Some(GrafanaTarget {
        url: url.clone(),
        auth: GrafanaAuth::Token(password::named(from, &monitor.name, GRAFANA)),
    })
}

/// The password of our own Grafana's `admin`.
pub fn admin_password(monitor: &Monitor, spec: &Grafana) -> SecretRef {
    let generated = || SecretRef::Generated {
        scope: monitor.name.clone(),
        name: GRAFANA.to_owned(),
    };
    let named = spec.admin_password_from.as_ref();
    named.map_or_else(generated, |from| password::named(from, &monitor.name, GRAFANA))
}

/// What is wrong with a dashboard of a user's.
pub fn complaint(text: &str) -> Option<Complaint> {
    let error = serde_json::from_str::<serde_json::Value>(text).err();
    let at = error.map(|error| Position {
        line: u32::try_from(error.line()).unwrap_or(1).max(1),
        column: u32::try_from(error.column()).unwrap_or(1).max(1),
    });
    let message = import(text, "dashboard", None, "prometheus").err()?;
    Some(Complaint {
        at,
        message: format!("this cannot be a dashboard: {message}"),
        help: Some("export it from Grafana: Share, Export, Save to file".to_owned()),
    })
}

/// The name of a file without its ending.
fn stem(name: &str) -> &str {
    name.strip_suffix(".json").unwrap_or(name)
}
