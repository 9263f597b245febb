//! What a Grafana is to hold for a monitoring resource: the data source, the folder, our dashboards and the users' own. Pure.

use std::collections::BTreeMap;

use serde_json::json;

use super::conf;
use super::dashboards::{self, Source};
use super::grafana::{Board, Content, Unusable, import};
use super::monitor::{GRAFANA, KIND, Monitor, PROMETHEUS};
use super::spec::Grafana;
use crate::kinds::password;
use crate::manifest::diagnostic::Position;
use crate::manifest::folders::Complaint;
use crate::model::SecretRef;
use crate::model::container::short_hash;
use crate::model::grafana::{Datasource, GrafanaAuth, GrafanaTarget, title_of};

/// The folder of a manifest that holds users' dashboards.
const USERS: &str = "dashboards";
/// How the uids of what comes with the agent begin.
const OURS: &str = "reconciler-";
/// How to come by a file that can be read.
const EXPORT: &str = "export it from Grafana: Share, Export, Save to file";

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
    for built_in in dashboards::all(&source, monitor.scrape_secs) {
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
        auth: GrafanaAuth::Token(password::of((KIND, &monitor.name), GRAFANA, Some(from))),
    })
}

/// The password of our own Grafana's `admin`.
pub fn admin_password(monitor: &Monitor, spec: &Grafana) -> SecretRef {
    password::of((KIND, &monitor.name), GRAFANA, spec.admin_password_from.as_ref())
}

/// What is wrong with a dashboard of a user's.
pub fn complaint(name: &str, text: &str) -> Option<Complaint> {
    let whole = |message: String, help: &str| Complaint {
        at: None,
        message,
        help: Some(help.to_owned()),
    };
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let at = Position {
            line: u32::try_from(error.line()).unwrap_or(1).max(1),
            column: u32::try_from(error.column()).unwrap_or(1).max(1),
        };
        return Some(Complaint {
            at: Some(at),
            ..whole(format!("this cannot be a dashboard: it is no JSON: {error}"), EXPORT)
        });
    }
    match import(text, stem(name), None, "prometheus") {
        Err(Unusable { message, near }) => Some(Complaint {
            at: near.map(|near| line_with(text, &near)),
            ..whole(format!("this cannot be a dashboard: {message}"), EXPORT)
        }),
        Ok((uid, _)) if uid.starts_with(OURS) => {
            let message = format!("{uid}: uids that begin with `{OURS}` are the agent's own");
            Some(Complaint {
                at: Some(line_of(text, &uid)),
                ..whole(message, "give your own another uid, and another title")
            })
        }
        Ok((_, board)) if dashboards::has_title(title_of(&board.json)) => {
            let title = title_of(&board.json);
            let message = format!("the title {title:?} is that of a dashboard that comes with the agent");
            Some(Complaint {
                at: Some(line_of(text, title)),
                ..whole(message, "give your own another title")
            })
        }
        Ok(_) => None,
    }
}

/// What a dashboard of a user's has for itself, as a user would call it. Where two from files have one title, Grafana takes no
/// file any more (`pkg/services/provisioning/dashboards`: "restricted database access").
pub fn defines(name: &str, text: &str) -> Vec<String> {
    let Ok((uid, board)) = import(text, stem(name), None, "prometheus") else {
        return Vec::new();
    };
    vec![
        format!("the uid {uid}"),
        format!("the title {:?}", title_of(&board.json)),
    ]
}

/// The first line that has a text in quotes.
fn line_of(text: &str, what: &str) -> Position {
    line_with(text, &format!("\"{what}\""))
}

/// The first line that has a text.
fn line_with(text: &str, what: &str) -> Position {
    let found = text.lines().zip(1..).find(|(line, _)| line.contains(what));
    Position {
        line: found.map_or(1, |(_, at)| at),
        column: found
            .and_then(|(line, _)| line.find(what))
            .map_or(1, |at| u32::try_from(at).unwrap_or(0) + 1),
    }
}

/// The name of a file without its ending.
fn stem(name: &str) -> &str {
    name.strip_suffix(".json").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

    use super::{complaint, defines};

    #[test]
    fn what_is_wrong_with_a_dashboard_is_said_with_its_place_and_the_way_out() {
        let fine = r#"{"title": "Orders", "uid": "orders"}"#;
        assert_eq!(complaint("a.json", fine), None);
        assert_eq!(defines("a.json", fine), ["the uid orders", "the title \"Orders\""]);
        assert_eq!(defines("stock.json", r#"{"title": "Stock"}"#)[0], "the uid stock");
        let nameless = complaint("my stock.json", r#"{"title": "Stock"}"#).unwrap();
        assert!(nameless.message.contains("\"my stock\" is no uid"), "{nameless:?}");
        let broken = complaint("a.json", "{\n\"title\" 1}").unwrap();
        assert_eq!(broken.at.map(|at| at.line), Some(2));
        let ours = complaint("a.json", "{\"title\": \"Mine\",\n \"uid\": \"reconciler-redis\"}").unwrap();
        assert_eq!(ours.at.map(|at| (at.line, at.column)), Some((2, 9)));
        assert!(ours.help.unwrap().contains("another uid"));
        let titled = complaint("a.json", r#"{"title": " Reconciler: Redis ", "uid": "r"}"#).unwrap();
        assert!(titled.help.unwrap().contains("another title"));
    }
}
