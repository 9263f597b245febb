//! The dashboards that come with this product, as values: Grafana 9 to 12 read them. Their expressions ask what the
//! exporters of both supported generations, our own queries and the agent export.

mod agent;
mod build;
mod panel;
mod postgres;
mod redis;
mod replication;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::windows;
use build::Dashboard;

/// The data source that dashboards ask unless somebody chooses another one at their top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its uid.
    pub uid: String,
    /// Its name.
    pub name: String,
}

/// A dashboard that comes with this product.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltIn {
    /// Its uid.
    pub uid: &'static str,
    /// Its content.
    pub json: Value,
}

/// What a panel asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// The uid of the dashboard.
    pub board: &'static str,
    /// The title of the panel.
    pub panel: &'static str,
    /// The expression, with the dashboard's variables in it.
    pub expr: String,
    /// Whether it may have no answer although all is well: a cluster with a replica, and load, for some minutes.
    pub empty_when_healthy: bool,
}

impl Expression {
    /// The expression as Prometheus takes it: for all values of the variables, with rates over `window`.
    pub fn runnable(&self, window: &str) -> String {
        let with_window = self.expr.replace("$__rate_interval", window).replace("$__range", "1h");
        ["cluster", "member", "database", "server", "kind", "name"]
            .iter()
            .fold(with_window, |expr, name| {
                expr.replace(&format!("\"${name}\""), "\".*\"")
            })
    }
}

/// All dashboards, for a scrape interval.
pub fn all(source: &Source, interval_secs: u64) -> Vec<BuiltIn> {
    let built = |board: Dashboard| {
        let json = board.json(source);
        let wide = windows::widened(&json.to_string(), interval_secs);
        BuiltIn {
            uid: board.uid,
            // Only durations have changed in it, and it reads as before.
            json: serde_json::from_str(&wide).unwrap_or(json),
        }
    };
    boards().into_iter().map(built).collect()
}

/// Whether a dashboard that comes with this product has a title.
pub fn has_title(title: &str) -> bool {
    boards().iter().any(|board| board.title == title)
}

/// What all panels of all dashboards ask.
pub fn expressions() -> Vec<Expression> {
    boards().iter().flat_map(Dashboard::expressions).collect()
}

fn boards() -> Vec<Dashboard> {
    vec![postgres::board(), replication::board(), agent::board(), redis::board()]
}
