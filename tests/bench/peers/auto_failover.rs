//! `pg_auto_failover`: a monitor and three nodes, as its manual has it.

use std::time::{Duration, Instant};

use crate::Done;
use crate::docker::Node;
use crate::live::free_ports;
use crate::peer::{Peer, Product};
use crate::place::Place;
use crate::sql::Address;

/// How the cluster is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// As it comes: every node takes part in the synchronous quorum.
    Default,
    /// Asynchronous, and the monitor as impatient as it gets.
    Tuned,
}

const POLL: Duration = Duration::from_millis(200);
/// A step of the set-up that takes longer needs help.
const PATIENCE: Duration = Duration::from_secs(240);
/// As root, so that the volume can be made the server's; all the rest as the server's user.
const PREPARE: &str = "install -d -o postgres -g postgres /run/postgresql /var/run/postgresql; \
     chown postgres:postgres /data; export HOME=/data PGDATA=/data/pg; rm -rf /tmp/pg_autoctl; cd /data; \
     D='setpriv --reuid=postgres --regid=postgres --init-groups';";
/// Everything that makes the monitor wait.
const IMPATIENT: [(&str, &str); 7] = [
    ("health_check_period", "1000"),
    ("health_check_timeout", "1000"),
    ("health_check_retry_delay", "500"),
    ("health_check_max_retries", "1"),
    ("node_considered_unhealthy_timeout", "3000"),
    ("primary_demote_timeout", "5000"),
    ("startup_grace_period", "2000"),
];

/// Makes a cluster of three. `offset` is the last number of its addresses.
pub async fn make(place: &Place, what: &str, prefix: &str, offset: u32, settings: Settings) -> Done<Peer> {
    let mut ports = free_ports(4)?.into_iter();
    let mut node = |number: u32| Node {
        name: format!("{}-{what}-{number}", place.name),
        ip: format!("{prefix}.{}", offset + number),
        address: Address {
            port: ports.next().unwrap_or_default(),
            password: String::new(),
        },
    };
    let monitor = node(0);
    let nodes: Vec<Node> = (1..=3).map(&mut node).collect();
    start_monitor(place, &monitor, prefix, settings).await?;
    let quorum = settings == Settings::Default;
    for (at, node) in nodes.iter().enumerate() {
        let script = format!(
            "{PREPARE} if [ -d /data/pg ]; then exec $D pg_autoctl run --pgdata /data/pg; fi; \
             exec $D pg_autoctl create postgres --pgdata /data/pg --pgport 5432 --hostname {} --name n{} \
             --replication-quorum {quorum} --auth trust --no-ssl \
             --monitor postgres://autoctl_node@{}:5432/pg_auto_failover --run",
            node.ip,
            at + 1,
            monitor.ip
        );
        node.run(place, &home(), &script).await?;
        if at == 0 {
            wait_until(&monitor, "select reportedstate from pgautofailover.node", "single").await?;
            open(node, "0.0.0.0/0").await?;
            configure(node).await?;
        }
    }
    let peer = Peer {
        product: Product::AutoFailover { monitor },
        nodes,
    };
    peer.settle().await?;
    Ok(peer)
}

async fn start_monitor(place: &Place, monitor: &Node, prefix: &str, settings: Settings) -> Done<()> {
    let script = format!(
        "{PREPARE} exec $D pg_autoctl create monitor --pgdata /data/pg --pgport 5432 --hostname {} \
         --auth trust --no-ssl --run",
        monitor.ip
    );
    monitor.run(place, &home(), &script).await?;
    wait_until(monitor, "select 1", "1").await?;
    open(monitor, &format!("{prefix}.0/24")).await?;
    if settings == Settings::Tuned {
        for (name, value) in IMPATIENT {
            let sql = format!("alter system set pgautofailover.{name} = {value}");
            superuser(monitor, &sql).await?;
        }
        superuser(monitor, "select pg_reload_conf()").await?;
    }
    Ok(())
}

/// `pg_autoctl` finds its configuration below it, also when it is called from outside.
fn home() -> [String; 2] {
    ["-e", "HOME=/data"].map(str::to_owned)
}

/// The same settings as the others'.
async fn configure(node: &Node) -> Done<()> {
    for (name, value) in [("wal_keep_size", "'1GB'"), ("max_connections", "100")] {
        superuser(node, &format!("alter system set {name} = {value}")).await?;
    }
    superuser(node, "select pg_reload_conf()").await.map(drop)
}

/// Lets clients in.
async fn open(node: &Node, from: &str) -> Done<()> {
    let script = format!(
        "printf 'host all all {from} trust\\nhost replication all {from} trust\\n' >>/data/pg/pg_hba.conf; \
         setpriv --reuid=postgres --regid=postgres --init-groups pg_ctl -D /data/pg reload"
    );
    node.exec(&["sh", "-c", &script]).await.map(drop)
}

async fn superuser(node: &Node, sql: &str) -> Done<String> {
    let psql = format!(
        "exec setpriv --reuid=postgres --regid=postgres --init-groups psql -h /var/run/postgresql -d postgres -Atqc \"{sql}\""
    );
    node.exec(&["sh", "-c", &psql]).await
}

async fn wait_until(monitor: &Node, sql: &str, answer: &str) -> Done<()> {
    let begin = Instant::now();
    let psql = [
        "psql",
        "-h",
        "127.0.0.1",
        "-U",
        "autoctl_node",
        "-d",
        "pg_auto_failover",
        "-Atc",
        sql,
    ];
    loop {
        let asked = monitor.exec(&psql).await;
        if asked.as_ref().is_ok_and(|found| found == answer) {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("{} does not get ready: {asked:?}", monitor.name).into());
        }
        tokio::time::sleep(POLL).await;
    }
}
