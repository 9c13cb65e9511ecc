//! What the broker does with each request: one file an API, named as its bytes in `protocol/api/`.

pub mod alter_configs;
pub mod api_versions;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod describe_user_scram_credentials;
pub mod fetch;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod list_config_resources;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod update_features;

/// Operations that anyone may do on a topic as long as there is no authorizer, as bits of their codes: read,
/// write, create, delete, alter, describe, describe and alter configs.
const ALL_TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// The same for the cluster: create, alter, describe, cluster action, describe and alter configs, idempotent
/// write.
const ALL_CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
