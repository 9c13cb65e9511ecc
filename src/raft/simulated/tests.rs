//! The quorum under load and faults, and the rules that need more than one replica.

use super::*;
use crate::types::ErrorCode;
use proptest::prelude::*;

/// Faults for a while, then peace: everyone agrees, and new records commit.
fn survives(seed: u64, voters: i32, observers: i32) -> World {
    let mut world = World::new(seed, voters, observers);
    for _ in 0..6 {
        world.loss_percent = world.random() % 25;
        world.crash_per_mille = world.random() % 8;
        for _ in 0..world.random() % 4 {
            let (from, to) = (world.random() as usize, world.random() as usize);
            world.cut(from % voters as usize, to % voters as usize);
        }
        world.run(Duration::from_secs(4), true);
        world.check_log_matching();
        world.heal();
        world.run(Duration::from_millis(500), true);
    }
    world.run(Duration::from_secs(12), false);
    let leader = world.leader().expect("a healed quorum has a leader");
    let before = world.committed();
    world.append_on(leader);
    world.run(Duration::from_secs(2), false);
    assert!(world.committed() > before, "a healed quorum commits");
    let end = world.raft(leader).log().last();
    for node in 0..(voters + observers) as usize {
        assert_eq!(world.raft(node).log().last(), end, "replica {node} has caught up");
        assert_eq!(world.raft(node).high_watermark(), Some(end.offset), "replica {node} knows it");
    }
    world.check_log_matching();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn three_voters_keep_their_promises(seed in any::<u64>()) {
        survives(seed, 3, 1);
    }

    #[test]
    fn five_voters_keep_their_promises(seed in any::<u64>()) {
        survives(seed, 5, 0);
    }
}

#[test]
fn faults_really_happen() {
    let worlds: Vec<World> = (0..20).map(|seed| survives(seed, 3, 1)).collect();
    assert!(worlds.iter().map(|world| world.snapshots_taken).sum::<u64>() > 10);
    assert!(worlds.iter().map(|world| world.leaders.len()).sum::<usize>() > 60);
    assert!(worlds.iter().map(|world| world.incarnations.iter().sum::<u64>()).sum::<u64>() > 20);
}

#[test]
fn the_only_voter_leads_at_once_and_one_epoch_later_at_each_start() {
    let mut world = World::new(7, 1, 0);
    let info = world.raft(0).leader_info();
    assert_eq!((info.epoch, info.leads_from), (LeaderEpoch(1), Some(Offset(0))));
    world.run(Duration::from_millis(50), false);
    assert_eq!(world.raft(0).high_watermark(), Some(Offset(3)), "LeaderChange, KRaftVersion, KRaftVoters");
    world.restart(0);
    let info = world.raft(0).leader_info();
    assert_eq!((info.epoch, info.leads_from), (LeaderEpoch(2), Some(Offset(3))));
    assert_eq!(world.raft(0).log().end(), Offset(4), "the voters are in the log already");
}

#[test]
fn a_leader_that_nobody_fetches_from_resigns() {
    let mut world = World::new(3, 3, 0);
    world.run(Duration::from_secs(5), false);
    let leader = world.leader().expect("elected");
    let epoch = world.raft(leader).leader_info().epoch;
    for other in (0..3).filter(|other| *other != leader) {
        world.cut(other, leader);
    }
    world.run(Duration::from_millis(3100), false);
    assert_ne!(world.raft(leader).role(), RoleName::Leader);
    world.run(Duration::from_secs(6), false);
    let next = world.leader().expect("the majority elects another");
    assert_ne!(next, leader);
    assert!(world.raft(next).leader_info().epoch > epoch);
}

#[test]
fn a_voter_that_hears_nobody_does_not_disturb_the_epoch() {
    let mut world = World::new(11, 3, 0);
    world.run(Duration::from_secs(5), false);
    let leader = world.leader().expect("elected");
    let epoch = world.raft(leader).leader_info().epoch;
    let lonely = (leader + 1) % 3;
    for other in (0..3).filter(|other| *other != lonely) {
        world.cut(other, lonely);
    }
    world.run(Duration::from_secs(20), true);
    world.heal();
    world.run(Duration::from_secs(10), false);
    assert_eq!(world.leader(), Some(leader), "pre-votes are refused by those who follow");
    assert_eq!(world.raft(lonely).leader_info().epoch, epoch);
}

#[test]
fn voters_are_added_and_removed_one_at_a_time() {
    let mut world = World::new(5, 1, 2);
    world.run(Duration::from_secs(3), true);
    let add = |id| VoterChange::Add { voter: voter(id), ack_when_committed: true };
    world.change_voters(0, add(2));
    world.change_voters(0, add(3));
    assert_eq!(world.change_replies, [ErrorCode::RequestTimedOut], "one change at a time");
    world.run(Duration::from_secs(3), false);
    assert_eq!(world.change_replies.pop(), Some(ErrorCode::None));
    world.change_voters(0, add(2));
    assert_eq!(world.change_replies.pop(), Some(ErrorCode::DuplicateVoter));
    world.change_voters(0, add(3));
    world.run(Duration::from_secs(3), false);
    assert_eq!(world.raft(1).log().voters().len(), 3);
    world.change_replies.clear();
    world.change_voters(0, VoterChange::Remove { key: voter(9).key });
    assert_eq!(world.change_replies.pop(), Some(ErrorCode::VoterNotFound));
    world.change_voters(0, VoterChange::Remove { key: voter(1).key });
    world.run(Duration::from_secs(8), true);
    assert_eq!(world.change_replies.first(), Some(&ErrorCode::None));
    let leader = world.leader().expect("the two that remain elect one");
    assert_ne!(leader, 0, "a leader that removed itself goes");
    assert_eq!(world.raft(leader).log().voters().len(), 2);
}

#[test]
fn a_resigning_leader_hands_over_without_waiting_for_timeouts() {
    let mut world = World::new(13, 3, 0);
    world.run(Duration::from_secs(5), true);
    let leader = world.leader().expect("elected");
    world.step_node(leader, Input::Resign, Vec::new());
    world.run(Duration::from_millis(900), false);
    let next = world.leader().expect("the first successor ran at once");
    assert_ne!(next, leader);
}
