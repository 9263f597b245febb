//! Prometheus, Alertmanager and Grafana for what runs here.

pub mod dashboards;
pub mod grafana;
