//! What is to be told of the configuration beside whether it is in force: what the next start would trip over, what waits
//! for one, what the server only remarks on.

use super::super::plan::{View, trial, values};
use crate::model::postgres::PgFacts;
use crate::model::status::{Condition, condition};

/// Conditions that are there only while there is something to tell.
pub fn warnings(view: &View<'_>) -> Vec<Condition> {
    let of = |tell: &dyn Fn(&str, &PgFacts) -> Vec<String>| {
        let members = view.members();
        let told = members.iter().filter_map(|member| {
            let found = tell(member, view.facts(member)?);
            (!found.is_empty()).then(|| format!("{member}: {}", found.join(", ")))
        });
        let told: Vec<String> = told.collect();
        (!told.is_empty()).then(|| told.join("; "))
    };
    let unsafe_next = of(&|member, _| trial::next_start(view, member).map(str::to_owned).into_iter().collect());
    let unsafe_next = unsafe_next.map(|why| condition("RestartSafe", false, "NextStartFails", why));
    let waiting = of(&|member, facts| values::of_administrators(view, member, facts));
    let waiting = waiting.map(|what| {
        let text = format!("{what}; ALTER SYSTEM set it and the manifest does not name it, so nothing is restarted for it. `reconciler restart` puts it in force");
        condition("RestartPending", true, "AlterSystem", text)
    });
    let aside = of(&|_, facts| facts.set_aside.clone());
    let aside = aside.map(|what| {
        let text = format!("{what}: a server does not start with it, or it is the agent's to set. It is kept in {} in the data directory; remove that file when it is not needed", trial::SET_ASIDE);
        condition("AlterSystemSetAside", true, "DidNotStart", text)
    });
    let remarks = of(&|_, facts| facts.conf_remarks.clone());
    let remarks = remarks.map(|what| condition("ConfigurationRemarks", true, "ServerRemarks", what));
    [unsafe_next, waiting, aside, remarks].into_iter().flatten().collect()
}
