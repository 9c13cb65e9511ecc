//! Every topic configuration of Kafka 4.3: name, type, default, validator, importance and the broker
//! configurations that give its default, the first that is set winning. Facts only.

use super::definition::{Definition, topic_configs};

topic_configs! {
    TABLE:
    "cleanup.policy" List "delete" ListOf(&["compact", "delete"]) Medium ["log.cleanup.policy"];
    "compression.gzip.level" Int "-1" GzipLevel Medium ["compression.gzip.level"];
    "compression.lz4.level" Int "9" Between(1, 17) Medium ["compression.lz4.level"];
    "compression.type" String
        "producer"
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]) Medium ["compression.type"];
    "compression.zstd.level" Int "3" Between(-131072, 22) Medium ["compression.zstd.level"];
    "delete.retention.ms" Long "86400000" AtLeast(0) Medium ["log.cleaner.delete.retention.ms"];
    "file.delete.delay.ms" Long "60000" AtLeast(0) Medium ["log.segment.delete.delay.ms"];
    "flush.messages" Long "9223372036854775807" AtLeast(1) Medium ["log.flush.interval.messages"];
    "flush.ms" Long
        "9223372036854775807" AtLeast(0) Medium ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    "follower.replication.throttled.replicas" List "" ThrottledReplicas Medium [];
    "index.interval.bytes" Int "4096" AtLeast(0) Medium ["log.index.interval.bytes"];
    "internal.segment.bytes" Int null Any Medium [] internal;
    "leader.replication.throttled.replicas" List "" ThrottledReplicas Medium [];
    "local.retention.bytes" Long "-2" AtLeast(-2) Medium ["log.local.retention.bytes"];
    "local.retention.ms" Long "-2" AtLeast(-2) Medium ["log.local.retention.ms"];
    "max.compaction.lag.ms" Long
        "9223372036854775807" AtLeast(1) Medium ["log.cleaner.max.compaction.lag.ms"];
    "max.message.bytes" Int "1048588" AtLeast(0) Medium ["message.max.bytes"];
    "message.timestamp.after.max.ms" Long "3600000" AtLeast(0) Medium ["log.message.timestamp.after.max.ms"];
    "message.timestamp.before.max.ms" Long
        "9223372036854775807" AtLeast(0) Medium ["log.message.timestamp.before.max.ms"];
    "message.timestamp.type" String
        "CreateTime" OneOf(&["CreateTime", "LogAppendTime"]) Medium ["log.message.timestamp.type"];
    "min.cleanable.dirty.ratio" Double "0.5" Fraction(0.0, 1.0) Medium ["log.cleaner.min.cleanable.ratio"];
    "min.compaction.lag.ms" Long "0" AtLeast(0) Medium ["log.cleaner.min.compaction.lag.ms"];
    "min.insync.replicas" Int "1" AtLeast(1) Medium ["min.insync.replicas"];
    "preallocate" Boolean "false" Any Medium ["log.preallocate"];
    "remote.log.copy.disable" Boolean "false" Any Medium [];
    "remote.log.delete.on.disable" Boolean "false" Any Medium [];
    "remote.storage.enable" Boolean "false" Any Medium [];
    "retention.bytes" Long "-1" Any Medium ["log.retention.bytes"];
    "retention.ms" Long
        "604800000" AtLeast(-1) Medium ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    "segment.bytes" Int "1073741824" AtLeast(1048576) Medium ["log.segment.bytes"];
    "segment.index.bytes" Int "10485760" AtLeast(4) Medium ["log.index.size.max.bytes"];
    "segment.jitter.ms" Long "0" AtLeast(0) Medium ["log.roll.jitter.ms", "log.roll.jitter.hours"];
    "segment.ms" Long "604800000" AtLeast(1) Medium ["log.roll.ms", "log.roll.hours"];
    "unclean.leader.election.enable" Boolean "false" Any Medium ["unclean.leader.election.enable"];
}
