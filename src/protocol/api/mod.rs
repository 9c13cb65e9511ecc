//! Every API of Kafka 4.3: one file each, and this table of them. It knows keys, versions and bytes; what an
//! API does is told in the broker's file of the same name.

use super::error::{DecodeError, EncodeError};
use super::wire::{Message, NEVER_FLEXIBLE};
use super::writer::Writer;
use bytes::Bytes;
use std::ops::RangeInclusive;

/// One API, as a type: what a client is generic over.
pub trait Api: Sized + Send + Sync + 'static {
    /// Its number.
    const CODE: i16;
    /// Its key.
    const KEY: ApiKey;
    /// The request.
    type Request: Message;
    /// The response.
    type Response: Message;
}

macro_rules! index {
    ($( $module:ident::$Api:ident, )*) => {
        $( pub mod $module; )*

        /// The key of an API that Kafka 4.3 knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        #[allow(missing_docs)]
        pub enum ApiKey { $( $Api = <$module::$Api as Api>::CODE, )* }

        impl ApiKey {
            /// Every key, ascending.
            pub const ALL: &[ApiKey] = &[ $( ApiKey::$Api, )* ];

            /// The key with this number.
            pub fn from_i16(code: i16) -> Option<ApiKey> {
                match code {
                    $( <$module::$Api as Api>::CODE => Some(ApiKey::$Api), )*
                    _ => None,
                }
            }

            /// Kafka's name, such as `Fetch`.
            pub fn name(self) -> &'static str {
                match self { $( ApiKey::$Api => stringify!($Api), )* }
            }

            /// The versions that Kafka 4.3 serves.
            pub fn versions(self) -> RangeInclusive<i16> {
                match self { $( ApiKey::$Api => <$module::$Api as Api>::Request::VERSIONS, )* }
            }

            /// The first version with compact lengths and tags; `None` if there is none.
            pub fn first_flexible(self) -> Option<i16> {
                let first = match self {
                    $( ApiKey::$Api => <$module::$Api as Api>::Request::FIRST_FLEXIBLE, )*
                };
                (first != NEVER_FLEXIBLE).then_some(first)
            }
        }

        /// A request of any API.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub enum Request { $( $Api(<$module::$Api as Api>::Request), )* }

        impl Request {
            /// The API.
            pub fn key(&self) -> ApiKey {
                match self { $( Request::$Api(_) => ApiKey::$Api, )* }
            }

            /// Reads the body of a request. Bytes behind it are ignored, as Kafka does.
            pub fn decode(key: ApiKey, version: i16, body: &Bytes) -> Result<Request, DecodeError> {
                match key { $( ApiKey::$Api => Message::decode(body, version).map(Request::$Api), )* }
            }

            /// Writes the body.
            pub fn encode(&self, version: i16, w: &mut Writer) -> Result<(), EncodeError> {
                match self { $( Request::$Api(body) => body.encode(version, w), )* }
            }

            /// The body as JSON, with Kafka's names.
            pub fn to_json(&self, version: i16) -> serde_json::Value {
                match self { $( Request::$Api(body) => super::json::ToJson::to_json(body, version), )* }
            }
        }

        /// A response of any API.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub enum Response { $( $Api(<$module::$Api as Api>::Response), )* }

        impl Response {
            /// The API.
            pub fn key(&self) -> ApiKey {
                match self { $( Response::$Api(_) => ApiKey::$Api, )* }
            }

            /// Reads the body of a response. Bytes behind it are ignored, as Kafka does.
            pub fn decode(key: ApiKey, version: i16, body: &Bytes) -> Result<Response, DecodeError> {
                match key { $( ApiKey::$Api => Message::decode(body, version).map(Response::$Api), )* }
            }

            /// Writes the body.
            pub fn encode(&self, version: i16, w: &mut Writer) -> Result<(), EncodeError> {
                match self { $( Response::$Api(body) => body.encode(version, w), )* }
            }

            /// The body as JSON, with Kafka's names.
            pub fn to_json(&self, version: i16) -> serde_json::Value {
                match self { $( Response::$Api(body) => super::json::ToJson::to_json(body, version), )* }
            }
        }

        $(
            impl From<<$module::$Api as Api>::Request> for Request {
                fn from(body: <$module::$Api as Api>::Request) -> Request {
                    Request::$Api(body)
                }
            }

            impl From<<$module::$Api as Api>::Response> for Response {
                fn from(body: <$module::$Api as Api>::Response) -> Response {
                    Response::$Api(body)
                }
            }

            impl TryFrom<Response> for <$module::$Api as Api>::Response {
                type Error = Response;

                fn try_from(response: Response) -> Result<Self, Response> {
                    match response {
                        Response::$Api(body) => Ok(body),
                        other => Err(other),
                    }
                }
            }
        )*
    };
}

index! {
    produce::Produce,
    fetch::Fetch,
    list_offsets::ListOffsets,
    metadata::Metadata,
    offset_commit::OffsetCommit,
    offset_fetch::OffsetFetch,
    find_coordinator::FindCoordinator,
    join_group::JoinGroup,
    heartbeat::Heartbeat,
    leave_group::LeaveGroup,
    sync_group::SyncGroup,
    describe_groups::DescribeGroups,
    list_groups::ListGroups,
    sasl_handshake::SaslHandshake,
    api_versions::ApiVersions,
    create_topics::CreateTopics,
    delete_topics::DeleteTopics,
    delete_records::DeleteRecords,
    init_producer_id::InitProducerId,
    offset_for_leader_epoch::OffsetForLeaderEpoch,
    add_partitions_to_txn::AddPartitionsToTxn,
    add_offsets_to_txn::AddOffsetsToTxn,
    end_txn::EndTxn,
    write_txn_markers::WriteTxnMarkers,
    txn_offset_commit::TxnOffsetCommit,
    describe_acls::DescribeAcls,
    create_acls::CreateAcls,
    delete_acls::DeleteAcls,
    describe_configs::DescribeConfigs,
    alter_configs::AlterConfigs,
    alter_replica_log_dirs::AlterReplicaLogDirs,
    describe_log_dirs::DescribeLogDirs,
    sasl_authenticate::SaslAuthenticate,
    create_partitions::CreatePartitions,
    create_delegation_token::CreateDelegationToken,
    renew_delegation_token::RenewDelegationToken,
    expire_delegation_token::ExpireDelegationToken,
    describe_delegation_token::DescribeDelegationToken,
    delete_groups::DeleteGroups,
    elect_leaders::ElectLeaders,
    incremental_alter_configs::IncrementalAlterConfigs,
    alter_partition_reassignments::AlterPartitionReassignments,
    list_partition_reassignments::ListPartitionReassignments,
    offset_delete::OffsetDelete,
    describe_client_quotas::DescribeClientQuotas,
    alter_client_quotas::AlterClientQuotas,
    describe_user_scram_credentials::DescribeUserScramCredentials,
    alter_user_scram_credentials::AlterUserScramCredentials,
    vote::Vote,
    begin_quorum_epoch::BeginQuorumEpoch,
    end_quorum_epoch::EndQuorumEpoch,
    describe_quorum::DescribeQuorum,
    alter_partition::AlterPartition,
    update_features::UpdateFeatures,
    envelope::Envelope,
    fetch_snapshot::FetchSnapshot,
    describe_cluster::DescribeCluster,
    describe_producers::DescribeProducers,
    broker_registration::BrokerRegistration,
    broker_heartbeat::BrokerHeartbeat,
    unregister_broker::UnregisterBroker,
    describe_transactions::DescribeTransactions,
    list_transactions::ListTransactions,
    allocate_producer_ids::AllocateProducerIds,
    consumer_group_heartbeat::ConsumerGroupHeartbeat,
    consumer_group_describe::ConsumerGroupDescribe,
    controller_registration::ControllerRegistration,
    get_telemetry_subscriptions::GetTelemetrySubscriptions,
    push_telemetry::PushTelemetry,
    assign_replicas_to_dirs::AssignReplicasToDirs,
    list_config_resources::ListConfigResources,
    describe_topic_partitions::DescribeTopicPartitions,
    share_group_heartbeat::ShareGroupHeartbeat,
    share_group_describe::ShareGroupDescribe,
    share_fetch::ShareFetch,
    share_acknowledge::ShareAcknowledge,
    add_raft_voter::AddRaftVoter,
    remove_raft_voter::RemoveRaftVoter,
    update_raft_voter::UpdateRaftVoter,
    initialize_share_group_state::InitializeShareGroupState,
    read_share_group_state::ReadShareGroupState,
    write_share_group_state::WriteShareGroupState,
    delete_share_group_state::DeleteShareGroupState,
    read_share_group_state_summary::ReadShareGroupStateSummary,
    streams_group_heartbeat::StreamsGroupHeartbeat,
    streams_group_describe::StreamsGroupDescribe,
    describe_share_group_offsets::DescribeShareGroupOffsets,
    alter_share_group_offsets::AlterShareGroupOffsets,
    delete_share_group_offsets::DeleteShareGroupOffsets,
}

impl ApiKey {
    /// The number on the wire.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The versions that a broker of 4.3 says it serves. Produce is told from 0, though 0 to 2 are refused,
    /// because old clients look for it (KAFKA-18659); version 6 of InitProducerId is not stable yet.
    pub fn advertised_versions(self) -> RangeInclusive<i16> {
        match self {
            ApiKey::Produce => 0..=*self.versions().end(),
            ApiKey::InitProducerId => 0..=5,
            _ => self.versions(),
        }
    }

    /// Whether `version` has compact lengths and tags; holds for versions that nobody knows, too.
    pub fn is_flexible(self, version: i16) -> bool {
        self.first_flexible().is_some_and(|first| version >= first)
    }

    /// The version of the header in front of a request of `version`.
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the header in front of a response of `version`. That of ApiVersions is always 0: a
    /// client that does not know yet what the broker speaks must be able to read it (KIP-511).
    pub fn response_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) && self != ApiKey::ApiVersions { 1 } else { 0 }
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
