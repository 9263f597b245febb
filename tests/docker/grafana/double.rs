//! A double of Grafana as a child process, and this product's client of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use reconciler::host::grafana::Grafana;
use reconciler::host::http::{Call, Credentials, Http, Method};
use reconciler::host::{GrafanaRead, GrafanaWrite, HostError, Secrets};
use reconciler::kinds::monitoring::grafana::{Board, Content, GrafanaPlan, Remembered, plan};
use reconciler::model::SecretRef;
use reconciler::model::grafana::{Datasource, GrafanaAuth, GrafanaSeen, GrafanaTarget};
use serde_json::{Value, json};
use tempfile::TempDir;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/images/grafana/server.py");
const PASSWORD: &str = "pa:ss word";
const TOKENS: &str = "glsa_admin Admin\nglsa_viewer Viewer\n";

/// The secrets of a test: each is called by what it is.
struct Named;

impl Secrets for Named {
    fn reveal(&self, secret: &SecretRef) -> Result<String, HostError> {
        match secret {
            SecretRef::Env(name) => Ok(name.clone()),
            SecretRef::File(_) | SecretRef::Generated { .. } => panic!("{secret}"),
        }
    }

    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
        self.reveal(secret).map(Some)
    }
}

/// A Grafana of a test.
pub struct Double {
    child: Child,
    pub dir: TempDir,
    version: &'static str,
    pub target: GrafanaTarget,
    grafana: Grafana,
    http: Rc<Http>,
}

impl Double {
    pub fn new() -> Self {
        Double::of("11.6.0", |_| ())
    }

    /// One of a version, whose provisioning folder was filled before.
    pub fn of(version: &'static str, fill: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokens"), TOKENS).unwrap();
        std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
        for folder in ["datasources", "dashboards"] {
            std::fs::create_dir_all(dir.path().join("provisioning").join(folder)).unwrap();
        }
        fill(&dir.path().join("provisioning"));
        let (child, url) = start(dir.path(), version);
        let http = Rc::new(Http::new());
        Double {
            child,
            dir,
            version,
            target: target(&url, PASSWORD),
            grafana: Grafana::new(Rc::new(Named), Rc::clone(&http)),
            http,
        }
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it anew, at another port.
    pub fn start(&mut self) {
        let (child, url) = start(self.dir.path(), self.version);
        self.child = child;
        self.target.url = url;
    }

    /// It, asked by a service account.
    pub fn by_token(&self, token: &str) -> GrafanaTarget {
        GrafanaTarget {
            auth: GrafanaAuth::Token(SecretRef::Env(token.to_owned())),
            ..self.target.clone()
        }
    }

    /// It, asked with another password.
    pub fn by_password(&self, password: &str) -> GrafanaTarget {
        target(&self.target.url, password)
    }

    pub async fn look(&self, kept: &Keeper) -> GrafanaSeen {
        self.look_as(&self.target, kept).await
    }

    pub async fn look_as(&self, target: &GrafanaTarget, kept: &Keeper) -> GrafanaSeen {
        let question = kept.wanted.question(&kept.remembered, true);
        self.grafana.grafana(target, &question).await
    }

    /// One pass: what was planned, and the first failure.
    pub async fn pass(&self, kept: &mut Keeper) -> (String, Option<HostError>) {
        let seen = self.look(kept).await;
        let plan = kept.plan(&seen);
        let text = plan.to_string();
        (text, self.carry_out(&plan, kept).await)
    }

    pub async fn carry_out(&self, plan: &GrafanaPlan, kept: &mut Keeper) -> Option<HostError> {
        plan.remember.iter().for_each(|one| kept.remembered.apply(one));
        let mut failure = None;
        for chain in &plan.chains {
            for step in chain {
                if let Err(error) = self.grafana.change_grafana(&self.target, &step.op).await {
                    failure.get_or_insert(error);
                    break;
                }
                step.kept.iter().for_each(|one| kept.remembered.apply(one));
            }
        }
        failure
    }

    /// A pass after which the next has nothing to do, and does nothing.
    pub async fn settle(&self, kept: &mut Keeper) -> String {
        let (text, failure) = self.pass(kept).await;
        assert_eq!(failure, None, "{text}");
        let before = self.writes().await;
        assert_eq!(self.pass(kept).await, ("nothing to do\n".to_owned(), None));
        assert_eq!(self.writes().await, before);
        text
    }

    /// What somebody else does there.
    pub async fn somebody(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.target.url);
        let credentials = Credentials::Basic("admin".to_owned(), PASSWORD.to_owned());
        let call = Call {
            method,
            body: (method != Method::Get).then_some(&body),
            ..Call::get(&url, &credentials, Duration::from_secs(5))
        };
        self.http.call(&call).await.unwrap()
    }

    /// Somebody opens a dashboard, changes it, and saves it into a folder.
    pub async fn somebody_saves(&self, uid: &str, folder: &str, change: impl FnOnce(&mut Value)) {
        let path = format!("/api/dashboards/uid/{uid}");
        let mut dashboard = self.somebody(Method::Get, &path, Value::Null).await["dashboard"].take();
        change(&mut dashboard);
        let body = json!({"dashboard": dashboard, "folderUid": folder});
        self.somebody(Method::Post, "/api/dashboards/db", body).await;
    }

    pub async fn writes(&self) -> usize {
        let writes = self.somebody(Method::Get, "/double/writes", Value::Null).await;
        writes.as_array().unwrap().len()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(dir: &Path, version: &str) -> (Child, String) {
    let mut child = Command::new("python3")
        .arg(SERVER)
        .env("GF_SERVER_HTTP_ADDR", "127.0.0.1")
        .env("GF_SERVER_HTTP_PORT", "0")
        .env("GF_SECURITY_ADMIN_PASSWORD__FILE", dir.join("password"))
        .env("GF_PATHS_DATA", dir.join("data"))
        .env("GF_PATHS_PROVISIONING", dir.join("provisioning"))
        .env("DOUBLE_TOKENS", dir.join("tokens"))
        .env("DOUBLE_VERSION", version)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    let address = line.trim().rsplit('=').next().unwrap();
    (child, format!("http://{address}"))
}

fn target(url: &str, password: &str) -> GrafanaTarget {
    GrafanaTarget {
        url: url.to_owned(),
        auth: GrafanaAuth::User {
            name: "admin".to_owned(),
            password: SecretRef::Env(password.to_owned()),
        },
    }
}

/// What is wanted and what is remembered.
pub struct Keeper {
    pub wanted: Content,
    pub remembered: Remembered,
}

impl Keeper {
    /// A data source, a folder, and two dashboards in it.
    pub fn new() -> Self {
        let board = |uid: &str, title: &str| {
            let panel = json!({"id": 1, "type": "stat", "title": "Up", "targets": [{"refId": "A", "expr": "up"}]});
            let json = json!({"uid": uid, "title": title, "tags": [], "panels": [panel]});
            (uid.to_owned(), Board::new(Some("databases"), json))
        };
        let source = Datasource {
            name: "Prometheus (db)".to_owned(),
            plugin: "prometheus".to_owned(),
            url: "http://127.0.0.1:9090".to_owned(),
            is_default: true,
            json_data: json!({"timeInterval": "15s"}),
        };
        Keeper {
            wanted: Content {
                datasources: BTreeMap::from([("reconciler".to_owned(), source)]),
                folders: BTreeMap::from([("databases".to_owned(), "Databases".to_owned())]),
                dashboards: BTreeMap::from([board("one", "One"), board("two", "Two")]),
            },
            remembered: Remembered::default(),
        }
    }

    pub fn plan(&self, seen: &GrafanaSeen) -> GrafanaPlan {
        plan(&self.wanted, seen, &self.remembered)
    }
}
