//! Panels: what they ask and how they show it.

use serde_json::{Value, json};

use super::build::DATASOURCE;

/// How a panel shows what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Lines over time.
    Graph,
    /// Lines over time, one upon the other.
    Stacked,
    /// The last value, large.
    Stat,
    /// States over time.
    Timeline,
    /// Rows and columns, now.
    Table,
}

/// What a panel asks.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub expr: String,
    legend: &'static str,
    /// Whether it may well have no answer although all is well.
    pub is_rare: bool,
}

/// A panel. Its id is written down with it, so that links to it stay right when others come and go.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    pub id: u32,
    pub title: &'static str,
    about: &'static str,
    unit: &'static str,
    look: Look,
    pub queries: Vec<Query>,
    pub width: u32,
    pub height: u32,
    steps: Vec<(&'static str, Option<f64>)>,
    names: Vec<(&'static str, &'static str, &'static str)>,
    max: Option<f64>,
    text: &'static str,
}

impl Panel {
    /// A panel: its id, what it is called, the unit of its values.
    pub fn new(look: Look, id: u32, title: &'static str, unit: &'static str) -> Self {
        let (width, height) = match look {
            Look::Graph | Look::Stacked | Look::Timeline => (12, 8),
            Look::Stat => (6, 4),
            Look::Table => (24, 9),
        };
        Panel {
            id,
            title,
            about: "",
            unit,
            look,
            queries: Vec::new(),
            width,
            height,
            steps: vec![("green", None)],
            names: Vec::new(),
            max: None,
            text: "auto",
        }
    }

    /// What it tells.
    pub fn about(self, about: &'static str) -> Self {
        Panel { about, ..self }
    }

    /// What it asks, and how each line is called.
    pub fn ask(self, expr: impl Into<String>, legend: &'static str) -> Self {
        self.asking(expr.into(), legend, false)
    }

    /// The same, where no answer may be a good answer.
    pub fn ask_rare(self, expr: impl Into<String>, legend: &'static str) -> Self {
        self.asking(expr.into(), legend, true)
    }

    fn asking(mut self, expr: String, legend: &'static str, is_rare: bool) -> Self {
        self.queries.push(Query { expr, legend, is_rare });
        self
    }

    /// Columns of 24, and rows.
    pub fn size(self, width: u32, height: u32) -> Self {
        Panel { width, height, ..self }
    }

    /// The colour from a value on.
    pub fn from(mut self, value: f64, colour: &'static str) -> Self {
        self.steps.push((colour, Some(value)));
        self
    }

    /// The colour below all others.
    pub fn base(mut self, colour: &'static str) -> Self {
        self.steps[0].0 = colour;
        self
    }

    /// The word for a value.
    pub fn name(mut self, value: &'static str, word: &'static str, colour: &'static str) -> Self {
        self.names.push((value, word, colour));
        self
    }

    /// Its names are what it tells, not its values.
    pub fn names_only(self) -> Self {
        Panel { text: "name", ..self }
    }

    /// The end of its scale.
    pub fn max(self, max: f64) -> Self {
        Panel { max: Some(max), ..self }
    }

    /// Its JSON at a place.
    pub fn json(&self, x: u32, y: u32) -> Value {
        let datasource = json!({"type": "prometheus", "uid": DATASOURCE});
        let mut panel = json!({
            "id": self.id,
            "type": self.plugin(),
            "title": self.title,
            "description": self.about,
            "datasource": datasource,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": self.defaults(), "overrides": []},
            "options": self.options(),
            "targets": self.targets(&datasource),
        });
        if self.look == Look::Table {
            panel["transformations"] = json!([
                {"id": "merge", "options": {}},
                {"id": "organize", "options": {"excludeByName": {"Time": true}, "indexByName": {}, "renameByName": {}}},
            ]);
        }
        panel
    }

    fn plugin(&self) -> &'static str {
        match self.look {
            Look::Graph | Look::Stacked => "timeseries",
            Look::Stat => "stat",
            Look::Timeline => "state-timeline",
            Look::Table => "table",
        }
    }

    fn targets(&self, datasource: &Value) -> Vec<Value> {
        let is_now = matches!(self.look, Look::Table | Look::Stat);
        let letters = ('A'..='Z').zip(&self.queries);
        let target = |(letter, query): (char, &Query)| {
            json!({
                "refId": letter.to_string(),
                "datasource": datasource,
                "editorMode": "code",
                "expr": query.expr,
                "legendFormat": query.legend,
                "format": if self.look == Look::Table { "table" } else { "time_series" },
                "instant": is_now,
                "range": !is_now,
            })
        };
        letters.map(target).collect()
    }

    fn defaults(&self) -> Value {
        let steps = self
            .steps
            .iter()
            .map(|(color, value)| json!({"color": color, "value": value}));
        let named = self.names.iter().enumerate().map(|(at, (value, text, color))| {
            ((*value).to_owned(), json!({"text": text, "color": color, "index": at}))
        });
        let named: serde_json::Map<String, Value> = named.collect();
        let mappings = match named.is_empty() {
            true => json!([]),
            false => json!([{"type": "value", "options": named}]),
        };
        let mode = if matches!(self.look, Look::Graph | Look::Stacked) {
            "palette-classic"
        } else {
            "thresholds"
        };
        let mut defaults = json!({
            "unit": self.unit,
            "color": {"mode": mode},
            "mappings": mappings,
            "thresholds": {"mode": "absolute", "steps": steps.collect::<Vec<_>>()},
            "custom": self.custom(),
        });
        if matches!(self.look, Look::Graph | Look::Stacked) {
            defaults["min"] = json!(0);
        }
        if let Some(max) = self.max {
            defaults["max"] = json!(max);
        }
        defaults
    }

    fn custom(&self) -> Value {
        let lines = |fill: u32, stacking: &str| {
            json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": fill, "showPoints": "never", "spanNulls": false,
                "stacking": {"mode": stacking, "group": "A"},
            })
        };
        match self.look {
            Look::Graph => lines(8, "none"),
            Look::Stacked => lines(40, "normal"),
            Look::Timeline => json!({"lineWidth": 0, "fillOpacity": 70}),
            Look::Stat | Look::Table => json!({}),
        }
    }

    fn options(&self) -> Value {
        let legend = json!({"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []});
        match self.look {
            Look::Graph | Look::Stacked => json!({"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}),
            Look::Timeline => json!({
                "legend": legend, "tooltip": {"mode": "single", "sort": "none"},
                "mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.9,
            }),
            Look::Stat => json!({
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                "orientation": "auto", "textMode": self.text, "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
            }),
            Look::Table => json!({"showHeader": true, "sortBy": [{"displayName": "Value", "desc": true}]}),
        }
    }
}
