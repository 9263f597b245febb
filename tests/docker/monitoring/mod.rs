//! Monitoring on a real engine, with real exporters and a real Prometheus.

mod drift;
mod files;
mod scrape;
mod station;
