//! What happened, for people: one line a happening, with its time and who did it. What the agent logs is told too: its
//! steps with their causes, and what failed. A run that is not told costs nothing.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

thread_local! {
    /// The lines of the story that is being told in this thread. A log reaches its listener through no other way.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A story, or none.
#[derive(Debug, Default)]
pub struct Story {
    is_told: bool,
}

impl Story {
    /// A story; empty if nobody is told.
    pub fn new(is_told: bool) -> Self {
        LINES.with_borrow_mut(Vec::clear);
        Story { is_told }
    }

    /// Adds a line.
    pub fn tell(&mut self, now: u64, actor: &str, text: impl FnOnce() -> String) {
        if self.is_told {
            add(now, actor, &text());
        }
    }

    /// The lines so far.
    pub fn take(&mut self) -> Vec<String> {
        LINES.take()
    }
}

fn add(now: u64, actor: &str, text: &str) {
    let (seconds, millis) = (now / 1000, now % 1000);
    LINES.with_borrow_mut(|lines| lines.push(format!("{seconds:>4}.{millis:03} {actor:<13} {text}")));
}

/// Listens to the agent's log in this thread, for as long as the guard lives.
pub fn listen(start: Instant) -> DefaultGuard {
    tracing::subscriber::set_default(tracing_subscriber::registry().with(Ear { start }))
}

struct Ear {
    start: Instant,
}

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !event.metadata().target().starts_with("reconciler") {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let text = match words.message.as_str() {
            // Said when it begins, and so not again when it is done.
            "taking a step" => words.step,
            "a step failed" => format!("failed: {}: {}", words.step, words.rest),
            _ if words.message.contains(", because ") => return,
            message => format!("{message} {}", words.rest).trim().to_owned(),
        };
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(0);
        add(now, "agent", &text);
    }
}

#[derive(Default)]
struct Words {
    message: String,
    step: String,
    rest: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = match field.name() {
            "message" => &mut self.message,
            "step" => &mut self.step,
            "name" => return,
            _ => &mut self.rest,
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "{value:?}");
    }
}
