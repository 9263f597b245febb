//! What happened, counted.

use std::fmt::Write as _;

use crate::Done;
use crate::fault::Story;
use crate::host::Host;
use crate::verdict::Verdict;
use crate::writer::Notes;

/// A client's gap that is longer than this is an outage, in seconds: everything else is a slow moment of the machine.
const OUTAGE_S: f64 = 0.25;
/// What the agent did, by the words of its steps.
const STEPS: [(&str, &str); 6] = [
    ("changes of the primary", " is the primary, because"),
    ("re-seeds", "gets a new volume in place of"),
    ("containers started", ": start container"),
    ("containers made", ": create container"),
    ("containers stopped or killed by the agent", ": stop container"),
    ("volumes removed by the agent", ": remove volume"),
];
/// The text of the line before every step of a plan.
const STEP: &str = "taking a step";

/// The report.
pub fn report(host: &Host, story: &Story, written: &[Notes], verdict: &Verdict) -> Done<String> {
    let mut text = String::from("\nfaults\n");
    for (fault, count) in &story.faults {
        let _ = writeln!(text, "  {count:5}  {fault:?}");
    }
    let _ = writeln!(
        text,
        "  {:5}  in total\n\nwhat the agent did",
        story.faults.values().sum::<usize>()
    );
    let log = host.log()?;
    for (what, words) in STEPS {
        let count = log
            .lines()
            .filter(|line| line.contains(STEP) && line.contains(words))
            .count();
        let _ = writeln!(text, "  {count:5}  {what}");
    }
    let ready = Distribution::of(story.recovered.clone());
    let _ = writeln!(
        text,
        "  until all was ready, where the next fault waited for it: {ready}"
    );
    for ((cluster, ..), ended) in &story.ended {
        if ended.is_lossy() || !ended.succeeded {
            let _ = writeln!(
                text,
                "  {cluster}: {} (lost bytes: {:?})",
                ended.message, ended.lost_bytes
            );
        }
    }
    let _ = writeln!(text, "\nwhat the clients saw");
    for (notes, (_, lost)) in written.iter().zip(&verdict.lost) {
        let gaps = notes
            .acknowledged
            .windows(2)
            .map(|pair| (pair[1].1 - pair[0].1).as_secs_f64());
        let outages = Distribution::of(gaps.filter(|gap| *gap > OUTAGE_S).collect());
        let _ = writeln!(
            text,
            "  {}: {} writes acknowledged, {} lost; outages over {:.0} ms: {outages}",
            notes.cluster,
            notes.acknowledged.len(),
            lost.len(),
            OUTAGE_S * 1e3
        );
    }
    let _ = writeln!(text);
    for violation in verdict.violations() {
        let _ = writeln!(text, "VIOLATION  {violation}");
    }
    if verdict.holds() {
        let _ = writeln!(text, "everything holds");
    }
    Ok(text)
}

/// Times in seconds.
struct Distribution(Vec<f64>);

impl Distribution {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Distribution(times)
    }
}

impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0.get(self.0.len() / 2), self.0.last()) {
            (Some(median), Some(worst)) => {
                write!(f, "{}, median {median:.2} s, worst {worst:.2} s", self.0.len())
            }
            _ => write!(f, "none"),
        }
    }
}
