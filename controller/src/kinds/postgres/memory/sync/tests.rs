//! Nothing that may have been in force is forgotten too early.

use super::{Heir, ReadBack, SyncChange, SyncState};
use crate::kinds::postgres::quorum::SyncSet;

fn set(voters: &[&str]) -> SyncSet {
    SyncSet {
        voters: voters.iter().map(|v| (*v).to_owned()).collect(),
        number: 1,
        ..SyncSet::default()
    }
}

fn settled(voters: &[&str]) -> SyncState {
    let mut state = SyncState::default();
    state.apply(SyncChange::Intend(set(voters)));
    state.apply(SyncChange::Settled(set(voters)));
    state
}

#[test]
fn a_new_set_joins_the_old_one_until_it_has_settled() {
    let mut state = settled(&["a"]);
    assert!(state.is_settled());
    state.apply(SyncChange::Intend(set(&["b"])));
    assert_eq!(state.sets(), [set(&["a"]), set(&["b"])]);
    assert!(!state.is_settled() && state.counts("a"));
    state.apply(SyncChange::Settled(set(&["a"])));
    assert_eq!(state.sets().len(), 2, "that was decided for another set");
    state.apply(SyncChange::Settled(set(&["b"])));
    assert_eq!(state.sets(), [set(&["b"])]);
    assert!(state.is_settled() && !state.counts("a"));
}

#[test]
fn back_and_forth_keeps_both() {
    let mut state = settled(&["a"]);
    state.apply(SyncChange::Intend(set(&["b"])));
    state.apply(SyncChange::Intend(set(&["a"])));
    assert_eq!(state.intended, Some(set(&["a"])));
    assert_eq!(state.possible, [set(&["b"])]);
}

#[test]
fn what_was_read_back_is_void_when_something_else_is_found() {
    let mut state = settled(&["a"]);
    state.apply(SyncChange::Intend(set(&["b"])));
    let read_back = ReadBack { at: 1, lsn: None };
    state.apply(SyncChange::ReadBack(set(&["a"]), read_back));
    assert_eq!(state.read_back, None, "another set was read back");
    state.apply(SyncChange::ReadBack(set(&["b"]), read_back));
    assert_eq!(state.read_back, Some(read_back));
    state.apply(SyncChange::Possible(SyncSet::nobody()));
    assert_eq!(state.read_back, None);
    assert!(state.sets().contains(&SyncSet::nobody()));
}

#[test]
fn a_new_primary_starts_with_what_its_file_said_and_the_old_sets_stay() {
    let mut state = settled(&["a"]);
    state.apply(SyncChange::Heir(Heir {
        rendered: set(&["master"]),
        running: SyncSet::nobody(),
    }));
    assert_eq!(state.sets(), [set(&["a"])], "it has acknowledged nothing yet");
    let mut aborted = state.clone();
    aborted.promoted(false);
    assert_eq!(aborted, settled(&["a"]));
    state.promoted(true);
    assert_eq!(state.intended, Some(set(&["master"])));
    assert_eq!(state.possible, [SyncSet::nobody(), set(&["a"])]);
}

#[test]
fn of_a_primary_that_somebody_else_promoted_nothing_is_known() {
    let mut state = settled(&["a"]);
    state.promoted(true);
    assert_eq!(state.intended, None);
    assert_eq!(state.possible, [set(&["a"]), SyncSet::nobody()]);
    let mut never = SyncState::default();
    never.promoted(true);
    assert_eq!(never, SyncState::default());
}

#[test]
fn switched_off_it_promises_nothing() {
    let mut state = settled(&["a"]);
    state.apply(SyncChange::Off);
    assert_eq!(state, SyncState::default());
}
