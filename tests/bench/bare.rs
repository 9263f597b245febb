//! Two servers that no agent keeps, and the fastest switchover that a script on the host can make between them.
//!
//! It is the bar, so it leaves out what the agent has to do for safety: it proves neither that the old primary stopped
//! cleanly nor that the target has everything, writes nothing down, and moves no third member.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Mount, MountType, NetworkCreateRequest, NetworkingConfig,
    PortBinding, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder,
};
use tokio_postgres::Client;

use crate::Done;
use crate::engine;
use crate::live::free_ports;
use crate::place::{LABEL, Place};
use crate::sql::{self, Address};

const PASSWORD: &str = "bench";
const MOUNT: &str = "/var/lib/postgresql/data";
const PGDATA: &str = "/var/lib/postgresql/data/pgdata";
/// The user `postgres` of Debian's images.
const OWNER: u64 = 999;
/// How often something is asked for that is about to happen.
const POLL: Duration = Duration::from_millis(5);
/// A server that does not get there by then needs help.
const PATIENCE: Duration = Duration::from_secs(60);
/// Streams come from the network, clients with a password, as in the agent's cluster.
const HBA: &str = "local all all trust\nhost replication all samenet trust\nhost all all all scram-sha-256\n";

/// The two servers.
pub struct Pair<'a> {
    place: &'a Place,
    network: String,
    names: [String; 2],
    addresses: [Address; 2],
    primary: usize,
}

impl<'a> Pair<'a> {
    /// Makes the servers: the first is the primary.
    pub async fn make(place: &'a Place) -> Done<Self> {
        Self::make_as(place, "bare").await
    }

    /// The same under another name.
    pub async fn make_as(place: &'a Place, what: &str) -> Done<Self> {
        let network_name = format!("{}-{what}", place.name);
        let names = ["a", "b"].map(|server| format!("{network_name}-{server}"));
        let network = NetworkCreateRequest {
            name: network_name.clone(),
            labels: Some(label(place)),
            ..NetworkCreateRequest::default()
        };
        place.engine.create_network(network).await?;
        let mut ports = free_ports(2)?.into_iter();
        let addresses = [(), ()].map(|()| Address {
            port: ports.next().unwrap_or_default(),
            password: PASSWORD.to_owned(),
        });
        let pair = Pair {
            place,
            network: network_name,
            names,
            addresses,
            primary: 0,
        };
        for server in 0..2 {
            pair.create(server).await?;
            engine::start(&place.engine, &pair.names[server]).await?;
            sql::connect_patiently(&pair.addresses[server]).await?;
        }
        pair.wait_for_stream().await?;
        Ok(pair)
    }

    /// Where the servers are reached.
    pub fn addresses(&self) -> Vec<Address> {
        self.addresses.to_vec()
    }

    /// A connection to the primary.
    pub async fn connect(&self) -> Done<Client> {
        sql::connect_patiently(&self.addresses[self.primary]).await
    }

    /// Moves the primary's role to the other server. Returns how long, in milliseconds, the old primary took to stop and
    /// the new one to be promoted.
    pub async fn switch_over(&mut self) -> Done<[f64; 2]> {
        let (from, to) = (self.primary, 1 - self.primary);
        let engine = &self.place.engine;
        let old = sql::connect_patiently(&self.addresses[from]).await?;
        let new = sql::connect_patiently(&self.addresses[to]).await?;
        // The shutdown's own checkpoint is then a short one.
        old.batch_execute("checkpoint").await?;
        let begin = Instant::now();
        engine::signal(engine, &self.names[from], "SIGINT").await?;
        engine::wait_for_exit(engine, &self.names[from]).await?;
        let stopped = begin.elapsed();
        new.batch_execute("select pg_promote(false)").await?;
        while new.query_one("select pg_is_in_recovery()", &[]).await?.get(0) {
            tokio::time::sleep(POLL).await;
        }
        self.primary = to;
        let promoted = begin.elapsed() - stopped;
        Ok([stopped, promoted].map(|part| part.as_secs_f64() * 1e3))
    }

    /// Kills a server and starts it at once.
    pub async fn kill_and_start(&self, server: usize) -> Done<()> {
        engine::signal(&self.place.engine, &self.names[server], "SIGKILL").await?;
        engine::start(&self.place.engine, &self.names[server]).await
    }

    /// Has the old primary follow the new one.
    pub async fn restore(&self) -> Done<()> {
        let old = &self.names[1 - self.primary];
        self.upload(old, PGDATA, &[("standby.signal", "")]).await?;
        engine::start(&self.place.engine, old).await?;
        self.wait_for_stream().await?;
        // Until then the new primary's control file names the old timeline.
        self.connect().await?.batch_execute("checkpoint").await?;
        Ok(())
    }

    /// Takes everything from the standby and seeds it again. Returns how long the seeding took, in milliseconds.
    pub async fn reseed(&self) -> Done<f64> {
        let standby = 1 - self.primary;
        let (engine, name) = (&self.place.engine, &self.names[standby]);
        let forced = RemoveContainerOptionsBuilder::new().force(true).build();
        engine.remove_container(name, Some(forced)).await?;
        engine.remove_volume(name, None::<RemoveVolumeOptions>).await?;
        self.connect().await?.batch_execute("checkpoint").await?;
        let begin = Instant::now();
        self.create(standby).await?;
        engine::start(engine, name).await?;
        self.wait_for_stream().await?;
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    }

    async fn wait_for_stream(&self) -> Done<()> {
        let primary = self.connect().await?;
        let begin = Instant::now();
        while sql::stream(&primary, &self.names[1 - self.primary]).await?.is_none() {
            if begin.elapsed() > PATIENCE {
                return Err("the bare standby does not stream".into());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn create(&self, server: usize) -> Done<()> {
        let (name, other) = (&self.names[server], &self.names[1 - server]);
        let volume = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(label(self.place)),
            ..VolumeCreateRequest::default()
        };
        self.place.engine.create_volume(volume).await?;
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let seed = (server > 0).then_some(other.as_str());
        let body = self.body(server, seed);
        self.place.engine.create_container(Some(options), body).await?;
        let conf = configuration(name, other);
        let files = [
            ("start", include_str!("script.sh")),
            ("pg_hba.conf", HBA),
            ("password", PASSWORD),
            ("postgresql.conf", conf.as_str()),
        ];
        self.upload(name, "/etc/bench", &files).await
    }

    fn body(&self, server: usize, seed: Option<&str>) -> ContainerCreateBody {
        let network = self.network.clone();
        let binding = PortBinding {
            host_ip: Some("127.0.0.1".to_owned()),
            host_port: Some(self.addresses[server].port.to_string()),
        };
        let mount = Mount {
            typ: Some(MountType::VOLUME),
            source: Some(self.names[server].clone()),
            target: Some(MOUNT.to_owned()),
            ..Mount::default()
        };
        ContainerCreateBody {
            image: Some("postgres:17".to_owned()),
            user: Some("postgres".to_owned()),
            entrypoint: Some(vec!["/bin/sh".to_owned(), "/etc/bench/start".to_owned()]),
            cmd: Some(Vec::new()),
            env: Some(vec![
                format!("PGDATA={PGDATA}"),
                format!("SEED={}", seed.unwrap_or_default()),
            ]),
            labels: Some(label(self.place)),
            exposed_ports: Some(vec!["5432/tcp".to_owned()]),
            host_config: Some(HostConfig {
                network_mode: Some(network.clone()),
                mounts: Some(vec![mount]),
                port_bindings: Some([("5432/tcp".to_owned(), Some(vec![binding]))].into()),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some([(network, EndpointSettings::default())].into()),
            }),
            ..ContainerCreateBody::default()
        }
    }

    async fn upload(&self, container: &str, directory: &str, files: &[(&str, &str)]) -> Done<()> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_uid(OWNER);
            header.set_gid(OWNER);
            header.set_mtime(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
            let path = format!("{}/{name}", directory.trim_start_matches('/'));
            builder.append_data(&mut header, path, text.as_bytes())?;
        }
        let body = bollard::body_full(builder.into_inner()?.into());
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let uploaded = self.place.engine.upload_to_container(container, Some(options), body);
        Ok(uploaded.await?)
    }
}

fn label(place: &Place) -> HashMap<String, String> {
    HashMap::from([(LABEL.to_owned(), place.name.clone())])
}

/// The quickstart's values. Each server names the other as the one to follow, which counts only while it is a standby.
fn configuration(name: &str, other: &str) -> String {
    format!(
        "listen_addresses = '*'\n\
         wal_level = replica\n\
         max_wal_senders = 10\n\
         shared_buffers = 256MB\n\
         wal_keep_size = 1GB\n\
         hot_standby = on\n\
         max_connections = 100\n\
         shared_preload_libraries = pg_stat_statements\n\
         log_min_duration_statement = 100\n\
         wal_retrieve_retry_interval = 100ms\n\
         primary_conninfo = 'host={other} user=postgres application_name={name}'\n"
    )
}
