//! Which brokers get the replicas of new partitions: spread over racks and brokers, leaders first of all
//! (KIP-36).

use crate::metadata::{BrokerImage, ClusterImage};
use crate::types::{NodeId, Uuid};
use std::collections::BTreeMap;

/// Not enough brokers. The sentences are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlacementError {
    /// Nobody can lead.
    #[error("All brokers are currently fenced.")]
    AllFenced,
    /// More replicas than brokers.
    #[error(
        "The target replication factor of {replication_factor} cannot be reached because only {brokers} \
         broker(s) are registered or some brokers have all their log directories cordoned."
    )]
    TooFewBrokers { replication_factor: usize, brokers: usize },
}

/// The replicas of `count` partitions, the first of each being a broker that is not fenced. `random` varies
/// where it begins, so that small topics do not all land on the same brokers.
pub(super) fn place(
    cluster: &ClusterImage,
    count: usize,
    replication_factor: usize,
    random: u64,
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    let usable = |broker: &&std::sync::Arc<BrokerImage>| !broker.in_controlled_shutdown;
    let brokers: Vec<&BrokerImage> = cluster.brokers().filter(usable).map(|broker| &**broker).collect();
    if !brokers.iter().any(|broker| !broker.fenced) {
        return Err(PlacementError::AllFenced);
    }
    if replication_factor > brokers.len() {
        return Err(PlacementError::TooFewBrokers { replication_factor, brokers: brokers.len() });
    }
    let start = (random % brokers.len() as u64) as usize;
    let unfenced = in_turns(brokers.iter().filter(|broker| !broker.fenced).copied());
    let fenced = in_turns(brokers.iter().filter(|broker| broker.fenced).copied());
    Ok((0..count)
        .map(|partition| replicas(&unfenced, &fenced, start + partition, replication_factor))
        .collect())
}

/// The log directory that a new replica on `broker` gets: its only one, else the broker chooses.
pub(super) fn default_directory(cluster: &ClusterImage, broker: NodeId) -> Uuid {
    const MIGRATING: Uuid = Uuid::ZERO;
    const UNASSIGNED: Uuid = Uuid::METADATA_TOPIC;
    match cluster.broker(broker).map(|broker| broker.log_dirs.as_slice()) {
        Some([only]) => *only,
        Some([]) | None => MIGRATING,
        Some(_) => UNASSIGNED,
    }
}

/// Brokers so that neighbours are in different racks, as far as there are several.
fn in_turns<'a>(brokers: impl Iterator<Item = &'a BrokerImage>) -> Vec<NodeId> {
    let mut racks: BTreeMap<Option<&str>, Vec<NodeId>> = BTreeMap::new();
    for broker in brokers {
        racks.entry(broker.rack.as_deref()).or_default().push(broker.id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|turn| racks.values().filter_map(move |rack| rack.get(turn).copied())).collect()
}

/// The leader walks around the circle with the partitions; the followers come from behind it, and each time
/// around one place further, so that the partitions of a failed leader spread over many.
fn replicas(unfenced: &[NodeId], fenced: &[NodeId], partition: usize, count: usize) -> Vec<NodeId> {
    let circle = unfenced.len();
    let leader = partition % circle;
    let mut replicas = vec![unfenced[leader]];
    let others = circle - 1;
    let shift = if others > 0 { (partition / circle) % others } else { 0 };
    for step in 0..others.min(count - 1) {
        replicas.push(unfenced[(leader + 1 + (shift + step) % others) % circle]);
    }
    let missing = count - replicas.len();
    replicas.extend((0..missing).map(|step| fenced[(partition + step) % fenced.len()]));
    replicas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{MetadataChanges, MetadataImage};
    use crate::protocol::metadata_records::RegisterBrokerRecord;
    use std::collections::BTreeSet;

    fn cluster(brokers: &[(i32, &str, bool)]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for (broker_id, rack, fenced) in brokers {
            let rack = (!rack.is_empty()).then(|| (*rack).into());
            let (broker_id, fenced) = (*broker_id, *fenced);
            let record = RegisterBrokerRecord { broker_id, rack, fenced, ..Default::default() };
            image.replay(&record.into(), &mut MetadataChanges::default()).expect("it can be replayed");
        }
        image
    }

    #[test]
    fn replicas_are_distinct_leaders_even_and_racks_different() {
        let brokers: Vec<(i32, &str, bool)> =
            (0..6).map(|id| (id, ["a", "b", "c"][id as usize % 3], false)).collect();
        let image = cluster(&brokers);
        let placed = place(&image.cluster, 60, 3, 4).expect("there are enough");
        let mut leads: BTreeMap<NodeId, usize> = BTreeMap::new();
        for replicas in &placed {
            *leads.entry(replicas[0]).or_default() += 1;
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3);
        }
        assert!(leads.values().all(|count| *count == 10), "{leads:?}");
        let spread = placed
            .iter()
            .filter(|replicas| replicas.iter().map(|node| node.0 % 3).collect::<BTreeSet<_>>().len() > 1);
        assert_eq!(spread.count(), 60, "no partition lies in one rack");
    }

    #[test]
    fn fenced_brokers_come_last_and_only_when_needed() {
        let image = cluster(&[(1, "", true), (2, "", false), (3, "", false)]);
        assert!(place(&image.cluster, 9, 2, 0).expect("enough").iter().flatten().all(|node| node.0 != 1));
        let placed = place(&image.cluster, 3, 3, 0).expect("enough");
        assert!(placed.iter().all(|replicas| replicas[2] == NodeId(1)));
    }

    #[test]
    fn refusals_are_kafkas_sentences() {
        let image = cluster(&[(1, "", false)]);
        assert_eq!(
            place(&image.cluster, 1, 3, 0).unwrap_err().to_string(),
            "The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or \
             some brokers have all their log directories cordoned."
        );
        let fenced = cluster(&[(1, "", true)]);
        assert_eq!(place(&fenced.cluster, 1, 1, 0), Err(PlacementError::AllFenced));
    }
}
