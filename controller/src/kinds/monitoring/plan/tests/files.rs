//! Files: what is edited comes back, and what is new is read.

use super::super::super::desired;
use super::{NOW, World, on_failure};
use crate::model::Seen;
use crate::model::container::RunState;

#[test]
fn an_edited_rule_file_is_put_back_and_read_again() {
    let mut world = World::healthy();
    if let Some(Seen::Known(files)) = world.observed.files.get_mut("prometheus") {
        let text = files.get_mut("rules/ours/agent.yml").unwrap();
        text.splice(0..0, *b"# mine\n");
    }
    let plan = world.next();
    let printed = plan.to_string();
    assert!(
        printed.starts_with("prometheus: remember that prometheus has to read its files again"),
        "{printed}"
    );
    assert!(
        printed.contains("because somebody changed rules/ours/agent.yml: line 1 is `# mine`"),
        "{printed}"
    );
    assert!(plan.actions().any(|action| action.is_drift));
    world.remember();
    world.settle();
    let printed = world.next().to_string().replace(&desired::mark(&world.view()), "MARK");
    insta::assert_snapshot!(printed, @r"
    prometheus: send SIGHUP, because its files were put right
    prometheus: remember that prometheus reads its files, because it was asked to
    prometheus: remember that configuration MARK is being read, because it was asked to
    ");
}

#[test]
fn what_somebody_else_may_start_a_moment_earlier_is_told_to_read_once_it_listens() {
    let mut world = World::healthy();
    world.container("mon-prometheus").state = RunState::Exited;
    let printed = world.next().to_string();
    assert!(
        printed.starts_with("prometheus: remember that prometheus has to read its files again"),
        "{printed}"
    );
    world.remember();
    world.settle();
    world.container("mon-prometheus").started_at = NOW - 1;
    assert_eq!(
        world.next().to_string(),
        "prometheus: waiting, it has only just started\n"
    );
    for long_ago_or_by_a_clock_set_back in [NOW - 10, NOW + 10] {
        world.container("mon-prometheus").started_at = long_ago_or_by_a_clock_set_back;
        let printed = world.next().to_string();
        assert!(printed.starts_with("prometheus: send SIGHUP"), "{printed}");
    }
}

#[test]
fn a_configuration_that_is_not_the_one_that_runs_is_read_and_waited_for() {
    let mut world = World::healthy();
    world.observed.running = Seen::Known("another".to_owned());
    let printed = world.next().to_string();
    assert!(
        printed.starts_with("prometheus: send SIGHUP, because it runs another configuration"),
        "{printed}"
    );
    world.remember();
    assert_eq!(
        world.next().to_string(),
        "prometheus: waiting, it reads its configuration\n"
    );
}

#[test]
fn a_file_of_the_users_is_looked_at_once_and_refused_as_it_is() {
    let mut world = World::healthy();
    world
        .monitor
        .files
        .insert("rules/mine.yml".to_owned(), "groups: x".to_owned());
    let plan = world.next();
    insta::assert_snapshot!(plan, @r"
    rules/mine.yml: check rules/mine.yml, because it is new
    rules/mine.yml: remember that rules/mine.yml is in force, because nothing is wrong with it
    ");
    let said = "Checking /tmp/reconciler-check/rules/mine.yml; FAILED:; /tmp/reconciler-check/rules/mine.yml: 1:9: group \"x\"";
    let check = plan.actions().next().unwrap();
    assert_eq!(
        on_failure(&world.view(), check, false, said),
        None,
        "it could not be looked at"
    );
    let refused = on_failure(&world.view(), check, true, said).unwrap();
    assert_eq!(
        refused.to_string(),
        "rules/mine.yml is refused: rules/mine.yml:1:9: group \"x\""
    );
    world.memory.apply(&refused);
    assert_eq!(world.next().to_string(), "nothing to do\n");
    // Another text is looked at anew, and what was refused meanwhile does not count for it.
    world
        .monitor
        .files
        .insert("rules/mine.yml".to_owned(), "groups: []".to_owned());
    assert_eq!(on_failure(&world.view(), check, true, said), None);
    assert!(world.next().to_string().contains("check rules/mine.yml"));
    world.monitor.files.clear();
    assert!(
        world
            .next()
            .to_string()
            .contains("remember that rules/mine.yml is gone")
    );
}
