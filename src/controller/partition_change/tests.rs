//! The sequences that Kafka was seen to write, and the rules that keep committed records.

use super::*;
use crate::metadata::{MetadataChanges, MetadataImage};
use crate::protocol::metadata_records::RegisterBrokerRecord;
use crate::types::LeaderEpoch;

const DIRECTORY: Uuid = Uuid([7; 16]);

fn cluster(active: &[i32]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for id in 1..=5 {
        let record = RegisterBrokerRecord {
            broker_id: id,
            fenced: !active.contains(&id),
            log_dirs: vec![DIRECTORY],
            ..Default::default()
        };
        image.replay(&record.into(), &mut MetadataChanges::default()).expect("it can be replayed");
    }
    image
}

fn partition(replicas: &[i32], isr: &[i32], leader: Option<i32>) -> PartitionImage {
    let nodes = crate::metadata::nodes;
    PartitionImage {
        replicas: nodes(replicas),
        directories: vec![DIRECTORY; replicas.len()],
        isr: nodes(isr),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader: leader.map(NodeId),
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
    }
}

const RULES: Rules = Rules { min_isr: 1, has_elr: true, version: MetadataVersion::LATEST };

fn change(
    partition: &PartitionImage,
    active: &[i32],
    min_isr: usize,
    brokers: Brokers,
    election: Election,
) -> Option<PartitionChangeRecord> {
    let image = cluster(active);
    let rules = Rules { min_isr, ..RULES };
    let built = PartitionChange::new(partition, &image.cluster, rules, brokers, election);
    match built.build(Uuid([9; 16]), 0) {
        Some(MetadataRecord::PartitionChange(record)) => Some(record),
        None => None,
        Some(other) => panic!("{} is no change of a partition", other.name()),
    }
}

fn removed(id: i32) -> Brokers {
    Brokers { removed: Some(NodeId(id)), ..Brokers::default() }
}

fn added(id: i32) -> Brokers {
    Brokers { added: Some(NodeId(id)), ..Brokers::default() }
}

fn unclean(id: i32) -> Brokers {
    Brokers { unclean: Some(NodeId(id)), ..Brokers::default() }
}

#[test]
fn one_replica_goes_and_comes_back_cleanly() {
    let one = partition(&[1], &[1], Some(1));
    let stop = change(&one, &[1], 1, removed(1), Election::Online).expect("it loses its leader");
    assert_eq!((stop.isr.as_deref(), stop.leader), (Some(&[][..]), -1));
    assert_eq!(stop.eligible_leader_replicas.as_deref(), Some(&[1][..]));
    assert_eq!(stop.last_known_elr.as_deref(), Some(&[1][..]));
    let stopped = one.with_change(&stop);
    let start = change(&stopped, &[], 1, added(1), Election::Online).expect("it gets its leader back");
    assert_eq!((start.isr.as_deref(), start.leader, start.leader_recovery_state), (Some(&[1][..]), 1, -1));
    assert_eq!(start.eligible_leader_replicas.as_deref(), Some(&[][..]));
    assert_eq!(start.last_known_elr.as_deref(), Some(&[][..]));
}

#[test]
fn one_replica_comes_back_after_a_crash_as_the_last_known_leader() {
    let one = partition(&[1], &[1], Some(1));
    let fenced = one.with_change(&change(&one, &[1], 1, removed(1), Election::Online).expect("changes"));
    let lost = change(&fenced, &[], 1, unclean(1), Election::Online).expect("it may have lost records");
    assert_eq!(lost.eligible_leader_replicas.as_deref(), Some(&[][..]));
    assert_eq!((lost.isr.clone(), lost.leader, lost.last_known_elr.clone()), (None, -2, None));
    let crashed = fenced.with_change(&lost);
    let start = change(&crashed, &[], 1, added(1), Election::Online).expect("it leads again");
    assert_eq!((start.isr.as_deref(), start.leader, start.leader_recovery_state), (Some(&[1][..]), 1, 1));
    assert_eq!(start.last_known_elr.as_deref(), Some(&[][..]));
    assert_eq!(start.eligible_leader_replicas, None);
    let again = crashed.with_change(&start);
    let stop = change(&again, &[1], 1, removed(1), Election::Online).expect("changes");
    assert_eq!(stop.leader_recovery_state, -1, "the state stays recovering");
}

#[test]
fn a_follower_that_leaves_a_small_isr_stays_eligible() {
    let three = partition(&[1, 2, 3], &[1, 2], Some(1));
    let gone = change(&three, &[1], 2, removed(2), Election::Online).expect("changes");
    assert_eq!((gone.isr.as_deref(), gone.leader), (Some(&[1][..]), LEADER_UNCHANGED));
    assert_eq!(gone.eligible_leader_replicas.as_deref(), Some(&[2][..]));
    let smaller = three.with_change(&gone);
    let leaderless = change(&smaller, &[1], 2, removed(1), Election::Online).expect("changes");
    assert_eq!(leaderless.eligible_leader_replicas.as_deref(), Some(&[1, 2][..]));
    let none = smaller.with_change(&leaderless);
    let elected = change(&none, &[], 2, added(2), Election::Online).expect("an eligible replica leads");
    assert_eq!((elected.leader, elected.isr.as_deref()), (2, Some(&[2][..])));
    assert_eq!(elected.eligible_leader_replicas.as_deref(), Some(&[1][..]));
    assert_eq!(elected.leader_recovery_state, -1, "nothing was lost");
}

#[test]
fn the_last_known_leader_waits_while_somebody_else_is_eligible() {
    let mut partition = partition(&[1, 2], &[], None);
    partition.elr = vec![NodeId(2)];
    partition.last_known_elr = vec![NodeId(1)];
    assert_eq!(change(&partition, &[], 2, added(1), Election::Online), None);
    partition.elr.clear();
    partition.last_known_elr = vec![NodeId(1), NodeId(2)];
    assert_eq!(change(&partition, &[], 2, added(1), Election::Online), None);
}

#[test]
fn only_an_unclean_election_takes_a_replica_that_is_out_of_sync() {
    let two = partition(&[1, 2], &[1], Some(1));
    let stop = change(&two, &[1, 2], 1, removed(1), Election::Online).expect("changes");
    assert_eq!(stop.leader, -1, "2 is alive but behind");
    let unclean = change(&two, &[1, 2], 1, removed(1), Election::Unclean).expect("changes");
    assert_eq!((unclean.leader, unclean.leader_recovery_state), (2, 1), "whoever allows it gets it");
    let mut old = two.clone();
    old.isr.clear();
    old.leader = None;
    let unclean = change(&old, &[2], 1, Brokers::default(), Election::Unclean).expect("changes");
    assert_eq!((unclean.leader, unclean.leader_recovery_state), (2, 1));
}

#[test]
fn without_elr_the_last_in_sync_replica_stays_in_the_isr() {
    let one = partition(&[1, 2], &[1], Some(1));
    let image = cluster(&[1, 2]);
    let rules = Rules { has_elr: false, ..RULES };
    let built = PartitionChange::new(&one, &image.cluster, rules, removed(1), Election::Online);
    let Some(MetadataRecord::PartitionChange(record)) = built.build(Uuid::ZERO, 0) else {
        panic!("it loses its leader");
    };
    assert_eq!((record.leader, record.isr), (-1, None));
    assert_eq!((record.eligible_leader_replicas, record.last_known_elr), (None, None));
}

#[test]
fn the_preferred_leader_is_elected_when_it_is_in_sync() {
    let led_by_two = partition(&[1, 2], &[1, 2], Some(2));
    let online = change(&led_by_two, &[1, 2], 1, Brokers::default(), Election::Online);
    assert_eq!(online, None, "the present leader is good");
    let preferred = change(&led_by_two, &[1, 2], 1, Brokers::default(), Election::Preferred);
    assert_eq!(preferred.map(|record| record.leader), Some(1));
}
