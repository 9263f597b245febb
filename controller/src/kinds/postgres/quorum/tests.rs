//! The arithmetic, and that nobody is ever proved who lacks an acknowledged write.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Lack, Method, Reach, SyncSet, prove};
use crate::model::Lsn;

fn set(number: u32, voters: &[&str]) -> SyncSet {
    SyncSet {
        voters: voters.iter().map(|v| (*v).to_owned()).collect(),
        number,
        method: Method::Any,
    }
}

fn known(reaches: &[(&str, u64)]) -> BTreeMap<String, Reach> {
    let reach = |(member, lsn): &(&str, u64)| ((*member).to_owned(), (1, Lsn(*lsn)));
    reaches.iter().map(reach).collect()
}

#[test]
fn names_are_written_and_read() {
    let mut two = set(2, &["replica-1", "replica-2", "master"]);
    assert_eq!(two.names(), r#"ANY 2 ("replica-1", "replica-2", "master")"#);
    assert_eq!(SyncSet::parse(&two.names()), Some(two.clone()));
    two.method = Method::First;
    assert_eq!(two.names(), r#"FIRST 2 ("replica-1", "replica-2", "master")"#);
    assert_eq!(SyncSet::parse(&two.names()), Some(two));
    assert_eq!(SyncSet::nobody().names(), "");
    assert_eq!(SyncSet::parse(" "), Some(SyncSet::nobody()));
    for foreign in [
        "*",
        "replica-1",
        "ANY 1 (*)",
        "2 (a, b)",
        r#"ANY x ("a")"#,
        r#"SOME 1 ("a")"#,
    ] {
        assert_eq!(SyncSet::parse(foreign), None, "{foreign}");
    }
}

#[test]
fn a_set_is_told_in_words() {
    assert_eq!(SyncSet::nobody().to_string(), "no replica");
    assert_eq!(set(1, &["a"]).to_string(), "a");
    assert_eq!(set(2, &["a", "b"]).to_string(), "all of a, b");
    assert_eq!(set(1, &["a", "b"]).to_string(), "any 1 of a, b");
    let first = SyncSet {
        method: Method::First,
        ..set(1, &["a", "b"])
    };
    assert_eq!(first.to_string(), "the first 1 of a, b that stream");
}

#[test]
fn one_of_two_needs_both_to_be_asked() {
    let sets = [set(1, &["a", "b"])];
    assert_eq!(prove(&sets, &known(&[("a", 7), ("b", 7)]), "a"), Ok(()));
    let lack = prove(&sets, &known(&[("a", 7)]), "a").expect_err("b may have more");
    assert_eq!(
        lack.why,
        "commits waited for any 1 of a, b, and b cannot be asked what was acknowledged"
    );
    assert_eq!(lack.ahead, None);
    let lack = prove(&sets, &known(&[("a", 7), ("b", 8)]), "a").expect_err("b has more");
    let expected = Lack {
        why: "b has received up to 0/8, a up to 0/7".to_owned(),
        ahead: Some("b".to_owned()),
    };
    assert_eq!(lack, expected);
}

#[test]
fn of_two_of_three_one_may_be_missing_or_ahead() {
    let sets = [set(2, &["a", "b", "c"])];
    assert_eq!(prove(&sets, &known(&[("a", 7), ("b", 5)]), "a"), Ok(()));
    assert_eq!(prove(&sets, &known(&[("a", 7), ("b", 9), ("c", 5)]), "a"), Ok(()));
    let lack = prove(&sets, &known(&[("a", 7), ("b", 9)]), "a").expect_err("b and c may both have it");
    assert_eq!(lack.ahead.as_deref(), Some("b"));
    assert!(
        prove(&sets, &known(&[("a", 7)]), "a")
            .expect_err("two are silent")
            .ahead
            .is_none()
    );
}

#[test]
fn a_newer_timeline_is_further_whatever_the_position() {
    let sets = [set(1, &["a", "b"])];
    let mut reaches = known(&[("a", 7), ("b", 9)]);
    reaches.insert("a".to_owned(), (2, Lsn(7)));
    assert_eq!(prove(&sets, &reaches, "a"), Ok(()));
}

#[test]
fn who_waited_for_nobody_is_the_only_one_with_everything() {
    let sets = [set(1, &["a"]), SyncSet::nobody()];
    assert!(prove(&sets, &known(&[("a", 7)]), "a").is_err());
    assert_eq!(prove(&sets[..1], &known(&[("a", 7)]), "a"), Ok(()));
    assert!(
        prove(&[], &known(&[("a", 7)]), "b").is_err(),
        "nothing is known of the target"
    );
}

const MEMBERS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn a_set() -> impl Strategy<Value = SyncSet> {
    (prop::sample::subsequence(MEMBERS.to_vec(), 1..=5), 1_u32..=5)
        .prop_map(|(voters, number)| set(number.min(u32::try_from(voters.len()).unwrap_or(1)), &voters))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every member has a random prefix of the log; all that a set's number of voters have is acknowledged.
    #[test]
    fn whoever_is_proved_has_every_acknowledged_write(
        sets in prop::collection::vec(a_set(), 1..4),
        logs in prop::collection::vec(0_u64..6, 5),
        asked in prop::collection::vec(any::<bool>(), 5),
        target in 0_usize..5,
    ) {
        let flushed: BTreeMap<&str, u64> = MEMBERS.into_iter().zip(logs).collect();
        let acknowledged = (0..6_u64).filter(|write| sets.iter().any(|set| {
            set.voters.iter().filter(|v| flushed[v.as_str()] >= *write).count() >= set.number as usize
        })).max().unwrap_or(0);
        let reaches: Vec<(&str, u64)> = MEMBERS.into_iter().zip(&asked)
            .filter(|(_, asked)| **asked).map(|(m, _)| (m, flushed[m])).collect();
        match prove(&sets, &known(&reaches), MEMBERS[target]) {
            Ok(()) => prop_assert!(flushed[MEMBERS[target]] >= acknowledged),
            Err(Lack { ahead: Some(ahead), .. }) => prop_assert!(flushed[ahead.as_str()] > flushed[MEMBERS[target]]),
            Err(_) => {}
        }
    }

    /// Where everybody can be asked, somebody is always proved: the set keeps no cluster down.
    #[test]
    fn the_furthest_is_proved_when_all_can_be_asked(
        sets in prop::collection::vec(a_set(), 1..4), logs in prop::collection::vec(0_u64..6, 5),
    ) {
        let reaches: Vec<(&str, u64)> = MEMBERS.into_iter().zip(logs).collect();
        let (furthest, _) = reaches.iter().max_by_key(|(_, lsn)| *lsn).copied().unwrap_or(("a", 0));
        prop_assert_eq!(prove(&sets, &known(&reaches), furthest), Ok(()));
    }
}
