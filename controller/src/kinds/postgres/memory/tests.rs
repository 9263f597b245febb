//! What every change does to the record.

use super::{Change, Memory, Method, PromotionResult, Rejected, Reseed, Settings};
use crate::model::Lsn;

fn after(changes: &[Change]) -> Memory {
    let mut memory = Memory::default();
    changes.iter().for_each(|change| memory.apply(change));
    memory
}

fn reseed(volume: &str) -> Change {
    Change::Reseed(Reseed {
        member: "replica-1".to_owned(),
        volume: volume.to_owned(),
        reason: "it is damaged".to_owned(),
        proved_copy: false,
        method: Method::Rewind,
        at: 7,
    })
}

fn ended(succeeded: bool) -> Change {
    Change::Promoted(PromotionResult {
        id: 4,
        to: "replica-1".to_owned(),
        succeeded,
        at: 9,
        ..PromotionResult::default()
    })
}

#[test]
fn a_reseed_counts_the_volumes_and_retires_the_old_one() {
    let memory = after(&[
        Change::Started("replica-1".to_owned(), 5, String::new()),
        reseed("v1"),
        reseed("v2"),
    ]);
    assert_eq!(memory.generation("replica-1"), 3);
    assert_eq!(memory.generation("master"), 1);
    assert_eq!(memory.retired.keys().collect::<Vec<_>>(), ["v1", "v2"]);
    assert!(memory.starts.is_empty());
}

#[test]
fn only_a_promotion_that_succeeded_moves_the_role() {
    let begun = [Change::Bootstrap("master".to_owned())];
    let failed = after(&[begun[0].clone(), ended(false)]);
    assert_eq!((failed.primary.as_deref(), failed.term), (Some("master"), 0));
    let succeeded = after(&[begun[0].clone(), ended(true)]);
    assert_eq!((succeeded.primary.as_deref(), succeeded.term), (Some("replica-1"), 1));
    assert!(succeeded.promotion.is_none() && succeeded.last_promotion.is_some_and(|last| last.id == 4));
}

#[test]
fn starts_are_counted_until_the_member_works() {
    let started = Change::Started("master".to_owned(), 5, String::new());
    let memory = after(&[started.clone(), started.clone()]);
    assert_eq!(memory.starts["master"].count, 2);
    let works = after(&[started.clone(), Change::Works("master".to_owned(), 9)]);
    assert!(works.starts.is_empty());
    let accepted = after(&[started, Change::Accept(Settings::default())]);
    assert!(accepted.starts.is_empty(), "a new configuration deserves a prompt try");
}

#[test]
fn an_accepted_configuration_forgets_the_refused_one() {
    let rejected = Change::Reject(Rejected {
        settings: Settings::default(),
        message: "no".to_owned(),
    });
    let memory = after(&[rejected, Change::Accept(Settings::default())]);
    assert!(memory.rejected.is_none() && memory.accepted.is_some());
}

#[test]
fn memory_of_another_version_is_read_as_far_as_it_is_known() {
    let memory: Memory = serde_json::from_str(r#"{"primary": "master", "floor_lsn": "0/10"}"#).expect("it reads");
    assert_eq!(
        (memory.primary.as_deref(), memory.floor_lsn),
        (Some("master"), Lsn(0x10))
    );
    let text = serde_json::to_string(&memory).expect("it writes");
    assert_eq!(serde_json::from_str::<Memory>(&text).expect("it reads again"), memory);
}

#[test]
fn a_rewind_lasts_until_it_is_done_or_given_up_and_a_reseed_until_its_member_streams() {
    let begun = after(&[reseed("v1")]);
    assert_eq!(begun.rewind_source("replica-1"), Some("v1"));
    let filled = after(&[reseed("v1"), Change::Filled("replica-1".to_owned())]);
    assert_eq!(filled.rewind_source("replica-1"), None);
    let given_up = after(&[
        reseed("v1"),
        Change::NoRewind("replica-1".to_owned(), "no WAL".to_owned()),
    ]);
    assert_eq!(given_up.rewind_source("replica-1"), None);
    // What is known of a member's data outlasts a volume that came to nothing, and no longer than the re-seed.
    let again = after(&[
        reseed("v1"),
        Change::NoRewind("replica-1".to_owned(), "no WAL".to_owned()),
        reseed("v2"),
    ]);
    let state = again.reseed("replica-1").expect("it is under way");
    assert_eq!((state.rounds, state.no_rewind.as_deref()), (2, Some("no WAL")));
    let works = Change::Works("replica-1".to_owned(), 9);
    let over = after(&[reseed("v1"), works.clone()]);
    assert_eq!(
        (over.reseed("replica-1"), over.reseeds["replica-1"].ended),
        (None, Some(9))
    );
    let later = after(&[reseed("v1"), works, reseed("v2")]);
    assert_eq!(later.reseed("replica-1").map(|state| state.rounds), Some(1));
}
