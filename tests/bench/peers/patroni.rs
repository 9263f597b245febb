//! Patroni with one etcd, as its manual has it.

use std::os::unix::fs::PermissionsExt;

use crate::Done;
use crate::docker::Node;
use crate::live::free_ports;
use crate::peer::{Peer, Product};
use crate::place::Place;
use crate::sql::Address;

/// Patroni's clock, in seconds.
#[derive(Clone, Copy)]
pub struct Clock {
    /// How long the leader's lease lasts.
    pub ttl: u32,
    /// Between two rounds of its loop.
    pub loop_wait: u32,
    /// How long operations are tried again.
    pub retry_timeout: u32,
}

/// What Patroni comes with.
pub const DEFAULT: Clock = Clock {
    ttl: 30,
    loop_wait: 10,
    retry_timeout: 10,
};
/// The least that Patroni accepts.
pub const MINIMUM: Clock = Clock {
    ttl: 20,
    loop_wait: 1,
    retry_timeout: 3,
};

/// Makes a cluster of three. `offset` is the last number of its addresses.
pub async fn make(place: &Place, what: &str, prefix: &str, offset: u32, clock: Clock) -> Done<Peer> {
    let mut ports = free_ports(4)?.into_iter();
    let mut node = |number: u32| Node {
        name: format!("{}-{what}-{number}", place.name),
        ip: format!("{prefix}.{}", offset + number),
        address: Address {
            port: ports.next().unwrap_or_default(),
            password: String::new(),
        },
    };
    let etcd = node(0);
    let nodes: Vec<Node> = (1..=3).map(&mut node).collect();
    let ip = &etcd.ip;
    let script = format!(
        "exec etcd --name e --data-dir /data/e --listen-client-urls http://0.0.0.0:2379 \
         --advertise-client-urls http://{ip}:2379 --listen-peer-urls http://0.0.0.0:2380 \
         --initial-advertise-peer-urls http://{ip}:2380 --initial-cluster e=http://{ip}:2380"
    );
    etcd.run(place, &[], &script).await?;
    for node in &nodes {
        let directory = place.files(&node.name)?;
        std::fs::write(directory.join("patroni.yml"), configuration(node, ip, clock))?;
        for path in [directory.clone(), directory.join("patroni.yml")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        }
        let options = [
            "-e".to_owned(),
            "HOME=/var/lib/postgresql".to_owned(),
            "-v".to_owned(),
            format!("{}:/cfg:ro", directory.display()),
        ];
        let script = "chown postgres:postgres /data; \
                      exec setpriv --reuid=postgres --regid=postgres --init-groups patroni /cfg/patroni.yml";
        node.run(place, &options, script).await?;
    }
    let peer = Peer {
        product: Product::Patroni { etcd },
        nodes,
    };
    peer.settle().await?;
    Ok(peer)
}

fn configuration(node: &Node, etcd: &str, clock: Clock) -> String {
    let Node { name, ip, .. } = node;
    let Clock {
        ttl,
        loop_wait,
        retry_timeout,
    } = clock;
    format!(
        r#"scope: peer
name: {name}
restapi: {{listen: "0.0.0.0:8008", connect_address: "{ip}:8008"}}
etcd3: {{hosts: "{etcd}:2379"}}
bootstrap:
  dcs:
    ttl: {ttl}
    loop_wait: {loop_wait}
    retry_timeout: {retry_timeout}
    maximum_lag_on_failover: 1048576
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters: {{max_connections: 100, shared_buffers: 256MB, wal_keep_size: 1GB, hot_standby: "on"}}
  initdb: [{{encoding: UTF8}}, data-checksums]
postgresql:
  listen: "0.0.0.0:5432"
  connect_address: "{ip}:5432"
  data_dir: /data/pg
  bin_dir: /usr/lib/postgresql/17/bin
  pg_hba:
  - local all all trust
  - host all all 0.0.0.0/0 trust
  - host replication all 0.0.0.0/0 trust
  authentication:
    superuser: {{username: postgres, password: postgres}}
    replication: {{username: repl, password: repl}}
    rewind: {{username: rewind, password: rewind}}
  parameters: {{unix_socket_directories: /tmp}}
"#
    )
}
