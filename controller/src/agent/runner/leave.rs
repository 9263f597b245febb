//! How a resource goes.

use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{Declared, HostError, Inner, Kind, Reads, State, Writes};
use crate::host::Ask;
use crate::kinds::teardown;
use crate::kinds::undeclared::Kept;
use crate::model::container::Objects;
use crate::store::Deleting;

/// How long a stop may take when a resource is deleted, in seconds.
const TEARDOWN_GRACE_SECS: i64 = 60;

impl<K: Kind, H: Reads + Writes + Debug + 'static> Inner<K, H> {
    /// The next steps of its deletion; the claim is given up when all else is gone.
    pub(super) async fn tear_down(self: &Rc<Self>) -> Result<(), HostError> {
        let ask = Ask {
            uid: self.state.borrow().record.uid.clone(),
            ..Ask::default()
        };
        self.state.borrow_mut().begin_look();
        let begin = Instant::now();
        let objects = self.shared.host.objects(&ask).await?;
        if !self.claim_seen(objects.claim.as_ref(), begin) {
            return Ok(());
        }
        let (purge_data, is_busy) = {
            let state = self.state.borrow();
            let purge_data = state.record.deleting.is_some_and(|d| d.purge_data);
            (purge_data, !state.busy.is_empty())
        };
        let plan = teardown::plan(&objects, purge_data, TEARDOWN_GRACE_SECS);
        if plan.is_idle() && !is_busy {
            self.release().await?;
            if purge_data && let Err(error) = self.shared.secrets.purge(&self.key.0, &self.key.1) {
                warn!(%error, "generated passwords stay");
            }
            self.state.borrow_mut().is_gone = true;
            return Ok(());
        }
        self.act(plan);
        Ok(())
    }

    /// What no manifest declares is kept as it is; one that was never brought up has nothing to keep, and goes. Whether it
    /// does.
    pub(super) fn forget_unborn(&self, state: &mut State<K>, objects: &Objects) -> Result<bool, HostError> {
        let is_idle = state.busy.is_empty() && state.ended.is_empty();
        let is_there = !objects.containers.is_empty() || !objects.volumes.is_empty();
        if is_idle && !is_there && !K::has_data(&state.memory) {
            let text = "no manifest declares it any more, and it was never brought up: it is forgotten";
            info!(kind = self.key.0, name = self.key.1, "{text}");
            state.note("Normal", "Forgotten", text);
            state.record.deleting = Some(Deleting { purge_data: false });
            self.save(state)?;
            self.shared.queue.wake(&self.key, Duration::ZERO);
            return Ok(true);
        }
        if state.record.kept.is_none() {
            state.record.kept = Some(Kept::of(objects));
            self.save(state)?;
        }
        Ok(false)
    }

    /// What no manifest of this agent declares and another agent has is none of its business.
    pub(super) fn forget_anothers(&self) {
        let mut state = self.state.borrow_mut();
        if state.declared == Declared::Orphaned && state.refusal().is_some() {
            let text = "no manifest declares it any more, and another agent has it: it is forgotten here";
            info!(kind = self.key.0, name = self.key.1, "{text}");
            state.is_gone = true;
        }
    }
}
