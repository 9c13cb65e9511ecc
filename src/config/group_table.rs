//! Group configurations (KIP-848, 932, 1071) and those of subscriptions to client metrics (KIP-714).

use super::definition::{Definition, topic_configs};

/// Whether a group may have `name` set to `value`. `bound` gives the broker's value of the configurations
/// that bound those of groups. The sentences are Kafka's.
pub fn validate_group(name: &str, value: Option<&str>, bound: impl Fn(&str) -> i64) -> Result<(), String> {
    let unknown = || format!("Unknown group config name: {name}");
    let definition = super::find(GROUPS, name).ok_or_else(unknown)?;
    let value = value.ok_or_else(|| format!("Null value not supported for group configs: {name}"))?;
    definition.validate(value).map_err(|error| error.to_string())?;
    let Some((low, high)) = bounds(name) else { return Ok(()) };
    let number: i64 = value.trim().parse().map_err(|_| unknown())?;
    if number < bound(low) {
        return Err(format!("{name} must be greater than or equal to {low}"));
    }
    if number > bound(high) {
        return Err(format!("{name} must be less than or equal to {high}"));
    }
    Ok(())
}

/// Whether a subscription to client metrics may have `name` set to `value`. The sentences are Kafka's.
pub fn validate_client_metrics(name: &str, value: Option<&str>) -> Result<(), String> {
    let unknown = || format!("Unknown client metrics configuration: {name}");
    let definition = super::find(CLIENT_METRICS, name).ok_or_else(unknown)?;
    let value = value.ok_or_else(|| format!("Null value not supported for : {name}"))?;
    definition.validate(value).map_err(|error| error.to_string())
}

/// The broker configurations between which a group's lies.
fn bounds(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "consumer.heartbeat.interval.ms" => {
            ("group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms")
        }
        "consumer.session.timeout.ms" => {
            ("group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms")
        }
        "share.heartbeat.interval.ms" => {
            ("group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms")
        }
        "share.session.timeout.ms" => {
            ("group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms")
        }
        "streams.heartbeat.interval.ms" => {
            ("group.streams.min.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms")
        }
        "streams.session.timeout.ms" => {
            ("group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms")
        }
        _ => return None,
    })
}

topic_configs! {
    GROUPS:
    "consumer.assignment.interval.ms" Int "1000" AtLeast(0) Medium ["group.consumer.assignment.interval.ms"];
    "consumer.heartbeat.interval.ms" Int "5000" AtLeast(1) Medium ["group.consumer.heartbeat.interval.ms"];
    "consumer.session.timeout.ms" Int "45000" AtLeast(1) Medium ["group.consumer.session.timeout.ms"];
    "share.assignment.interval.ms" Int "1000" AtLeast(0) Medium ["group.share.assignment.interval.ms"];
    "share.auto.offset.reset" String "latest" Any Medium [];
    "share.delivery.count.limit" Int "5" AtLeast(2) Medium ["group.share.delivery.count.limit"];
    "share.heartbeat.interval.ms" Int "5000" AtLeast(1) Medium ["group.share.heartbeat.interval.ms"];
    "share.isolation.level" String "read_uncommitted" OneOf(&["read_committed", "read_uncommitted"])
        Medium [];
    "share.partition.max.record.locks" Int "2000" AtLeast(100)
        Medium ["group.share.partition.max.record.locks"];
    "share.record.lock.duration.ms" Int "30000" AtLeast(1000) Medium ["group.share.record.lock.duration.ms"];
    "share.renew.acknowledge.enable" Boolean "true" Any Medium [];
    "share.session.timeout.ms" Int "45000" AtLeast(1) Medium ["group.share.session.timeout.ms"];
    "streams.assignment.interval.ms" Int "1000" AtLeast(0) Medium ["group.streams.assignment.interval.ms"];
    "streams.heartbeat.interval.ms" Int "5000" AtLeast(1) Medium ["group.streams.heartbeat.interval.ms"];
    "streams.initial.rebalance.delay.ms" Int "3000" AtLeast(0)
        Medium ["group.streams.initial.rebalance.delay.ms"];
    "streams.num.standby.replicas" Int "0" AtLeast(0) Medium ["group.streams.num.standby.replicas"];
    "streams.session.timeout.ms" Int "45000" AtLeast(1) Medium ["group.streams.session.timeout.ms"];
}

topic_configs! {
    CLIENT_METRICS:
    "interval.ms" Int "300000" Between(100, 3600000) Medium [];
    "match" List "" Any Medium [];
    "metrics" List "" Any Medium [];
}
