//! Samples and the tables that they are printed in.

use std::fmt;

/// What the columns mean; printed once, above all tables.
pub const LEGEND: &str = "measured: median (worst, number of rounds). limit: the most that the median may be, or how many \
                          times its base. ratio: the median over the limit, or over its base.\n";

/// Measurements of one thing.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// None yet.
    pub const fn new() -> Self {
        Samples(Vec::new())
    }

    /// Takes one more.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value in the middle; of an even number, the lower of the two.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len().saturating_sub(1) / 2;
        sorted.get(middle).copied().unwrap_or(f64::NAN)
    }

    /// The greatest.
    pub fn worst(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::max)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Samples(values.into_iter().collect())
    }
}

/// What a measurement is held against.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// Nothing: it explains another figure.
    None,
    /// A figure.
    Most(f64),
    /// So many times another measurement of the same run: first the factor, then the measurement.
    Times(f64, f64),
    /// Nothing, but how many times another measurement of the same run it is is worth knowing.
    Beside(f64),
}

/// The figures of one section.
#[derive(Debug)]
pub struct Table {
    title: String,
    rows: Vec<[String; 5]>,
}

impl Table {
    /// An empty table.
    pub fn new(title: &str) -> Self {
        Table {
            title: title.to_owned(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, what: impl Into<String>, samples: &Samples, unit: &str, limit: Limit) {
        let median = samples.median();
        let measured = format!(
            "{} {unit} ({}, {})",
            short(median),
            short(samples.worst()),
            samples.0.len()
        );
        let none = || "-".to_owned();
        let (limit, ratio, verdict) = match limit {
            Limit::None => (none(), none(), none()),
            Limit::Most(most) => {
                // Nothing of nothing allowed is no ratio.
                let ratio = if most > 0.0 { short(median / most) } else { none() };
                (format!("{} {unit}", short(most)), ratio, verdict(median <= most))
            }
            Limit::Times(factor, base) => (
                format!("{} x {} {unit}", short(factor), short(base)),
                short(median / base),
                verdict(median <= factor * base),
            ),
            Limit::Beside(base) => (none(), short(median / base), none()),
        };
        self.rows.push([what.into(), measured, limit, ratio, verdict]);
    }

    /// Adds a row for what was measured once.
    pub fn once(&mut self, what: impl Into<String>, value: f64, unit: &str, limit: Limit) {
        self.row(what, &Samples(vec![value]), unit, limit);
    }
}

fn verdict(holds: bool) -> String {
    if holds { "ok" } else { "over" }.to_owned()
}

/// Three digits are more than a shared machine can promise.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        small if small < 1.0 => 3,
        middle if middle < 10.0 => 2,
        large if large < 1000.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "measured", "limit", "ratio", "verdict"].map(str::to_owned);
        let width = |column: usize| {
            let cells = std::iter::once(&head).chain(&self.rows);
            cells.map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths = [0, 1, 2, 3, 4].map(width);
        let rule = widths.map(|width| "-".repeat(width));
        writeln!(f, "## {}\n", self.title)?;
        for row in [&head, &rule].into_iter().chain(&self.rows) {
            for (cell, width) in row.iter().zip(widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}
