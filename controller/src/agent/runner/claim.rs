//! Whose a resource is. Before anything is done to it, this agent has to hold its claim on the engine: an agent that finds
//! somebody else's does nothing but say so. A claim that vanished is made again; of what is not known nothing is made.
//! What an agent remembers is of use only while nobody else has acted: when a claim was another's in between, it is forgotten
//! and derived anew from the world.

use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{Declared, FailureKind, HostError, Inner, Kind, Plan, Reads, State, Writes, random_hex, wanted};
use crate::model::claim::{self, Claim, Claimant, Liveness};
use crate::model::plan::EngineOp;
use crate::model::status::{READY, Status, condition};
use crate::store::HeldClaim;

/// The reason of conditions while another agent has the resource.
pub const HELD_BY_ANOTHER: &str = "HeldByAnotherAgent";
/// How long a look at the claim counts. Whoever acts later looks again.
const FRESH: Duration = Duration::from_secs(2);
/// How often a claim is read back that somebody else is changing.
const TRIES: u32 = 3;

/// Whether this agent may act on a resource.
#[derive(Debug, Default)]
pub(super) enum Standing {
    /// It was not looked at yet.
    #[default]
    Unknown,
    /// The claim is this agent's, and was seen then.
    Held(Instant),
    /// It is not, and this is why and whose it is.
    Refused(String, Option<Box<Claim>>),
}

impl<K: Kind, H: Reads + Writes + Debug + 'static> Inner<K, H> {
    /// Whether this agent has the resource. Makes the claim where there is none, and takes it where its holder is gone for
    /// good.
    pub(super) async fn stand(self: &Rc<Self>) -> Result<bool, HostError> {
        if matches!(self.state.borrow().standing, Standing::Held(_)) {
            return Ok(true);
        }
        for _ in 0..TRIES {
            let begin = Instant::now();
            let found = self.shared.host.volume_labels(&self.claim_name()).await?;
            let Some(found) = found else {
                if let Some(why) = self.former_holder_lives().await {
                    return Ok(self.refuse(why, None));
                }
                self.make_claim(false).await?;
                continue;
            };
            let Some(claim) = Claim::read(&found) else {
                let name = self.claim_name();
                let why = format!(
                    "volume {name} is in the place of its claim, and was not made for that; \
                     remove it (`docker volume rm {name}`)"
                );
                return Ok(self.refuse(why, None));
            };
            let me = self.me().await;
            if me.is(&claim.holder) && claim.uid == self.state.borrow().record.uid {
                let mounts = me.mounts.clone();
                let as_it_was = Claimant {
                    mounts,
                    ..claim.holder.clone()
                };
                if me != as_it_was {
                    // It was moved: others have to find it where it is now.
                    self.replace_claim(false).await?;
                    continue;
                }
                self.hold(&claim, begin)?;
                return Ok(true);
            }
            let (liveness, _restraint) = self.shared.host.agent(&me, &claim, self.name()).await;
            if liveness == Liveness::Gone || me.is(&claim.holder) {
                let text = format!("{} had it, and its state directory is lost", claim.holder.shown());
                self.take_from(&claim, &text).await?;
                continue;
            }
            let why = self.why_refused(&claim, &liveness);
            self.disown(&claim)?;
            return Ok(self.refuse(why, Some(claim)));
        }
        let why = "somebody else changes its claim at the same time";
        Err(HostError::new(
            FailureKind::Conflict,
            format!("claim {}", self.key.1),
            why,
        ))
    }

    /// What a look saw of the claim. Whether nothing may be done on account of this look.
    pub(super) fn claim_seen(&self, found: Option<&crate::model::container::NamedObserved>, begin: Instant) -> bool {
        let mut state = self.state.borrow_mut();
        let token = state.record.claim.as_ref().map(|held| held.token.clone());
        let seen = found.and_then(|volume| Claim::read(&volume.labels));
        if seen.is_some() && seen.map(|claim| claim.token) == token {
            state.standing = Standing::Held(begin);
            return true;
        }
        state.standing = Standing::Unknown;
        drop(state);
        self.shared.queue.wake(&self.key, Duration::ZERO);
        false
    }

    /// Whether a step may be taken now. A chain may take minutes, and its claim may have changed hands meanwhile, or its
    /// document have gone.
    pub(super) async fn may_act(&self, was_orphaned: bool) -> Result<(), HostError> {
        let refused = |why: &str| HostError::new(FailureKind::Conflict, format!("act on {}", self.key.1), why);
        if !was_orphaned && self.state.borrow().declared == Declared::Orphaned {
            return Err(refused("no manifest declares it any more"));
        }
        let held = {
            let state = self.state.borrow();
            match &state.standing {
                Standing::Held(at) if at.elapsed() < FRESH => return Ok(()),
                Standing::Held(_) => state.record.claim.clone(),
                Standing::Unknown | Standing::Refused(..) => None,
            }
        };
        let begin = Instant::now();
        let found = self.shared.host.volume_labels(&self.claim_name()).await?;
        let found = found.as_ref().and_then(Claim::read).map(|claim| claim.token);
        let mut state = self.state.borrow_mut();
        if held.is_some() && found == held.map(|held| held.token) {
            state.standing = Standing::Held(begin);
            return Ok(());
        }
        state.standing = Standing::Unknown;
        Err(refused("this agent does not hold its claim any more"))
    }

    /// Takes the resource from an agent that does not run, on request.
    pub(super) async fn take_over(self: &Rc<Self>, force: bool) -> Result<String, String> {
        let words = |error: HostError| error.to_string();
        let found = self
            .shared
            .host
            .volume_labels(&self.claim_name())
            .await
            .map_err(words)?;
        let claim = found.as_ref().and_then(Claim::read);
        let me = self.me().await;
        let Some(claim) = claim.filter(|claim| !me.is(&claim.holder)) else {
            self.shared.queue.wake(&self.key, Duration::ZERO);
            return Ok("no other agent has it".to_owned());
        };
        let (liveness, restraint) = self.shared.host.agent(&me, &claim, self.name()).await;
        let holder = claim.holder.shown();
        match liveness {
            Liveness::Alive(why) => return Err(format!("{holder} runs ({why}); end it first")),
            Liveness::Unseen(why) if !force => {
                return Err(format!(
                    "whether {holder} runs cannot be seen from here: {why}. \
                     End it there, then repeat this with --force"
                ));
            }
            Liveness::Unseen(_) | Liveness::Stopped | Liveness::Gone => {}
        }
        let text = format!("{holder} had it; it was taken over on request");
        self.take_from(&claim, &text).await.map_err(words)?;
        drop(restraint);
        self.shared.queue.wake(&self.key, Duration::ZERO);
        Ok(format!("taken over from {holder}"))
    }

    /// Gives the claim up: the last step of a deletion.
    pub(super) async fn release(&self) -> Result<(), HostError> {
        let remove = EngineOp::RemoveVolume(self.claim_name());
        self.shared.host.engine(&remove).await
    }

    /// Another agent's claim becomes this one's. What this one remembers is from before.
    async fn take_from(&self, claim: &Claim, text: &str) -> Result<(), HostError> {
        {
            let mut state = self.state.borrow_mut();
            // The objects carry this uid, whatever this agent called the resource.
            state.record.uid.clone_from(&claim.uid);
            state.record.deleting = None;
            state.forget();
            state.wanted = wanted::<K>(&state.record);
            state.note("Warning", "TakenOver", text);
            self.save(&mut state)?;
        }
        warn!(name = self.key.1, "{text}");
        self.replace_claim(true).await
    }

    async fn replace_claim(&self, forgets: bool) -> Result<(), HostError> {
        self.release().await?;
        self.make_claim(!forgets).await
    }

    /// Makes the claim. Its number is on disk before it is on the engine.
    async fn make_claim(&self, is_known_ours: bool) -> Result<(), HostError> {
        let me = self.me().await;
        let token = random_hex()?;
        let spec = {
            let mut state = self.state.borrow_mut();
            let earlier = state.record.claim.take();
            // It was there when this agent ran last, and is not now: somebody may have had the resource meanwhile.
            let may_be_stale = earlier.is_some_and(|earlier| earlier.seen) && !is_known_ours && !state.has_held;
            if may_be_stale {
                state.forget();
                state.wanted = wanted::<K>(&state.record);
            }
            state.record.claim = Some(HeldClaim {
                token: token.clone(),
                seen: false,
            });
            self.save(&mut state)?;
            let labels = state.wanted.as_ref().map(|wanted| K::labels(wanted));
            let labels = labels.map_err(|why| HostError::new(FailureKind::Invalid, "claim it", why.clone()))?;
            let uid = state.record.uid.clone();
            let claim = Claim { token, uid, holder: me };
            claim.volume(self.name(), &labels)
        };
        match self.shared.host.engine(&EngineOp::CreateVolume(spec)).await {
            // Somebody was faster: what is there tells who.
            Err(error) if error.kind == FailureKind::Conflict => Ok(()),
            made => made,
        }
    }

    /// The claim on the engine is this agent's.
    fn hold(&self, claim: &Claim, seen_at: Instant) -> Result<(), HostError> {
        let mut state = self.state.borrow_mut();
        let known = state.record.claim.as_ref();
        if known.is_none_or(|known| known.token != claim.token) {
            // The state directory is an older one than the claim, as after a restored backup.
            state.forget();
            state.wanted = wanted::<K>(&state.record);
        }
        if state
            .record
            .claim
            .as_ref()
            .is_none_or(|known| known.token != claim.token || !known.seen)
        {
            state.record.claim = Some(HeldClaim {
                token: claim.token.clone(),
                seen: true,
            });
            self.save(&mut state)?;
        }
        state.standing = Standing::Held(seen_at);
        state.has_held = true;
        Ok(())
    }

    /// Another agent has it: what this one remembers is of no use any more, unless nobody has claimed it since.
    fn disown(&self, claim: &Claim) -> Result<(), HostError> {
        let mut state = self.state.borrow_mut();
        let is_last = state
            .record
            .claim
            .as_ref()
            .is_some_and(|held| held.token == claim.token);
        if is_last || state.record.claim.is_none() && state.record.memory.is_null() {
            return Ok(());
        }
        state.forget();
        state.record.deleting = None;
        state.record.claim = None;
        self.save(&mut state)
    }

    /// The claim is gone, and the agent that had it a moment ago runs: it will make it again.
    async fn former_holder_lives(&self) -> Option<String> {
        let former = match &self.state.borrow().standing {
            Standing::Refused(_, Some(claim)) => (**claim).clone(),
            Standing::Unknown | Standing::Held(_) | Standing::Refused(_, None) => return None,
        };
        let me = self.me().await;
        let (liveness, _restraint) = self.shared.host.agent(&me, &former, self.name()).await;
        matches!(liveness, Liveness::Alive(_)).then(|| self.why_refused(&former, &liveness))
    }

    fn why_refused(&self, claim: &Claim, liveness: &Liveness) -> String {
        let me = format!("{}/{}", self.key.0, self.key.1);
        let holder = claim.holder.shown();
        match liveness {
            Liveness::Alive(why) => format!(
                "{holder} has it and runs ({why}); this agent does nothing to it. Take its document away from this agent, \
                 or end the other one and give it to this one with `reconciler take-over {me}`"
            ),
            Liveness::Stopped | Liveness::Gone => format!(
                "{holder} has it and does not run; this agent does nothing to it. Start that one, or give it to this one with \
                 `reconciler take-over {me}`"
            ),
            Liveness::Unseen(why) => format!(
                "{holder} has it, and whether it runs cannot be seen from here ({why}); this agent does nothing to it. \
                 Take its document away from this agent, or end the other one and give it to this one with \
                 `reconciler take-over {me} --force`"
            ),
        }
    }

    fn refuse(&self, why: String, claim: Option<Claim>) -> bool {
        let mut state = self.state.borrow_mut();
        if !matches!(&state.standing, Standing::Refused(..)) {
            info!(name = self.key.1, "{why}");
        }
        state.standing = Standing::Refused(why.clone(), claim.map(Box::new));
        state.blind = None;
        let mut plan = Plan::default();
        plan.block(&self.key.1, HELD_BY_ANOTHER, why.clone());
        state.plan = plan;
        let status = Status {
            observed_generation: state.record.generation,
            conditions: vec![
                condition(READY, false, HELD_BY_ANOTHER, why.clone()),
                condition("Claimed", false, HELD_BY_ANOTHER, why.clone()),
            ],
            notes: vec![why],
            ..Status::default()
        };
        state.tell(status);
        false
    }

    async fn me(&self) -> Claimant {
        Claimant {
            container: self.shared.host.own_container().await.unwrap_or_default(),
            ..self.shared.store.claimant()
        }
    }

    fn claim_name(&self) -> String {
        claim::volume_name(&self.key.0, &self.key.1)
    }
}

impl<K: Kind> State<K> {
    /// Why nothing is done to it, while another agent has it.
    pub(super) fn refusal(&self) -> Option<&str> {
        match &self.standing {
            Standing::Refused(why, _) => Some(why),
            Standing::Unknown | Standing::Held(_) => None,
        }
    }

    /// What is remembered is derived anew from the world, as if the state directory had been lost.
    fn forget(&mut self) {
        self.memory = K::Memory::default();
        self.record.memory = serde_json::Value::Null;
        self.observed = Rc::default();
    }
}
