//! A dashboard file is saved: how long until Grafana holds it, beside a script that sends it there itself.

use std::fs;
use std::time::{Duration, Instant};

use reconciler::host::http::{Call, Credentials, Http, Method};
use serde_json::{Value, json};

use crate::Done;
use crate::live::{Live, free_ports};
use crate::place::LABEL;
use crate::table::{Limit, Samples, Table};

/// From the save until Grafana holds it, in milliseconds.
const HELD_MS: f64 = 1000.0;
const POLL: Duration = Duration::from_millis(5);
/// How long Grafana may take to start, and a dashboard to arrive, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// One request to Grafana.
const DEADLINE: Duration = Duration::from_secs(5);

/// Saves again and again.
pub async fn run(live: &Live<'_>) -> Done<Table> {
    let cluster = fs::read_to_string(live.place.manifest())?;
    let grafana = Grafana::start(live, &cluster).await?;
    let (mut file, mut script) = (Samples::default(), Samples::default());
    for round in 0..live.rounds(20) {
        // A save comes at any moment between two passes.
        tokio::time::sleep(Duration::from_millis(200 + 37 * round as u64)).await;
        let title = format!("Orders {round}");
        let begin = Instant::now();
        save(live, &board("kept", &title))?;
        file.push(grafana.holds("kept", &title, begin).await?);
        grafana.settle(live).await?;
        let begin = Instant::now();
        grafana.send(&board("sent", &title)).await?;
        script.push(grafana.holds("sent", &title, begin).await?);
    }
    save_as(live, "bench.yaml", &cluster)?;
    live.settle().await?;
    let mut table = Table::new("dashboard: a file beside the manifest is saved");
    table.row("sent by a script", &script, "ms", Limit::None);
    table.row("save -> Grafana holds it", &file, "ms", Limit::Most(HELD_MS));
    Ok(table)
}

fn board(uid: &str, title: &str) -> Value {
    let panel = json!({"id": 1, "type": "stat", "title": "Up", "targets": [{"refId": "A", "expr": "up"}]});
    json!({"uid": uid, "title": title, "panels": [panel], "schemaVersion": 39})
}

fn save(live: &Live<'_>, board: &Value) -> Done<()> {
    save_as(live, "boards/kept.json", &board.to_string())
}

/// Writes a file in the manifest's directory as editors do: a new one beside it, then a rename.
fn save_as(live: &Live<'_>, name: &str, text: &str) -> Done<()> {
    let directory = live.place.manifest();
    let path = directory.parent().ok_or("the manifest has no directory")?.join(name);
    fs::create_dir_all(path.parent().ok_or("a file is in a directory")?)?;
    fs::write(path.with_extension("new"), text)?;
    Ok(fs::rename(path.with_extension("new"), path)?)
}

/// The Grafana of a monitoring resource beside the cluster.
struct Grafana {
    name: String,
    url: String,
    admin: Credentials,
    http: Http,
}

impl Grafana {
    async fn start(live: &Live<'_>, cluster: &str) -> Done<Self> {
        let name = format!("{}-mon", live.place.name);
        let ports: Vec<u16> = free_ports(2)?.into_iter().collect();
        let (of_prometheus, of_grafana) = (ports[0], ports[1]);
        save(live, &board("kept", "Orders"))?;
        // No cluster has the label: there is nothing to export.
        let monitoring = json!({
            "apiVersion": "reconciler.dev/v1alpha1",
            "kind": "Monitoring",
            "metadata": {"name": name},
            "spec": {
                "clusterSelector": {"monitored": "no"},
                "prometheus": {"port": of_prometheus},
                "grafana": {"port": of_grafana, "dashboards": "boards"},
                "labels": {LABEL: live.place.name},
            },
        });
        save_as(live, "bench.yaml", &format!("{cluster}---\n{monitoring}\n"))?;
        let mut grafana = Grafana {
            url: format!("http://127.0.0.1:{of_grafana}"),
            admin: Credentials::None,
            http: Http::new(),
            name,
        };
        grafana.settle(live).await?;
        let password = live
            .place
            .state_dir()
            .join("secrets/Monitoring")
            .join(&grafana.name)
            .join("grafana");
        grafana.admin = Credentials::Basic("admin".to_owned(), fs::read_to_string(password)?.trim().to_owned());
        Ok(grafana)
    }

    /// Waits until nothing is left to do.
    async fn settle(&self, live: &Live<'_>) -> Done<()> {
        let begin = Instant::now();
        loop {
            let seen = live.client.resource(Some(&self.name), true).await;
            let conditions = seen.iter().flat_map(|seen| &seen.status.conditions);
            let is_held = conditions
                .filter(|one| one.kind == "GrafanaInSync")
                .any(|one| one.is_true());
            if is_held
                && seen
                    .as_ref()
                    .is_ok_and(|seen| seen.status.observed_generation == seen.generation)
            {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                let now = seen.map(|seen| format!("{:?}", seen.status.conditions));
                return Err(format!("the monitoring does not get ready: {now:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Milliseconds from `begin` until a dashboard has a title.
    async fn holds(&self, uid: &str, title: &str, begin: Instant) -> Done<f64> {
        let url = format!("{}/api/dashboards/uid/{uid}", self.url);
        loop {
            let answer = self.http.call(&Call::get(&url, &self.admin, DEADLINE)).await;
            if answer.is_ok_and(|answer| answer["dashboard"]["title"] == title) {
                return Ok(begin.elapsed().as_secs_f64() * 1e3);
            }
            if begin.elapsed() > PATIENCE {
                return Err("a dashboard did not arrive".into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What a script does with a dashboard.
    async fn send(&self, board: &Value) -> Done<()> {
        let url = format!("{}/api/dashboards/db", self.url);
        let body = json!({"dashboard": board, "overwrite": true});
        let call = Call {
            method: Method::Post,
            body: Some(&body),
            ..Call::get(&url, &self.admin, DEADLINE)
        };
        let answer = self.http.call(&call).await;
        answer.map(drop).map_err(|trouble| trouble.words(&self.admin).into())
    }
}
