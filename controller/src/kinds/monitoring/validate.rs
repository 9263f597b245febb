//! What the schema cannot say of a spec. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rules;
use super::spec::Monitoring;
use crate::kinds::postgres::spec::subnet_problem;
use crate::kinds::problems::{key, logging, password, problem};
use crate::manifest::load::{PathPart, Problem};
use crate::manifest::quantity::parse_duration;
use crate::model::labels;

/// All that is wrong with a spec that has passed the schema.
pub fn validate(_name: &str, spec: &Value) -> Vec<Problem> {
    let Ok(spec) = serde_json::from_value::<Monitoring>(spec.clone()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    interval(&spec, &mut found);
    ports(&spec, &mut found);
    servers(&spec, &mut found);
    alerts(&spec, &mut found);
    grafana(&spec, &mut found);
    databases(&spec, &mut found);
    logging(spec.logging.as_ref(), &mut found);
    let subnet = spec.network.as_ref().and_then(|network| network.subnet.as_ref());
    // Prometheus, Alertmanager, Grafana, and an exporter per member of whatever is selected.
    let why = subnet.and_then(|subnet| subnet_problem(subnet, 4));
    found.extend(why.map(|why| problem(&[key("network"), key("subnet")], why)));
    for label in spec.labels.keys().filter(|label| label.starts_with(labels::PREFIX)) {
        let why = format!("labels that begin with `{}` are the agent's own", labels::PREFIX);
        found.push(problem(&[key("labels"), key(label)], why).on_key());
    }
    found
}

/// Alerts wait for four looks.
const LONGEST_INTERVAL_SECS: u64 = 600;

fn interval(spec: &Monitoring, found: &mut Vec<Problem>) {
    let interval = parse_duration(&spec.prometheus.scrape_interval);
    if interval.is_ok_and(|interval| interval.as_secs() > LONGEST_INTERVAL_SECS) {
        let why = "alerts wait for four looks, and would come after more than 40 minutes; 10m is the longest";
        found.push(problem(&[key("prometheus"), key("scrapeInterval")], why));
    }
}

/// The exporter takes them as one text with commas.
fn databases(spec: &Monitoring, found: &mut Vec<Problem>) {
    let exporters = &spec.exporters.postgres;
    let path = |at: Option<usize>| {
        let field = [key("exporters"), key("postgres"), key("databases")];
        field.into_iter().chain(at.map(PathPart::Index)).collect::<Vec<_>>()
    };
    for (at, name) in exporters.databases.iter().enumerate() {
        if name.is_empty() || name.contains(',') || name.trim() != name {
            found.push(problem(
                &path(Some(at)),
                "the exporter takes no database of such a name",
            ));
        }
    }
    if !exporters.databases.is_empty() && exporters.queries.is_none() {
        let why = "only queries of your own are asked in them, and `queries` names none";
        found.push(problem(&path(None), why).on_key());
    }
}

/// No port is wanted twice.
fn ports(spec: &Monitoring, found: &mut Vec<Problem>) {
    let mut wanted: Vec<(Vec<PathPart>, u16)> = vec![(vec![key("prometheus"), key("port")], spec.prometheus.port)];
    wanted.extend(
        spec.alertmanager
            .iter()
            .map(|one| (vec![key("alertmanager"), key("port")], one.port)),
    );
    let own_grafana = spec.grafana.iter().filter(|one| one.url.is_none());
    wanted.extend(own_grafana.map(|one| (vec![key("grafana"), key("port")], one.port)));
    for (cluster, members) in &spec.exporters.postgres.ports {
        wanted.extend(members.iter().map(|(member, port)| {
            let path = [
                key("exporters"),
                key("postgres"),
                key("ports"),
                key(cluster),
                key(member),
            ];
            (path.to_vec(), *port)
        }));
    }
    for (at, server) in spec.exporters.redis.servers.iter().enumerate() {
        let path = [
            key("exporters"),
            key("redis"),
            key("servers"),
            PathPart::Index(at),
            key("port"),
        ];
        wanted.extend(server.port.map(|port| (path.to_vec(), port)));
    }
    let mut taken = BTreeMap::new();
    for (path, port) in wanted {
        let shown = path.iter().map(part).collect::<Vec<_>>().join(".");
        if let Some(other) = taken.insert(port, shown) {
            found.push(problem(&path, format!("port {port} is `spec.{other}` already")));
        }
    }
}

fn part(part: &PathPart) -> String {
    match part {
        PathPart::Key(key) => key.clone(),
        PathPart::Index(at) => at.to_string(),
    }
}

fn servers(spec: &Monitoring, found: &mut Vec<Problem>) {
    let servers = &spec.exporters.redis.servers;
    let path = |at: usize| vec![key("exporters"), key("redis"), key("servers"), PathPart::Index(at)];
    for (at, server) in servers.iter().enumerate() {
        let below = |field: &str| [path(at), vec![key(field)]].concat();
        if servers[..at].iter().any(|other| other.name == server.name) {
            found.push(problem(
                &below("name"),
                format!("there are two servers called `{}`", server.name),
            ));
        }
        let port = server
            .address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            let why = "an address is a host name and a port, such as `redis:6379`";
            found.push(problem(&below("address"), why));
        }
        if let Some(from) = &server.password_from {
            password(from, &below("passwordFrom"), found);
        }
    }
}

fn grafana(spec: &Monitoring, found: &mut Vec<Problem>) {
    let Some(grafana) = &spec.grafana else {
        return;
    };
    let below = |field: &str| [key("grafana"), key(field)];
    for (field, from) in [
        ("adminPasswordFrom", &grafana.admin_password_from),
        ("tokenFrom", &grafana.token_from),
    ] {
        if let Some(from) = from {
            password(from, &below(field), found);
        }
    }
    match (&grafana.url, &grafana.token_from) {
        (Some(_), None) => {
            let why = "a Grafana that is there already needs a token; name `tokenFrom` beside it";
            found.push(problem(&below("url"), why));
        }
        (None, Some(_)) => {
            let why = "a token is for a Grafana that is there already; name its `url` beside it";
            found.push(problem(&below("tokenFrom"), why).on_key());
        }
        (Some(url), Some(_)) if !(url.starts_with("http://") || url.starts_with("https://")) => {
            found.push(problem(&below("url"), "a URL begins with `http://` or `https://`"));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

fn alerts(spec: &Monitoring, found: &mut Vec<Problem>) {
    let known = rules::alerts();
    for (at, name) in spec.alerts.disabled.iter().enumerate() {
        if !known.contains(name) {
            let path = [key("alerts"), key("disabled"), PathPart::Index(at)];
            let why = format!("there is no alert `{name}`; there are {}", known.join(", "));
            found.push(problem(&path, why));
        }
    }
}
