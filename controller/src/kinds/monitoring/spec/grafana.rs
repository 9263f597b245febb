//! Where people look: a Grafana of our own, or one that is there already.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Resources;
use crate::kinds::postgres::spec::PasswordFrom;

/// Where people look: a Grafana of our own, or, with `url`, one that is there already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grafana {
    /// The image, of version 9 to 12.
    #[serde(default = "image")]
    #[schemars(extend("format" = "image"))]
    pub image: String,
    /// Its port on the host.
    #[serde(default = "port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// The password of its user `admin`; generated when not named. A Grafana that has another
    /// one gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_password_from: Option<PasswordFrom>,
    /// A Grafana that is there already, instead of our own. It needs a token, and what is for our own is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["https://grafana.example.org"]))]
    pub url: Option<String>,
    /// The token of a service account of that Grafana; of an administrator, since data sources need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_from: Option<PasswordFrom>,
    /// Where that Grafana finds our Prometheus; its published port on this host when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus_url: Option<String>,
    /// The title of the folder that dashboards are in.
    #[serde(default = "folder")]
    #[schemars(length(min = 1, max = 100))]
    pub folder: String,
    /// A folder with dashboards of your own (`*.json`, as Grafana exports them), relative to the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dashboards: Option<String>,
    /// What it may use of the host.
    #[serde(default)]
    pub resources: Resources,
}

fn image() -> String {
    "grafana/grafana:11.6.0".to_owned()
}

fn port() -> u16 {
    3000
}

fn folder() -> String {
    "Reconciler".to_owned()
}
