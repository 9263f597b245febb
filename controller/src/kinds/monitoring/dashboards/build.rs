//! Dashboards: variables, rows of panels, and where each panel goes.

use serde_json::{Value, json};

use super::panel::{Panel, Query};
use super::{Expression, Source};
use crate::model::grafana::TAG;

/// The data source that is chosen at the top of a dashboard.
pub(super) const DATASOURCE: &str = "${datasource}";
/// What Grafana 9.0 writes; later ones know how to read it.
const SCHEMA_VERSION: u32 = 36;
/// Columns of the grid.
pub(super) const COLUMNS: u32 = 24;
/// The ids of rows begin here; those of panels are below.
const ROW_IDS: u32 = 1000;

/// A dashboard that is being put together.
#[derive(Debug, Clone)]
pub(super) struct Dashboard {
    pub uid: &'static str,
    pub title: &'static str,
    about: &'static str,
    tag: &'static str,
    variables: Vec<Variable>,
    rows: Vec<(&'static str, Vec<Panel>)>,
}

/// A choice at the top of a dashboard: values of a label, all of them unless somebody chooses.
#[derive(Debug, Clone)]
struct Variable {
    name: &'static str,
    label: &'static str,
    query: &'static str,
}

impl Dashboard {
    pub fn new(uid: &'static str, title: &'static str, tag: &'static str) -> Self {
        Dashboard {
            uid,
            title,
            about: "",
            tag,
            variables: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// What it tells.
    pub fn about(self, about: &'static str) -> Self {
        Dashboard { about, ..self }
    }

    /// A choice: its name, its label, and the query of its values.
    pub fn choose(mut self, name: &'static str, label: &'static str, query: &'static str) -> Self {
        self.variables.push(Variable { name, label, query });
        self
    }

    /// A row of panels, from left to right and down.
    pub fn row(mut self, title: &'static str, panels: Vec<Panel>) -> Self {
        self.rows.push((title, panels));
        self
    }

    pub fn expressions(&self) -> Vec<Expression> {
        let panels = self.rows.iter().flat_map(|(_, panels)| panels);
        let asked = panels.flat_map(|panel| panel.queries.iter().map(move |query| (panel, query)));
        let expression = |(panel, query): (&Panel, &Query)| Expression {
            board: self.uid,
            panel: panel.title,
            expr: query.expr.clone(),
            empty_when_healthy: query.is_rare,
        };
        asked.map(expression).collect()
    }

    pub fn json(&self, source: &Source) -> Value {
        let chosen = self.variables.iter().map(Variable::json);
        let variables: Vec<Value> = std::iter::once(choose_source(source)).chain(chosen).collect();
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": [TAG, self.tag],
            "schemaVersion": SCHEMA_VERSION,
            "editable": true,
            "graphTooltip": 1,
            "timezone": "browser",
            "time": {"from": "now-1h", "to": "now"},
            "refresh": "30s",
            "templating": {"list": variables},
            "annotations": {"list": []},
            "links": [{
                "type": "dashboards", "title": "Dashboards", "tags": [TAG], "asDropdown": true, "includeVars": true,
                "keepTime": true, "targetBlank": false, "icon": "external link", "tooltip": "", "url": "",
            }],
            "panels": self.panels(),
        })
    }

    fn panels(&self) -> Vec<Value> {
        let mut placed = Vec::new();
        let mut y = 0;
        for (id, (title, panels)) in (ROW_IDS..).zip(&self.rows) {
            placed.push(json!({
                "id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
            }));
            y = place(panels, y + 1, &mut placed);
        }
        placed
    }
}

/// Places panels from left to right, in lines as high as their highest; returns where the next line begins.
fn place(panels: &[Panel], top: u32, placed: &mut Vec<Value>) -> u32 {
    let (mut x, mut y, mut highest) = (0, top, 0);
    for panel in panels {
        if x + panel.width > COLUMNS {
            (x, y, highest) = (0, y + highest, 0);
        }
        placed.push(panel.json(x, y));
        x += panel.width;
        highest = highest.max(panel.height);
    }
    y + highest
}

fn choose_source(source: &Source) -> Value {
    json!({
        "type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "regex": "", "hide": 0,
        "refresh": 1, "includeAll": false, "multi": false, "skipUrlSync": false, "options": [],
        "current": {"selected": false, "text": source.name, "value": source.uid},
    })
}

impl Variable {
    fn json(&self) -> Value {
        json!({
            "type": "query", "name": self.name, "label": self.label,
            "datasource": {"type": "prometheus", "uid": DATASOURCE},
            "query": {"query": self.query, "refId": self.name},
            "regex": "", "hide": 0, "refresh": 2, "sort": 1, "skipUrlSync": false, "options": [],
            "includeAll": true, "multi": true, "allValue": ".*",
            "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        })
    }
}
