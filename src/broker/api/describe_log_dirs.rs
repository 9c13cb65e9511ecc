//! DescribeLogDirs 1 to 5: log directories, their room, and the replicas in them (KIP-113, 827, 1066).
//!
//! Errors, per directory: KAFKA_STORAGE_ERROR where its file system does not answer. What is asked for and is
//! not here is left out. Omitted: throttling, future replicas, cordoned directories.

use crate::broker::RequestContext;
use crate::log::LogDir;
use crate::protocol::api::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use crate::replication::Partition;
use crate::types::{ErrorCode, Str};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Looks at the directories, off this thread: a file system may take its time.
pub async fn handle(
    context: Arc<RequestContext>,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let runtime = context.broker.runtime.clone();
    let describe = move || {
        let mut results = Vec::new();
        for (directory, partitions) in context.broker.replicas.by_directory() {
            results.push(describe_directory(&context, &request, &directory, &partitions));
        }
        DescribeLogDirsResponse { results, ..Default::default() }
    };
    runtime.offload("describe log directories", describe).await
}

fn describe_directory(
    context: &RequestContext,
    request: &DescribeLogDirsRequest,
    directory: &LogDir,
    partitions: &[Arc<Partition>],
) -> DescribeLogDirsResult {
    let log_dir = Str::from(directory.path().to_string_lossy().as_ref());
    let space = match context.broker.runtime.disk().space(directory.path()) {
        Ok(space) => space,
        Err(error) => {
            tracing::error!("{} cannot be looked at: {error}", directory.path().display());
            let error_code = ErrorCode::KafkaStorageError.code();
            return DescribeLogDirsResult { error_code, log_dir, ..Default::default() };
        }
    };
    let wanted: Option<BTreeSet<(&str, i32)>> = request.topics.as_ref().map(|topics| {
        let places =
            topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (&*topic.topic, *index)));
        places.collect()
    });
    let mut topics: BTreeMap<Str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in partitions {
        let name = partition.name();
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&(&*name.topic, name.partition))) {
            continue;
        }
        topics.entry((&*name.topic).into()).or_default().push(DescribeLogDirsPartition {
            partition_index: name.partition,
            partition_size: partition.view().size_in_bytes() as i64,
            ..Default::default()
        });
    }
    let topic = |(name, partitions)| DescribeLogDirsTopic { name, partitions, ..Default::default() };
    DescribeLogDirsResult {
        log_dir,
        topics: topics.into_iter().map(topic).collect(),
        total_bytes: i64::try_from(space.total).unwrap_or(i64::MAX),
        usable_bytes: i64::try_from(space.free).unwrap_or(i64::MAX),
        ..Default::default()
    }
}
