//! `reconciler connect`: how clients reach a cluster. Passwords are named by their place, never printed.

use std::fmt::Write as _;

use serde::Serialize;

use super::client::Client;
use super::error::CommandResult;
use super::output::{Format, print, print_for_scripts};
use crate::agent::view::ResourceView;
use crate::kinds::postgres::conf::{PORT, SUPERUSER};
use crate::kinds::postgres::plan::routes::{ANY, READS, WRITES};
use crate::model::status::MemberStatus;

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Connect {
    /// The cluster; the only one if none is named
    pub name: Option<String>,
    /// The database; the manifest's first if none is named
    #[arg(short, long)]
    pub database: Option<String>,
    /// The role to log in as
    #[arg(short, long, default_value = SUPERUSER)]
    pub role: String,
    /// How to print it
    #[arg(short, long, default_value = "table")]
    pub output: Format,
}

/// How clients reach a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ways {
    cluster: String,
    network: String,
    /// From containers on the network: by role names.
    containers: Uris,
    /// From the host: all published members, and libpq picks. `None` when nothing is published.
    host: Option<Uris>,
    /// Where the password is.
    password: Option<String>,
}

/// One URI a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Uris {
    read_write: String,
    read_only: String,
    any: String,
}

/// Prints URIs of a cluster.
pub async fn connect(client: &Client, ask: &Connect) -> CommandResult {
    let resource = client.resource(ask.name.as_deref(), false).await?;
    let ways = ways(&resource, ask);
    if print_for_scripts(&ways, ask.output)? {
        return Ok(());
    }
    print(text(&ways).trim_end())
}

fn ways(resource: &ResourceView, ask: &Connect) -> Ways {
    let name = &resource.name;
    let first = resource.spec["databases"][0]["name"].as_str();
    let database = ask.database.as_deref().or(first).unwrap_or(SUPERUSER);
    let role = encoded(&ask.role);
    let database = encoded(database);
    let inside = |route: &str| format!("postgresql://{role}@{name}-{route}:{PORT}/{database}");
    let hosts = published(&resource.status.members);
    let outside = |wanted: &str| format!("postgresql://{role}@{hosts}/{database}?target_session_attrs={wanted}");
    Ways {
        cluster: name.clone(),
        network: format!("{name}-svc"),
        containers: Uris {
            read_write: inside(WRITES),
            read_only: inside(READS),
            any: inside(ANY),
        },
        host: (!hosts.is_empty()).then(|| Uris {
            read_write: outside("read-write"),
            read_only: outside("prefer-standby"),
            any: outside("any"),
        }),
        password: resource.status.facts.get(&format!("password of {}", ask.role)).cloned(),
    }
}

/// The published addresses, the primary's first: who looks for it finds it at once.
fn published(members: &[MemberStatus]) -> String {
    let mut members: Vec<&MemberStatus> = members.iter().filter(|m| !m.address.is_empty()).collect();
    members.sort_by_key(|member| member.role != "primary");
    let addresses = members.iter().map(|member| reachable(&member.address));
    addresses.collect::<Vec<_>>().join(",")
}

/// An address that is bound to everything is reached by the loopback, and IPv6 is written in brackets.
fn reachable(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    match host {
        "0.0.0.0" => format!("127.0.0.1:{port}"),
        "::" => format!("[::1]:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// As a part of a URI (RFC 3986, 2.1).
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn text(ways: &Ways) -> String {
    let mut text = String::new();
    let mut block = |title: String, uris: &Uris| {
        let _ = writeln!(text, "{title}");
        for (purpose, uri) in [
            ("read and write", &uris.read_write),
            ("read only", &uris.read_only),
            ("any member", &uris.any),
        ] {
            let _ = writeln!(text, "  {purpose:<15} {uri}");
        }
        text.push('\n');
    };
    let attach = format!(
        "From containers on network {} (`docker network connect {} CONTAINER`):",
        ways.network, ways.network
    );
    block(attach, &ways.containers);
    if let Some(host) = &ways.host {
        block("From this host:".to_owned(), host);
    }
    let place = ways.password.as_deref().unwrap_or("not known to the agent");
    let _ = writeln!(text, "The password is in: {place}");
    text
}

#[cfg(test)]
mod tests {
    use super::{encoded, published, reachable};
    use crate::model::status::MemberStatus;

    #[test]
    fn the_primary_comes_first_and_who_is_not_published_not_at_all() {
        let member = |role: &str, address: &str| MemberStatus {
            role: role.to_owned(),
            address: address.to_owned(),
            ..MemberStatus::default()
        };
        let members = [
            member("replica", "127.0.0.1:1"),
            member("primary", "127.0.0.1:2"),
            member("replica", ""),
        ];
        assert_eq!(published(&members), "127.0.0.1:2,127.0.0.1:1");
        assert_eq!(published(&[]), "");
    }

    #[test]
    fn an_address_can_be_connected_to() {
        assert_eq!(reachable("0.0.0.0:5432"), "127.0.0.1:5432");
        assert_eq!(reachable("::1:5432"), "[::1]:5432");
        assert_eq!(reachable(":::5432"), "[::1]:5432");
        assert_eq!(reachable("10.0.0.1:5432"), "10.0.0.1:5432");
    }

    #[test]
    fn names_are_no_syntax() {
        assert_eq!(encoded("a/b@c d"), "a%2Fb%40c%20d");
        assert_eq!(encoded("my_db-1"), "my_db-1");
    }
}
