//! Hears of edits. An event is only ever a hint: it makes the manifests be read again, and their content decides.
//! Beside the hints there is a slow round of its own, because a symlink that is swapped, a directory that is mounted
//! over and some network file systems raise none.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use super::Agent;
use crate::host::{Reads, Writes};
use crate::manifest::load::fingerprint;

/// Editors write in several steps: silence of this length ends a burst.
const QUIET: Duration = Duration::from_millis(15);
/// A burst that does not end is looked at all the same.
const LONGEST_BURST: Duration = Duration::from_millis(100);
/// The slow round.
const ROUND: Duration = Duration::from_secs(2);

impl<H: Reads + Writes + Debug + 'static> Agent<H> {
    /// Reads the manifests whenever they changed, for ever.
    pub async fn watch(self: Rc<Self>) {
        let (hint, mut hints) = unbounded_channel();
        let mut watcher = Ears::new(hint);
        let mut last = fingerprint(&self.paths, &[]);
        let mut folders = self.rescan();
        watcher.listen(&self.paths, &folders);
        loop {
            if timeout(ROUND, hints.recv()).await.is_ok() {
                end_of_burst(&mut hints).await;
            }
            let next = fingerprint(&self.paths, &folders);
            if next == last {
                continue;
            }
            last = next;
            debug!("the manifests changed");
            folders = self.rescan();
            // What was watched may have been replaced by another directory of the same name.
            watcher.listen(&self.paths, &folders);
        }
    }
}

async fn end_of_burst(hints: &mut UnboundedReceiver<()>) {
    let end = Instant::now() + LONGEST_BURST;
    while let Ok(Ok(Some(()))) = timeout_at(end, timeout(QUIET, hints.recv())).await {}
}

/// The watcher, or none where the kernel gives none: then the slow round has to do.
struct Ears {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Ears {
    fn new(hint: UnboundedSender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading is an event too, and we read.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = hint.send(());
            }
        });
        let watcher = watcher
            .inspect_err(|error| warn!(%error, "edits are noticed every {} s only", ROUND.as_secs()))
            .ok();
        Ears {
            watcher,
            watched: BTreeSet::new(),
        }
    }

    fn listen(&mut self, paths: &[PathBuf], folders: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for path in std::mem::take(&mut self.watched) {
            let _ = watcher.unwatch(&path);
        }
        for path in paths.iter().chain(folders) {
            // A watch on a file is blind after an editor's rename, so its directory is watched; of a directory the
            // parent too, for when it is replaced as a whole.
            let parent = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            for dir in [path.as_path(), parent] {
                if dir.is_dir() && watcher.watch(dir, RecursiveMode::NonRecursive).is_ok() {
                    self.watched.insert(dir.to_owned());
                }
            }
        }
    }
}
