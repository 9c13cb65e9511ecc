//! The records of the metadata log, `__cluster_metadata`, and of its snapshots, as bytes.

use crate::types::{Str, Uuid};
use bytes::Bytes;

message! {
    /// One incarnation of a broker has registered.
    message RegisterBrokerRecord, versions 0..=4, flexible 0..; {
        broker_id: i32,
        is_migrating_zk_broker: bool         [2..],
        incarnation_id: Uuid,
        broker_epoch: i64,
        end_points: Vec<BrokerEndpoint>,
        features: Vec<BrokerFeature>,
        rack: Option<Str> = Some(empty),
        fenced: bool = true,
        in_controlled_shutdown: bool         [1..],
        log_dirs: Vec<Uuid>                  [3.., tag 0],
        cordoned_log_dirs: Option<Vec<Uuid>> [4.., tag 1],
    }

    struct BrokerEndpoint { name: Str, host: Str, port: u16, security_protocol: i16 }

    struct BrokerFeature { name: Str, min_supported_version: i16, max_supported_version: i16 }
}

message! {
    /// A broker's registration is gone.
    message UnregisterBrokerRecord, versions 0..=0, flexible 0..; { broker_id: i32, broker_epoch: i64 }
}

message! {
    /// A topic exists.
    message TopicRecord, versions 0..=0, flexible 0..; { name: Str, topic_id: Uuid }
}

message! {
    /// A partition exists, with its replicas, leader and in-sync set.
    message PartitionRecord, versions 0..=2, flexible 0..; {
        partition_id: i32 = -1,
        topic_id: Uuid,
        replicas: Vec<i32>,
        isr: Vec<i32>,
        removing_replicas: Vec<i32>,
        adding_replicas: Vec<i32>,
        leader: i32 = -1,
        leader_recovery_state: i8                  [.., tag 0],
        leader_epoch: i32 = -1,
        partition_epoch: i32 = -1,
        directories: Vec<Uuid>                     [1..],
        eligible_leader_replicas: Option<Vec<i32>> [2.., tag 1],
        last_known_elr: Option<Vec<i32>>           [2.., tag 2],
    }
}

message! {
    /// A configuration has a value, or none if that is null.
    message ConfigRecord, versions 0..=0, flexible 0..;
    { resource_type: i8, resource_name: Str, name: Str, value: Option<Str> = Some(empty) }
}

message! {
    /// Parts of a partition have changed; a null list or a default number has not. A leader that is given,
    /// even the same one, raises the leader epoch.
    message PartitionChangeRecord, versions 0..=2, flexible 0..; {
        partition_id: i32 = -1,
        topic_id: Uuid,
        isr: Option<Vec<i32>>                      [.., tag 0],
        leader: i32 = -2                           [.., tag 1],
        replicas: Option<Vec<i32>>                 [.., tag 2],
        removing_replicas: Option<Vec<i32>>        [.., tag 3],
        adding_replicas: Option<Vec<i32>>          [.., tag 4],
        leader_recovery_state: i8 = -1             [.., tag 5],
        eligible_leader_replicas: Option<Vec<i32>> [2.., tag 6],
        last_known_elr: Option<Vec<i32>>           [2.., tag 7],
        directories: Option<Vec<Uuid>>             [1.., tag 8],
    }
}

message! {
    /// A broker is fenced. Superseded by `BrokerRegistrationChangeRecord`.
    message FenceBrokerRecord, versions 0..=0, flexible 0..; { id: i32, epoch: i64 }
}

message! {
    /// A broker is not fenced any more. Superseded by `BrokerRegistrationChangeRecord`.
    message UnfenceBrokerRecord, versions 0..=0, flexible 0..; { id: i32, epoch: i64 }
}

message! {
    /// A topic and its partitions are gone.
    message RemoveTopicRecord, versions 0..=0, flexible 0..; { topic_id: Uuid }
}

message! {
    /// A delegation token exists.
    message DelegationTokenRecord, versions 0..=0, flexible 0..; {
        owner: Str,
        requester: Str,
        renewers: Vec<Str>,
        issue_timestamp: i64,
        max_timestamp: i64,
        expiration_timestamp: i64,
        token_id: Str,
    }
}

message! {
    /// A user has a SCRAM credential.
    message UserScramCredentialRecord, versions 0..=0, flexible 0..; {
        name: Str,
        mechanism: i8,
        salt: Bytes,
        stored_key: Bytes,
        server_key: Bytes,
        iterations: i32,
    }
}

message! {
    /// A feature has a level; level 0 is none.
    message FeatureLevelRecord, versions 0..=0, flexible 0..; { name: Str, feature_level: i16 }
}

message! {
    /// A client quota has a value, or is gone.
    message ClientQuotaRecord, versions 0..=0, flexible 0..;
    { entity: Vec<EntityData>, key: Str, value: f64, remove: bool }

    struct EntityData { entity_type: Str, entity_name: Option<Str> = Some(empty) }
}

message! {
    /// A block of producer ids has been given to a broker.
    message ProducerIdsRecord, versions 0..=0, flexible 0..;
    { broker_id: i32, broker_epoch: i64 = -1, next_producer_id: i64 }
}

message! {
    /// A broker's registration has changed: `fenced` and `in_controlled_shutdown` are 0 for no change, 1 and
    /// -1 for to and fro.
    message BrokerRegistrationChangeRecord, versions 0..=3, flexible 0..; {
        broker_id: i32,
        broker_epoch: i64,
        fenced: i8                           [.., tag 0],
        in_controlled_shutdown: i8           [1.., tag 1],
        log_dirs: Vec<Uuid>                  [2.., tag 2],
        cordoned_log_dirs: Option<Vec<Uuid>> [3.., tag 3],
    }
}

message! {
    /// An access control entry exists.
    message AccessControlEntryRecord, versions 0..=0, flexible 0..; {
        id: Uuid,
        resource_type: i8,
        resource_name: Str,
        pattern_type: i8,
        principal: Str,
        host: Str,
        operation: i8,
        permission_type: i8,
    }
}

message! {
    /// An access control entry is gone.
    message RemoveAccessControlEntryRecord, versions 0..=0, flexible 0..; { id: Uuid }
}

message! {
    /// Nothing has changed; it moves the log's end forward.
    message NoOpRecord, versions 0..=0, flexible 0..; {}
}

message! {
    /// Where the migration from ZooKeeper stands; 4.x reads it from older logs only.
    message ZkMigrationStateRecord, versions 0..=0, flexible 0..; { zk_migration_state: i8 }
}

message! {
    /// A SCRAM credential is gone.
    message RemoveUserScramCredentialRecord, versions 0..=0, flexible 0..; { name: Str, mechanism: i8 }
}

message! {
    /// The records up to the matching end count together or not at all (KIP-868).
    message BeginTransactionRecord, versions 0..=0, flexible 0..; {
        name: Option<Str> [.., tag 0],
    }
}

message! {
    /// The transaction's records count.
    message EndTransactionRecord, versions 0..=0, flexible 0..; {}
}

message! {
    /// The transaction's records do not count.
    message AbortTransactionRecord, versions 0..=0, flexible 0..; {
        reason: Option<Str> [.., tag 0],
    }
}

message! {
    /// A delegation token is gone.
    message RemoveDelegationTokenRecord, versions 0..=0, flexible 0..; { token_id: Str }
}

message! {
    /// One incarnation of a controller has registered.
    message RegisterControllerRecord, versions 0..=0, flexible 0..; {
        controller_id: i32,
        incarnation_id: Uuid,
        zk_migration_ready: bool,
        end_points: Vec<ControllerEndpoint>,
        features: Vec<ControllerFeature>,
    }

    struct ControllerEndpoint { name: Str, host: Str, port: u16, security_protocol: i16 }

    struct ControllerFeature { name: Str, min_supported_version: i16, max_supported_version: i16 }
}

message! {
    /// Eligible leader replicas of one topic, or of all, are forgotten.
    message ClearElrRecord, versions 0..=0, flexible 0..; { topic_name: Str }
}
