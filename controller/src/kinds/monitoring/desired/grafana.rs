//! Grafana's container, and the files that it takes its content from (Grafana's documentation, "Provision Grafana"). Pure.

use serde_json::{Value, json};

use super::super::grafana::Content;
use super::super::monitor::GRAFANA;
use super::super::plan::View;
use super::super::{conf, content};
use super::{container, volume};
use crate::converge::Piece;
use crate::converge::files::marked;
use crate::model::container::{ContainerSpec, Escape, FileSpec, Placeholder, RunState};

/// The user of Grafana's image. Its group is root's, which all of its files belong to.
const GRAFANA_USER: &str = "472:0";
/// Tells where dashboards are; read at the start only.
const PROVIDER: &str = "provisioning/dashboards/reconciler.yaml";
/// Where dashboards are.
const DASHBOARDS: &str = "dashboards";
/// How often Grafana looks at them, in seconds. New ones go through its API as well, so this is how long one stays that has
/// no file any more.
const LOOK_SECS: u32 = 10;

/// A Grafana of our own. It reads its data source and its dashboards from files, so that it has them whether the agent runs or
/// not, and lets them be edited, so that an edit is seen, told, and put back through its API.
pub(super) fn piece(view: &View<'_>) -> Option<Piece> {
    let spec = view.monitor.spec.grafana.as_ref().filter(|spec| spec.url.is_none())?;
    let password = format!("{}/admin.password", conf::DIRECTORY);
    let provisioning = format!("{}/provisioning", conf::DIRECTORY);
    let root = format!("http://{}:{}/", view.monitor.reached_at(), spec.port);
    let env = [
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
        ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
        ("GF_PATHS_PROVISIONING", &provisioning),
        ("GF_SECURITY_ADMIN_PASSWORD__FILE", &password),
        ("GF_SECURITY_ADMIN_USER", "admin"),
        ("GF_SERVER_ROOT_URL", &root),
        ("GF_USERS_ALLOW_SIGN_UP", "false"),
    ];
    let port = (spec.port, conf::GRAFANA_PORT);
    let container = ContainerSpec {
        // Its own: it looks for the password file.
        entrypoint: vec!["/run.sh".to_owned()],
        user: GRAFANA_USER.to_owned(),
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        volume: Some(volume(view, GRAFANA)),
        mount: "/var/lib/grafana".to_owned(),
        ..container(view, GRAFANA, &spec.image, view.monitor.limits(GRAFANA), Some(port))
    };
    let secret = Placeholder {
        token: "{password}".to_owned(),
        secret: content::admin_password(view.monitor, spec),
        // It takes one at its first start only, and keeps it in its volume.
        make: view.is_grafana_new(),
        escape: Escape::None,
    };
    let file = FileSpec {
        mode: 0o600,
        secrets: vec![secret],
        ..FileSpec::plain("admin.password", "{password}".to_owned())
    };
    let mut files = provisioned(view, &content::content(view.monitor, spec));
    files.push(file);
    let mut piece = super::piece(view, GRAFANA, container, files);
    piece.delivery.owner = GRAFANA_USER.to_owned();
    piece.read_at_start = vec![PROVIDER.to_owned()];
    piece.exclusive = vec![format!("{DASHBOARDS}/")];
    piece.port_field = "spec.grafana.port";
    Some(piece)
}

/// What Grafana reads: the data source at its start, dashboards always. It finds data sources by name, and ends when one has
/// the uid under another name (`pkg/services/provisioning/datasources/datasources.go`, `provisionDataSources`): somebody who
/// renames ours would keep it from ever starting again. After a start that failed it gets none: once it runs, its API puts
/// the name right.
fn provisioned(view: &View<'_>, content: &Content) -> Vec<FileSpec> {
    let wanted = content.datasources.iter().filter(|_| !has_failed(view));
    let datasources = wanted.map(|(uid, settings)| {
        let mut fields = settings.fields(uid);
        fields["editable"] = json!(true);
        fields
    });
    let datasources: Vec<Value> = datasources.collect();
    let path = format!("{}/{DASHBOARDS}", conf::DIRECTORY);
    let providers = content.folders.iter().map(|(uid, title)| {
        json!({
            "name": "reconciler",
            "type": "file",
            "folder": title,
            "folderUid": uid,
            "allowUiUpdates": true,
            "updateIntervalSeconds": LOOK_SECS,
            "options": {"path": path},
        })
    });
    let providers: Vec<Value> = providers.collect();
    let datasources = marked(
        "provisioning/datasources/reconciler.yaml",
        &settings(&json!({"apiVersion": 1, "datasources": datasources})),
    );
    let mut files = vec![
        // Whoever adds something to it may add a secret.
        FileSpec {
            mode: 0o600,
            ..datasources
        },
        marked(PROVIDER, &settings(&json!({"apiVersion": 1, "providers": providers}))),
    ];
    let boards = content.dashboards.iter();
    files.extend(
        boards.map(|(uid, board)| FileSpec::plain(&format!("{DASHBOARDS}/{uid}.json"), board.json.to_string())),
    );
    files
}

/// Whether it does not run because it gave up by itself.
fn has_failed(view: &View<'_>) -> bool {
    let container = view.observed.objects.container(&view.monitor.container_name(GRAFANA));
    container.is_some_and(|container| container.state == RunState::Exited && container.exit_code == 1)
}

/// JSON, which is YAML. Grafana puts the environment in place of `$NAME` here, and not in dashboards.
fn settings(value: &Value) -> String {
    // A value of maps, lists and texts always serialises.
    let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
    pretty.replace('$', "$$")
}
