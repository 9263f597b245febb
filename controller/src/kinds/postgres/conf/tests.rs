//! The rendered files, and what must not get into them.

use std::collections::BTreeMap;

use super::{Following, Frame, is_parameter_name, pg_hba_conf, postgresql_conf, refusal, slot_name};
use crate::kinds::postgres::spec::Scalar;

fn parameters(given: &[(&str, &str)]) -> BTreeMap<String, Scalar> {
    let scalar = |(name, value): &(&str, &str)| ((*name).to_owned(), Scalar((*value).to_owned()));
    given.iter().map(scalar).collect()
}

fn frame() -> Frame {
    Frame {
        title: "pg/master".to_owned(),
        max_slot_wal_keep_bytes: (10 << 30) + 1,
        following: None,
        sync_names: None,
        standby_slots: None,
        floor: BTreeMap::from([("max_connections".to_owned(), 100)]),
    }
}

#[test]
fn a_primarys_configuration() {
    let given = parameters(&[
        ("Work_Mem", "64MB"),
        ("max_connections", "50"),
        ("search_path", "'a, b'"),
    ]);
    insta::assert_snapshot!(postgresql_conf(&given, &frame()), @r"
    # Written by reconciler. An edit here is put back: change the manifest instead.
    cluster_name = 'pg/master'
    hba_file = '/etc/reconciler/pg_hba.conf'
    listen_addresses = '*'
    max_connections = '100'
    max_slot_wal_keep_size = '10241MB'
    search_path = 'a, b'
    wal_retrieve_retry_interval = '100ms'
    work_mem = '64MB'
    ");
}

#[test]
fn a_replicas_configuration_says_whom_it_follows() {
    let mut frame = frame();
    frame.following = Some(Following {
        host: "pg-master".to_owned(),
        member: "replica-1".to_owned(),
    });
    insta::assert_snapshot!(postgresql_conf(&parameters(&[]), &frame), @r"
    # Written by reconciler. An edit here is put back: change the manifest instead.
    cluster_name = 'pg/master'
    hba_file = '/etc/reconciler/pg_hba.conf'
    listen_addresses = '*'
    max_connections = '100'
    max_slot_wal_keep_size = '10241MB'
    primary_conninfo = 'host=pg-master port=5432 user=replicator application_name=replica-1 passfile=/etc/reconciler/pgpass connect_timeout=5 keepalives_idle=10 keepalives_interval=5 keepalives_count=3'
    primary_slot_name = 'replica_1'
    wal_retrieve_retry_interval = '100ms'
    ");
}

#[test]
fn what_the_agent_needs_wins_over_what_is_given() {
    let text = postgresql_conf(&parameters(&[("LISTEN_ADDRESSES", "localhost")]), &frame());
    assert!(text.contains("listen_addresses = '*'") && !text.contains("localhost"));
}

#[test]
fn quotes_and_backslashes_stay_inside_the_value() {
    let text = postgresql_conf(&parameters(&[("log_line_prefix", r"it's \ %m")]), &frame());
    assert!(text.contains(r"log_line_prefix = 'it''s \\ %m'"), "{text}");
}

#[test]
fn our_lines_of_pg_hba_come_before_the_manifests() {
    insta::assert_snapshot!(pg_hba_conf(&[" host all all 10.0.0.0/8 scram-sha-256 ".to_owned()], false), @r"
    # Written by reconciler. An edit here is put back: change the manifest instead.
    # The agent and the health check, through the socket inside the container:
    local all postgres peer
    # Replicas and the agent, from the cluster's own network:
    host replication replicator samenet scram-sha-256
    host all postgres samenet scram-sha-256
    # Exporters of a Monitoring, from there too:
    host all reconciler_monitor samenet scram-sha-256
    # From the manifest:
    host all all 10.0.0.0/8 scram-sha-256
    # Everybody else, with a password:
    local all all scram-sha-256
    host all all all scram-sha-256
    ");
    assert!(!pg_hba_conf(&[], false).contains("From the manifest"));
}

#[test]
fn refusals_say_why() {
    insta::assert_snapshot!(refusal("Primary_Conninfo", "x").unwrap_or_default(), @"it follows the primary");
    insta::assert_snapshot!(refusal("wal_level", "'minimal'").unwrap_or_default(), @"replicas need `replica` or `logical`");
    insta::assert_snapshot!(refusal("hot_standby", "off").unwrap_or_default(), @"a replica that answers no SQL cannot be watched");
    insta::assert_snapshot!(refusal("fsync", "OFF").unwrap_or_default(), @"a crash would then corrupt the data");
    for off in ["of", "f", "no", "'0'"] {
        assert!(refusal("FSYNC", off).is_some(), "{off}");
    }
    for harmless in [("wal_level", "logical"), ("fsync", "on"), ("work_mem", "1GB")] {
        assert_eq!(refusal(harmless.0, harmless.1), None);
    }
}

#[test]
fn values_are_written_as_they_are_given() {
    let given = parameters(&[
        ("archive_command", "test ! -f '/a/%f' && cp '%p' '/a/%f'"),
        ("log_line_prefix", "%m [%p] "),
        ("MAX_CONNECTIONS", "0x64"),
    ]);
    let frame = Frame {
        floor: BTreeMap::new(),
        ..frame()
    };
    let text = postgresql_conf(&given, &frame);
    for line in [
        "archive_command = 'test ! -f ''/a/%f'' && cp ''%p'' ''/a/%f'''\n",
        "log_line_prefix = '%m [%p] '\n",
        "max_connections = '0x64'\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn parameter_names_are_words_with_one_prefix_at_most() {
    for good in ["work_mem", "auto_explain.log_timing", "_x1"] {
        assert!(is_parameter_name(good), "{good}");
    }
    for good in ["größe.x", "App.Prod"] {
        assert!(is_parameter_name(good), "{good}");
    }
    for bad in ["", "1a", "a b", "a.b.c", "a=b", "a.", "a\nb", "a$b", "a@b", ".a"] {
        assert!(!is_parameter_name(bad), "{bad}");
    }
}

#[test]
fn a_slots_name_is_one_that_postgresql_takes() {
    assert_eq!(slot_name("replica-12"), "replica_12");
}
