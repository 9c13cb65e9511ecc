//! From a frame to the handler of its API, and from the handler's response to a frame. This table is the
//! whole of what the broker serves: a key that is not in it is not advertised and closes the connection, as
//! in Kafka.

use super::api;
use super::pipeline::CloseReason;
use super::{Broker, RequestContext};
use crate::protocol::{ApiKey, EncodeError, Request, RequestHeader, Response, ResponseHeader, Writer};
use crate::runtime::BoxFuture;
use bytes::Bytes;
use std::sync::Arc;

/// What a handler gives back.
pub enum Reply {
    /// The response.
    Ready(Box<Response>),
    /// The request has taken effect, its response follows; later requests go on.
    Waiting(BoxFuture<'static, Response>),
    /// The request takes effect within the future; later requests of the connection wait for it.
    Exclusive(BoxFuture<'static, Response>),
    /// No response is owed (acks=0).
    Silent,
    /// The connection is closed without a response; the reason is logged.
    Close(String),
}

impl<R: Into<Response>> From<R> for Reply {
    fn from(response: R) -> Reply {
        Reply::Ready(Box::new(response.into()))
    }
}

/// Runs a handler whose later requests must wait for it.
fn exclusive<R: Into<Response>>(handler: impl Future<Output = R> + Send + 'static) -> Reply {
    Reply::Exclusive(Box::pin(async move { handler.await.into() }))
}

/// Runs a handler that holds up only its own response.
fn waiting<R: Into<Response>>(handler: impl Future<Output = R> + Send + 'static) -> Reply {
    Reply::Waiting(Box::pin(async move { handler.await.into() }))
}

/// The APIs that are served.
pub const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::ListPartitionReassignments,
    ApiKey::DescribeClientQuotas,
    ApiKey::DescribeUserScramCredentials,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::ListConfigResources,
    ApiKey::DescribeTopicPartitions,
];

/// Reads a frame. Whatever Kafka answers by closing the connection is an error.
pub fn decode(
    broker: &Arc<Broker>,
    listener: &Arc<str>,
    frame: &Bytes,
) -> Result<(Arc<RequestContext>, Request), CloseReason> {
    let refused = |what: String| CloseReason::Refused(what);
    let (header, body) = RequestHeader::decode(frame)
        .map_err(|error| refused(format!("the header of a request cannot be read: {error}")))?;
    let (key, version) = (header.api_key, header.api_version);
    let served = SERVED.contains(&key) && key.versions().contains(&version);
    let context = Arc::new(RequestContext { broker: broker.clone(), header, listener: listener.clone() });
    if key == ApiKey::ApiVersions && !served {
        // Answered in version 0, whatever the body is: the client does not know yet what the broker speaks
        // (KIP-511).
        return Ok((context, Request::ApiVersions(Default::default())));
    }
    if !served {
        return Err(refused(format!(
            "{key} in version {version} is not served; ApiVersions tells the versions that are"
        )));
    }
    let request = Request::decode(key, version, &body)
        .map_err(|error| refused(format!("the body of {key} version {version} cannot be read: {error}")))?;
    Ok((context, request))
}

/// Lets a request take effect.
pub fn handle(context: &Arc<RequestContext>, request: Request) -> Reply {
    let shared = context.clone();
    match request {
        Request::Produce(request) => api::produce::handle(context, request),
        Request::Fetch(request) => api::fetch::handle(context, request),
        Request::ListOffsets(request) => api::list_offsets::handle(context, request),
        Request::Metadata(request) => api::metadata::handle(context, request),
        Request::ApiVersions(request) => api::api_versions::handle(context, &request).into(),
        Request::CreateTopics(request) => exclusive(api::create_topics::handle(shared, request)),
        Request::DeleteTopics(request) => exclusive(api::delete_topics::handle(shared, request)),
        Request::DeleteRecords(request) => exclusive(api::delete_records::handle(shared, request)),
        Request::InitProducerId(request) => exclusive(api::init_producer_id::handle(shared, request)),
        Request::OffsetForLeaderEpoch(request) => {
            api::offset_for_leader_epoch::handle(context, &request).into()
        }
        Request::DescribeConfigs(request) => api::describe_configs::handle(context, &request).into(),
        Request::AlterConfigs(request) => exclusive(api::alter_configs::handle(shared, request)),
        Request::IncrementalAlterConfigs(request) => {
            exclusive(api::incremental_alter_configs::handle(shared, request))
        }
        Request::DescribeLogDirs(request) => waiting(api::describe_log_dirs::handle(shared, request)),
        Request::CreatePartitions(request) => exclusive(api::create_partitions::handle(shared, request)),
        Request::ListPartitionReassignments(request) => {
            waiting(api::list_partition_reassignments::handle(shared, request))
        }
        Request::DescribeClientQuotas(request) => {
            api::describe_client_quotas::handle(context, &request).into()
        }
        Request::DescribeUserScramCredentials(request) => {
            api::describe_user_scram_credentials::handle(context, &request).into()
        }
        Request::DescribeQuorum(request) => api::describe_quorum::handle(context, &request).into(),
        Request::UpdateFeatures(request) => exclusive(api::update_features::handle(shared, request)),
        Request::DescribeCluster(request) => api::describe_cluster::handle(context, &request).into(),
        Request::DescribeProducers(request) => api::describe_producers::handle(context, &request).into(),
        Request::ListConfigResources(request) => api::list_config_resources::handle(context, &request).into(),
        Request::DescribeTopicPartitions(request) => {
            api::describe_topic_partitions::handle(context, &request).into()
        }
        other => Reply::Close(format!("{} is not served", other.key())),
    }
}

/// How many bytes of memory a response that waits to be sent counts for: its records, and a bit for the rest.
pub fn weight(response: &Response) -> usize {
    const WITHOUT_RECORDS: usize = 4 << 10;
    match response {
        Response::Fetch(fetched) => {
            let data = fetched.responses.iter().flat_map(|topic| &topic.partitions);
            WITHOUT_RECORDS + data.flat_map(|data| &data.records).map(|records| records.len()).sum::<usize>()
        }
        Response::Produce(_) => 0,
        _ => WITHOUT_RECORDS,
    }
}

/// Writes a response as one frame.
pub fn encode(context: &RequestContext, response: &Response, writer: &mut Writer) -> Result<(), EncodeError> {
    let (key, version) = (context.header.api_key, api::api_versions::response_version(&context.header));
    let header = ResponseHeader { correlation_id: context.header.correlation_id, ..Default::default() };
    writer.begin_frame();
    header.encode(key.response_header_version(version), writer);
    let encoded = response.encode(version, writer).and_then(|()| writer.end_frame());
    if encoded.is_err() {
        writer.abandon_frame();
    }
    encoded
}
