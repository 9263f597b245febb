//! What the schema cannot say of a spec: rules between fields, and rules of PostgreSQL. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::capacity;
use super::conf::{self, value};
use super::creation;
use super::plan::routes::ROUTES;
use super::spec::{LocaleProvider, PostgresCluster, ReplicationMode, Role, Scalar, subnet_problem};
use super::versions;
use crate::kinds::problems::{key, logging, password, problem};
use crate::manifest::load::{PathPart, Problem};
use crate::model::labels;

/// All that is wrong with a spec that has passed the schema.
pub fn validate(name: &str, spec: &Value) -> Vec<Problem> {
    let spec: PostgresCluster = match serde_json::from_value(spec.clone()) {
        Ok(spec) => spec,
        // The schema has said what is wrong; what can be told of the rest is told in the same go.
        Err(_) => return settings_alone(spec),
    };
    let mut found = Vec::new();
    names(name, &spec, &mut found);
    ports(&spec, &mut found);
    image(&spec, &mut found);
    initdb(&spec, &mut found);
    parameters(&spec.parameters, spec.replicas, &mut found);
    limits(&spec.parameters, spec.replicas, &mut found);
    replication(&spec, &mut found);
    hba(&spec.hba, &mut found);
    networks(&spec, &mut found);
    logging(spec.logging.as_ref(), &mut found);
    roles(&spec, &mut found);
    databases(&spec, &mut found);
    if let Some(superuser) = &spec.superuser {
        let path = [key("superuser"), key("passwordFrom")];
        password(&superuser.password_from, &path, &mut found);
    }
    for label in spec.labels.keys().filter(|label| label.starts_with(labels::PREFIX)) {
        let why = format!("labels that begin with `{}` are the agent's own", labels::PREFIX);
        found.push(problem(&[key("labels"), key(label)], why).on_key());
    }
    found
}

/// What is wrong with the parameters and hba lines of a spec that is wrong elsewhere.
fn settings_alone(spec: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    let settings = spec.get("parameters").and_then(Value::as_object).into_iter().flatten();
    let texts = settings.filter_map(|(name, value)| Some((name.clone(), Scalar(value.as_str()?.to_owned()))));
    parameters(&texts.collect(), 0, &mut found);
    let lines = spec.get("hba").and_then(Value::as_array).into_iter().flatten();
    let lines: Vec<String> = lines.map(|line| line.as_str().unwrap_or_default().to_owned()).collect();
    hba(&lines, &mut found);
    found
}

fn hba(lines: &[String], found: &mut Vec<Problem>) {
    for (at, line) in lines.iter().enumerate() {
        if let Some(why) = conf::hba_problem(line) {
            found.push(problem(&[key("hba"), PathPart::Index(at)], why));
        }
    }
}

/// The names of the members of a spec, as [`super::cluster::Cluster::members`] makes them.
fn member_names(spec: &PostgresCluster) -> Vec<String> {
    let replicas = (1..=spec.replicas).map(|n| format!("replica-{n}"));
    std::iter::once(spec.primary_name.clone()).chain(replicas).collect()
}

fn names(name: &str, spec: &PostgresCluster, found: &mut Vec<Problem>) {
    let numbered = spec.primary_name.strip_prefix("replica-");
    if numbered.is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) {
        let why = "`replica-` and a number is what replicas are called; choose another name for the first member";
        found.push(problem(&[key("primaryName")], why));
    }
    if ROUTES.contains(&spec.primary_name.as_str()) {
        let route = format!("{name}-{}", spec.primary_name);
        let why = format!("`{route}` is the DNS name of a role; choose another name for the first member");
        found.push(problem(&[key("primaryName")], why));
    }
    // A container's name is a DNS label on its network: at most 63 characters.
    let longest = name.len() + 1 + spec.primary_name.len().max("replica-32".len());
    if longest > 63 {
        let why = format!("with the cluster's name it makes a DNS name of {longest} characters; 63 are allowed");
        found.push(problem(&[key("primaryName")], why));
    }
    let members = member_names(spec);
    if let Some(primary) = spec.primary.as_ref().filter(|p| !members.contains(p)) {
        let why = format!("`{primary}` is not a member; the members are {}", members.join(", "));
        found.push(problem(&[key("primary")], why));
    }
}

fn ports(spec: &PostgresCluster, found: &mut Vec<Problem>) {
    let members = member_names(spec);
    for member in spec.ports.members.keys().filter(|m| !members.contains(m)) {
        let why = format!("`{member}` is not a member; the members are {}", members.join(", "));
        found.push(problem(&[key("ports"), key("members"), key(member)], why).on_key());
    }
    for member in spec
        .ports
        .members
        .iter()
        .filter(|(_, port)| **port == 0)
        .map(|(member, _)| member)
    {
        found.push(problem(
            &[key("ports"), key("members"), key(member)],
            "a port is 1 to 65535",
        ));
    }
    let sequence = |at: usize| u16::try_from(at).ok().and_then(|at| spec.ports.base?.checked_add(at));
    let taken: Vec<(usize, u16)> = members
        .iter()
        .enumerate()
        .filter_map(|(at, member)| Some((at, spec.ports.members.get(member).copied().or_else(|| sequence(at))?)))
        .collect();
    for (nth, (at, port)) in taken.iter().enumerate() {
        if let Some((other, _)) = taken[..nth].iter().find(|(_, earlier)| earlier == port) {
            let why = format!("{} and {} would both have port {port}", members[*other], members[*at]);
            found.push(problem(&[key("ports")], why).on_key());
        }
    }
}

fn networks(spec: &PostgresCluster, found: &mut Vec<Problem>) {
    let Some(networks) = &spec.network else {
        return;
    };
    for (field, subnet) in [
        ("subnet", &networks.subnet),
        ("serviceSubnet", &networks.service_subnet),
    ] {
        let why = subnet
            .as_ref()
            .and_then(|subnet| subnet_problem(subnet, spec.replicas + 1));
        found.extend(why.map(|why| problem(&[key("network"), key(field)], why)));
    }
    if networks.subnet.is_some() && networks.subnet == networks.service_subnet {
        let why = "the two networks cannot have one subnet";
        found.push(problem(&[key("network"), key("serviceSubnet")], why));
    }
}

fn initdb(spec: &PostgresCluster, found: &mut Vec<Problem>) {
    let Some(initdb) = &spec.initdb else {
        return;
    };
    for (at, argument) in initdb.args.iter().enumerate() {
        if let Some(why) = creation::complaint(argument) {
            found.push(problem(&[key("initdb"), key("args"), PathPart::Index(at)], why));
        }
    }
    let texts = [
        ("locale", &initdb.locale),
        ("icuLocale", &initdb.icu_locale),
        ("encoding", &initdb.encoding),
    ];
    let args = initdb.args.iter().map(|text| ("args", text));
    let texts = texts
        .into_iter()
        .filter_map(|(field, text)| Some((field, text.as_ref()?)));
    for (field, _) in texts.chain(args).filter(|(_, text)| text.contains(['\n', '\r', '\0'])) {
        found.push(problem(&[key("initdb"), key(field)], "it must be one line"));
    }
    let is_icu = initdb.locale_provider == Some(LocaleProvider::Icu);
    if initdb.icu_locale.is_some() != is_icu {
        let why = "`localeProvider: icu` and `icuLocale` go together";
        found.push(problem(&[key("initdb")], why).on_key());
    }
}

/// What the tag of an official image tells already.
fn image(spec: &PostgresCluster, found: &mut Vec<Problem>) {
    let Some(major) = versions::of_tag(&spec.image) else {
        return;
    };
    if let Some(why) = versions::unsupported(&spec.image, Some(&major.to_string())) {
        return found.push(problem(&[key("image")], why));
    }
    for name in spec.parameters.keys() {
        if let Some(why) = versions::missing_parameter(name, major) {
            let why = format!("there is no parameter `{name}`: {why}");
            found.push(problem(&[key("parameters"), key(name)], why).on_key());
        }
    }
}

fn parameters(settings: &BTreeMap<String, Scalar>, replicas: u32, found: &mut Vec<Problem>) {
    for (name, value) in settings {
        let path = [key("parameters"), key(name)];
        let twin = settings
            .keys()
            .find(|other| *other != name && other.eq_ignore_ascii_case(name));
        if !conf::is_parameter_name(name) {
            let why = format!(
                "`{name}` is not a parameter name: it is made of letters, digits and `_`, with one prefix and a `.` before it \
                 at most"
            );
            found.push(problem(&path, why).on_key());
        } else if let Some(why) = conf::refusal(name, &value.0) {
            found.push(problem(&path, format!("parameter `{name}` cannot be set: {why}")).on_key());
        } else if let Some(twin) = twin {
            let why = format!(
                "parameter `{name}` is set twice, also as `{twin}`; PostgreSQL does not tell upper from lower case"
            );
            found.push(problem(&path, why).on_key());
        } else if value.0.contains(['\n', '\r', '\0']) {
            found.push(problem(&path, format!("parameter `{name}` must be one line")));
        } else if is_limit(name) && value::whole(&value::literal(&value.0)).is_none() {
            let why = format!("parameter `{name}` is a whole number, and not `{}`", value.0);
            found.push(problem(&path, why));
        }
    }
    // One sender for each replica, and one more while a base backup streams its WAL beside the copy.
    let senders = settings
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("max_wal_senders"));
    let needed = capacity::senders_to_name(replicas);
    if let Some((name, Scalar(value))) = senders
        && value::whole(&value::literal(value)).is_some_and(|count| count < needed)
    {
        let why = format!("{replicas} replicas need at least {needed}: one to stream and one to be seeded each");
        found.push(problem(&[key("parameters"), key(name)], why));
    }
}

/// Whether the agent works with the number, because standbys must not have less than their primary.
fn is_limit(name: &str) -> bool {
    conf::STANDBY_FLOOR
        .iter()
        .any(|(limit, _)| limit.eq_ignore_ascii_case(name))
}

/// A slot for each replica; and clients beside the connections that are kept for superusers, or the server does not start.
fn limits(settings: &BTreeMap<String, Scalar>, replicas: u32, found: &mut Vec<Problem>) {
    let named = |name: &str| {
        let (given, Scalar(value)) = settings.iter().find(|(given, _)| given.eq_ignore_ascii_case(name))?;
        Some((given, value::whole(&value::literal(value))?))
    };
    let needed = capacity::slots_to_name(replicas);
    if let Some((name, _)) = named(capacity::SLOTS).filter(|(_, count)| *count < needed) {
        let why = format!("{replicas} replicas need at least {needed}: each has a slot of its own");
        found.push(problem(&[key("parameters"), key(name)], why));
    }
    let kept = named("superuser_reserved_connections").map_or(3, |(_, count)| count);
    let kept = kept + named("reserved_connections").map_or(0, |(_, count)| count);
    let needed = kept.max(3) + 1;
    if let Some((name, _)) = named("max_connections").filter(|(_, count)| *count < needed) {
        let why = format!("it has to be at least {needed}: {kept} are reserved, and the agent itself needs 3");
        found.push(problem(&[key("parameters"), key(name)], why));
    }
}

fn replication(spec: &PostgresCluster, found: &mut Vec<Problem>) {
    let replication = &spec.replication;
    let path = |field: &str| [key("replication"), key(field)];
    if replication.mode == ReplicationMode::Asynchronous {
        let fields = [
            ("method", replication.method.is_some()),
            ("number", replication.number.is_some()),
            ("durability", replication.durability.is_some()),
        ];
        for (field, _) in fields.iter().filter(|(_, is_set)| *is_set) {
            let why = format!("`{field}` says how commits wait for replicas; without `mode: synchronous` they do not");
            found.push(problem(&path(field), why).on_key());
        }
        return;
    }
    if replication.number() > spec.replicas {
        let field = if replication.number.is_some() { "number" } else { "mode" };
        let why = format!(
            "commits would wait for {} of {} replicas",
            replication.number(),
            spec.replicas
        );
        found.push(problem(&path(field), why));
    }
    let commit = spec
        .parameters
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("synchronous_commit"));
    if let Some((name, Scalar(value))) = commit {
        let value = value::literal(value).to_ascii_lowercase();
        if !["on", "true", "yes", "1", "remote_apply"].contains(&value.as_str()) {
            let why = format!(
                "with `mode: synchronous`, `{name}: {value}` would acknowledge commits that no replica has on its disk; \
                 it is `on` or `remote_apply`. A session may still choose less for itself"
            );
            found.push(problem(&[key("parameters"), key(name)], why));
        }
    }
}

fn roles(spec: &PostgresCluster, found: &mut Vec<Problem>) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, role) in spec.roles.iter().enumerate() {
        let path = |field: &str| [key("roles"), PathPart::Index(at), key(field)];
        let reserved = [conf::SUPERUSER, conf::REPLICATOR, "public", "none"].contains(&role.name.as_str());
        if reserved || role.name.starts_with("pg_") {
            let why = format!("role `{}` is the agent's or PostgreSQL's own", role.name);
            found.push(problem(&path("name"), why));
        }
        if seen.contains(&role.name.as_str()) {
            found.push(problem(
                &path("name"),
                format!("role `{}` is declared twice", role.name),
            ));
        }
        seen.push(&role.name);
        if let Some(from) = &role.password_from {
            if role.login {
                password(from, &path("passwordFrom"), found);
            } else {
                let why = format!("role `{}` may not log in, so it has no password", role.name);
                found.push(problem(&path("passwordFrom"), why).on_key());
            }
        }
        if let Some(circle) = circle_through(spec, role) {
            found.push(problem(&path("memberOf"), format!("roles are members of each other: {circle}")).on_key());
        }
    }
}

/// PostgreSQL refuses circles of memberships; better here, by name, than at run time for ever.
fn circle_through(spec: &PostgresCluster, start: &Role) -> Option<String> {
    // Every way from the role is walked on until it ends, or comes back; a role that was visited leads nowhere new.
    let mut visited: Vec<&str> = Vec::new();
    let mut ways: Vec<Vec<&Role>> = vec![vec![start]];
    while let Some(way) = ways.pop() {
        let at = way.last()?;
        for next in spec.roles.iter().filter(|role| at.member_of.contains(&role.name)) {
            let mut longer = way.clone();
            longer.push(next);
            if next.name == start.name {
                let names: Vec<&str> = longer.iter().map(|role| role.name.as_str()).collect();
                return Some(names.join(" -> "));
            }
            if !visited.contains(&next.name.as_str()) {
                visited.push(&next.name);
                ways.push(longer);
            }
        }
    }
    None
}

fn databases(spec: &PostgresCluster, found: &mut Vec<Problem>) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, database) in spec.databases.iter().enumerate() {
        let path = |field: &str| [key("databases"), PathPart::Index(at), key(field)];
        if ["template0", "template1"].contains(&database.name.as_str()) {
            found.push(problem(
                &path("name"),
                format!("`{}` is PostgreSQL's own template", database.name),
            ));
        }
        if seen.contains(&database.name.as_str()) {
            let why = format!("database `{}` is declared twice", database.name);
            found.push(problem(&path("name"), why));
        }
        seen.push(&database.name);
        for (nth, extension) in database.extensions.iter().enumerate() {
            let earlier = &database.extensions[..nth];
            if earlier.iter().any(|other| other.name() == extension.name()) {
                let why = format!("extension `{}` is declared twice", extension.name());
                let path = [path("extensions").as_slice(), &[PathPart::Index(nth)]].concat();
                found.push(problem(&path, why));
            }
        }
    }
}

#[cfg(test)]
mod tests;
