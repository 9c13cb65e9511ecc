//! DescribeQuorum 0 to 2: leader, voters and observers of the metadata log (KIP-595, 836, 853).
//!
//! Errors, per partition: UNKNOWN_TOPIC_OR_PARTITION for anything but the metadata log,
//! NOT_LEADER_OR_FOLLOWER where another node leads. Omitted: throttling.

use crate::broker::RequestContext;
use crate::metadata::METADATA_TOPIC;
use crate::protocol::api::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, ReplicaState, ResponsePartitionData,
    ResponseTopicData,
};
use crate::raft::{Endpoint, QuorumInfo, ReplicaInfo, Voter};
use crate::types::{ErrorCode, Instant};

/// The first version with nodes and directory ids.
const FIRST_WITH_NODES: i16 = 2;

/// Describes the quorum.
pub fn handle(context: &RequestContext, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let mut nodes = Vec::new();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            if topic.topic_name != *METADATA_TOPIC || index != 0 {
                let sentence = "This server does not host this topic-partition.";
                return refuse(index, ErrorCode::UnknownTopicOrPartition, sentence);
            }
            match context.broker.controller.describe_quorum() {
                Ok(quorum) => {
                    nodes = quorum.voter_set.iter().map(node).collect();
                    describe(context, &quorum)
                }
                Err(leader) => ResponsePartitionData {
                    leader_id: leader.leader.map_or(-1, |leader| leader.0),
                    leader_epoch: leader.epoch.0,
                    ..refuse(index, ErrorCode::NotLeaderOrFollower, "This node does not lead the quorum.")
                },
            }
        });
        let partitions = partitions.collect();
        ResponseTopicData { topic_name: topic.topic_name.clone(), partitions, ..Default::default() }
    });
    let topics = topics.collect();
    if context.header.api_version < FIRST_WITH_NODES {
        nodes.clear();
    }
    DescribeQuorumResponse { topics, nodes, ..Default::default() }
}

fn refuse(partition_index: i32, error: ErrorCode, sentence: &'static str) -> ResponsePartitionData {
    ResponsePartitionData {
        partition_index,
        error_code: error.code(),
        error_message: Some(sentence.into()),
        ..Default::default()
    }
}

fn describe(context: &RequestContext, quorum: &QuorumInfo) -> ResponsePartitionData {
    let states = |replicas: &[ReplicaInfo]| -> Vec<ReplicaState> {
        replicas.iter().map(|replica| state(context, quorum, replica)).collect()
    };
    ResponsePartitionData {
        leader_id: quorum.leader.0,
        leader_epoch: quorum.epoch.0,
        high_watermark: quorum.high_watermark.0,
        current_voters: states(&quorum.voters),
        observers: states(&quorum.observers),
        ..Default::default()
    }
}

fn state(context: &RequestContext, quorum: &QuorumInfo, replica: &ReplicaInfo) -> ReplicaState {
    let runtime = &context.broker.runtime;
    let (now, wall) = (runtime.now(), runtime.wall_clock().0);
    let is_leader = replica.key.id == quorum.leader;
    // The leader has everything, always.
    let told = |at: Option<Instant>| match at {
        _ if is_leader => wall,
        Some(at) => wall - now.since(at).as_millis() as i64,
        None => -1,
    };
    let has_directory = context.header.api_version >= FIRST_WITH_NODES;
    ReplicaState {
        replica_id: replica.key.id.0,
        replica_directory_id: if has_directory { replica.key.directory } else { Default::default() },
        log_end_offset: replica.end.0,
        last_fetch_timestamp: told(replica.last_fetch),
        last_caught_up_timestamp: told(replica.last_caught_up),
        ..Default::default()
    }
}

fn node(voter: &Voter) -> Node {
    let listener = |endpoint: &Endpoint| Listener {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        ..Default::default()
    };
    let listeners = voter.endpoints.iter().map(listener).collect();
    Node { node_id: voter.key.id.0, listeners, ..Default::default() }
}
