//! The situations that campaigns must reach, by name: a scenario that never does tests less than it seems to.
//! The code under test names its own in `Event::Sometimes`; the simulator and its scenarios name the others.

/// A server's process was killed.
pub const CRASHED: &str = "a process was killed";
/// A server lost its power.
pub const POWER_LOST: &str = "the power was lost";
/// One of both in the middle of a disk operation.
pub const CRASHED_AT_IO: &str = "a server died in a disk operation";
/// And once more while it recovered from that.
pub const CRASHED_IN_RECOVERY: &str = "a server died again while it started";
/// A power loss took some of the sectors that were not synced, and left others.
pub const TORN: &str = "a power loss tore what was not synced";
/// Records were acknowledged while faults struck.
pub const ACKNOWLEDGED: &str = "records were acknowledged, and were there at the end";
/// Some of them before a power loss.
pub const OUTLIVED: &str = "records that were acknowledged outlived a power loss";
/// A power loss excused the loss of records.
pub const SUSPENDED: &str = "a power loss suspended records that were acknowledged";
/// A producer does not know what became of a record.
pub const UNKNOWN: &str = "the fate of a record is unknown";
/// A producer repeated a batch that was in the log.
pub const SENT_AGAIN: &str = "a batch was sent again";
/// A crash left part of an append.
pub const TORN_END: &str = "the torn end of a log was cut";
/// A power loss left later writes without earlier ones.
pub const LOST_WRITE: &str = "a log was cut at a lost write in front of valid batches";

/// The front of the metadata log went because a snapshot covers it.
pub const METADATA_DELETED: &str = "a snapshot replaced the front of the metadata log";

/// Those of one server with a disk.
pub const OF_A_DISK: &[&str] = &[CRASHED, POWER_LOST, CRASHED_AT_IO, CRASHED_IN_RECOVERY];

/// Those of one partition's log.
pub const OF_A_LOG: &[&str] =
    &[CRASHED, POWER_LOST, CRASHED_AT_IO, CRASHED_IN_RECOVERY, TORN, SENT_AGAIN, TORN_END, LOST_WRITE];

/// Those of one broker with producers.
pub const OF_A_BROKER: &[&str] = &[
    CRASHED,
    POWER_LOST,
    CRASHED_AT_IO,
    CRASHED_IN_RECOVERY,
    TORN,
    ACKNOWLEDGED,
    OUTLIVED,
    SUSPENDED,
    UNKNOWN,
    SENT_AGAIN,
    TORN_END,
    LOST_WRITE,
    METADATA_DELETED,
];
