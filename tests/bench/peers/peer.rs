//! A cluster that a peer keeps: what is asked of it, and whether it is at rest.

use std::time::{Duration, Instant};

use crate::Done;
use crate::docker::{Node, docker};
use crate::members;
use crate::meter;
use crate::sql::Address;

/// How often a product is asked how it is.
const POLL: Duration = Duration::from_millis(200);
/// How long a peer may take to be at rest again: its timeouts are up to half a minute each.
const PATIENCE: Duration = Duration::from_secs(240);

/// Which peer, with what only it needs.
pub enum Product {
    /// Patroni: the container of its etcd.
    Patroni {
        /// The container of etcd.
        etcd: Node,
    },
    /// `pg_auto_failover`: the container of its monitor.
    AutoFailover {
        /// The monitor's container.
        monitor: Node,
    },
}

/// A cluster that a peer keeps.
pub struct Peer {
    /// The product.
    pub product: Product,
    /// The members.
    pub nodes: Vec<Node>,
}

impl Peer {
    /// Where the members are reached.
    pub fn addresses(&self) -> Vec<Address> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    /// Waits until every replica streams and the product itself says that all is well.
    pub async fn settle(&self) -> Done<()> {
        let begin = Instant::now();
        loop {
            members::wait_for_streams(&self.addresses(), None).await?;
            if self.is_content().await {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("the cluster of {} does not come to rest", self.nodes[0].name).into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether the product thinks that nothing is left to do.
    async fn is_content(&self) -> bool {
        match &self.product {
            Product::Patroni { .. } => {
                let Ok(list) = self.nodes[0]
                    .exec(&["patronictl", "-c", "/cfg/patroni.yml", "list", "-f", "json"])
                    .await
                else {
                    return false;
                };
                let states = ["\"State\": \"running\"", "\"State\": \"streaming\""];
                let well: usize = states.iter().map(|state| list.matches(state).count()).sum();
                well == self.nodes.len()
            }
            Product::AutoFailover { monitor } => {
                let sql = "select count(*) from pgautofailover.node where reportedstate = goalstate \
                           and reportedstate in ('primary', 'secondary')";
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
                monitor
                    .exec(&psql)
                    .await
                    .is_ok_and(|count| count == self.nodes.len().to_string())
            }
        }
    }

    /// Asks the product to move the primary's role; returns when its command does.
    pub async fn switch_over(&self, from: usize) -> Done<()> {
        match &self.product {
            Product::Patroni { .. } => {
                let target = &self.nodes[(from + 1) % self.nodes.len()].name;
                let ask = [
                    "patronictl",
                    "-c",
                    "/cfg/patroni.yml",
                    "switchover",
                    "--candidate",
                    target,
                    "--force",
                ];
                self.nodes[from].exec(&ask).await.map(drop)
            }
            Product::AutoFailover { monitor } => {
                let ask = ["pg_autoctl", "perform", "switchover", "--pgdata", "/data/pg"];
                monitor.exec(&ask).await.map(drop)
            }
        }
    }

    /// Kills a member's container.
    pub async fn kill(&self, node: usize) -> Done<()> {
        docker(&["kill", &self.nodes[node].name]).await.map(drop)
    }

    /// Starts a member's container.
    pub async fn start(&self, node: usize) -> Done<()> {
        docker(&["start", &self.nodes[node].name]).await.map(drop)
    }

    /// What the processes that are not the database's own hold of memory, in MB.
    pub async fn controllers_mb(&self) -> Done<f64> {
        let (extra, programs): (&Node, &[&str]) = match &self.product {
            Product::Patroni { etcd } => (etcd, &["patroni", "python3", "etcd"]),
            // The monitor is a database of its own.
            Product::AutoFailover { monitor } => (monitor, &["pg_autoctl"]),
        };
        let mut total_mb = 0.0;
        for node in self.nodes.iter().chain([extra]) {
            let all = std::ptr::eq(node, extra);
            for line in docker(&["top", &node.name, "-eo", "pid,comm"]).await?.lines().skip(1) {
                let mut words = line.split_whitespace();
                let (Some(pid), Some(program)) = (words.next(), words.next()) else {
                    continue;
                };
                if all || programs.contains(&program) {
                    // One that has ended meanwhile holds nothing.
                    total_mb += meter::proportional_mb(pid.parse()?).unwrap_or_default();
                }
            }
        }
        Ok(total_mb)
    }
}
