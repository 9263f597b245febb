//! Monitoring on a real engine, with real exporters and a real Prometheus.

mod boards;
mod chain;
mod drift;
mod files;
mod provoked;
mod scrape;
mod station;
