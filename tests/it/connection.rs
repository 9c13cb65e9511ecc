//! A client's connection on real sockets, against a broker that is a script: versions, pipelining, timeouts,
//! endings.

use std::time::Duration;
use vltava::connection::{
    ClientConnection, ConnectionError, ConnectionSettings, FrameReader, VersionError, write_chunks,
};
use vltava::protocol::api::api_versions::{ApiVersion, ApiVersionsResponse};
use vltava::protocol::api::fetch::{Fetch, FetchRequest};
use vltava::protocol::api::metadata::{Metadata, MetadataRequest, MetadataResponse};
use vltava::protocol::{ApiKey, Message, RequestHeader, Response, ResponseHeader, Writer};
use vltava::runtime::{Connection, Listener, RealRuntime, Runtime};
use vltava::types::ErrorCode;

fn runtime() -> Runtime {
    Runtime::Real(RealRuntime::new(16))
}

async fn listen(runtime: &Runtime) -> (Listener, u16) {
    let listener = runtime.bind("127.0.0.1", 0).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn settings() -> ConnectionSettings {
    ConnectionSettings { client_id: Some("test".into()), ..ConnectionSettings::default() }
}

/// One connection of the scripted broker.
struct Script {
    stream: Connection,
    reader: FrameReader,
}

impl Script {
    async fn accept(listener: &Listener) -> Script {
        Script { stream: listener.accept().await.unwrap(), reader: FrameReader::new(1 << 20) }
    }

    async fn request(&mut self) -> RequestHeader {
        let frame = self.reader.next(&mut self.stream).await.unwrap().expect("a request");
        let (header, _) = RequestHeader::decode(&frame).unwrap();
        assert_eq!(header.client_id.as_deref(), Some("test"));
        header
    }

    async fn respond(&mut self, to: &RequestHeader, version: i16, response: Response) {
        let mut writer = Writer::new();
        writer.begin_frame();
        let header = ResponseHeader { correlation_id: to.correlation_id, ..Default::default() };
        header.encode(to.api_key.response_header_version(version), &mut writer);
        response.encode(version, &mut writer).unwrap();
        writer.end_frame().unwrap();
        write_chunks(&mut self.stream, writer.finish().chunks).await.unwrap();
    }

    /// Accepts a client and tells it that the broker serves Metadata up to 12.
    async fn greet(listener: &Listener) -> Script {
        let mut script = Script::accept(listener).await;
        let request = script.request().await;
        assert_eq!((request.api_key, request.api_version), (ApiKey::ApiVersions, 4));
        script.respond(&request, 4, serves(ErrorCode::None, &[(3, 0, 12), (18, 0, 4)])).await;
        script
    }
}

fn serves(error: ErrorCode, ranges: &[(i16, i16, i16)]) -> Response {
    let api_keys = ranges.iter().map(|&(api_key, min_version, max_version)| ApiVersion {
        api_key,
        min_version,
        max_version,
        ..Default::default()
    });
    let api_keys = api_keys.collect();
    ApiVersionsResponse { error_code: error.code(), api_keys, ..Default::default() }.into()
}

fn named(cluster_id: &str) -> Response {
    MetadataResponse { cluster_id: Some(cluster_id.into()), ..Default::default() }.into()
}

#[tokio::test]
async fn an_older_broker_is_asked_again_in_a_version_that_it_knows() {
    for (told, asked_again) in [(Some(2), 2), (None, 0)] {
        let runtime = runtime();
        let (listener, port) = listen(&runtime).await;
        let broker = async {
            let mut script = Script::accept(&listener).await;
            let first = script.request().await;
            assert_eq!(first.api_version, 4);
            let ranges: Vec<_> = told.iter().map(|&max| (18, 0, max)).collect();
            script.respond(&first, 0, serves(ErrorCode::UnsupportedVersion, &ranges)).await;
            let second = script.request().await;
            assert_eq!(second.api_version, asked_again);
            script.respond(&second, asked_again, serves(ErrorCode::None, &[(3, 0, 5), (18, 0, 2)])).await;
        };
        let settings = settings();
        let opened = ClientConnection::open(&runtime, "127.0.0.1", port, &settings);
        let (connection, ()) = tokio::join!(opened, broker);
        let connection = connection.unwrap();
        assert_eq!(connection.versions().choose::<Metadata>(i16::MAX), Ok(5));
        let refused = connection.request::<Fetch>(&FetchRequest::default()).await.unwrap_err();
        assert_eq!(refused, VersionError::NotServed(ApiKey::Fetch).into());
        assert!(refused.is_unsent());
    }
}

#[tokio::test]
async fn requests_are_pipelined_and_answers_find_their_requests() {
    let runtime = runtime();
    let (listener, port) = listen(&runtime).await;
    let broker = async {
        let mut script = Script::greet(&listener).await;
        let requests = [script.request().await, script.request().await, script.request().await];
        for (request, name) in requests.iter().zip(["a", "b", "c"]) {
            script.respond(request, request.api_version, named(name)).await;
        }
        script
    };
    let client = async {
        let connection = ClientConnection::open(&runtime, "127.0.0.1", port, &settings()).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(connection.send::<Metadata>(&MetadataRequest::default(), 12).await.unwrap());
        }
        let mut names = Vec::new();
        for request in waiting {
            names.push(request.response().await.unwrap().cluster_id.unwrap().to_string());
        }
        assert_eq!(names, ["a", "b", "c"]);
        assert!(connection.is_open());
    };
    let (mut script, ()) = tokio::join!(broker, client);
    let end = script.reader.next(&mut script.stream).await.unwrap();
    assert!(end.is_none(), "the connection closes when its last owner is gone");
}

#[tokio::test]
async fn a_broker_that_does_not_answer_costs_the_connection() {
    let runtime = runtime();
    let (listener, port) = listen(&runtime).await;
    let client = async {
        let settings = ConnectionSettings { request_timeout: Duration::from_millis(150), ..settings() };
        let connection = ClientConnection::open(&runtime, "127.0.0.1", port, &settings).await.unwrap();
        let first = connection.send::<Metadata>(&MetadataRequest::default(), 12).await.unwrap();
        runtime.sleep(Duration::from_millis(100)).await;
        let second = connection.send::<Metadata>(&MetadataRequest::default(), 12).await.unwrap();
        let first = first.response().await.unwrap_err();
        let expected =
            matches!(first, ConnectionError::TimedOut { api: ApiKey::Metadata, timeout_ms: 150, .. });
        assert!(expected, "{first}");
        let second = second.response().await.unwrap_err();
        assert!(matches!(second, ConnectionError::Lost { .. }) && !second.is_unsent(), "{second}");
        let third = connection.request::<Metadata>(&MetadataRequest::default()).await.unwrap_err();
        assert!(matches!(third, ConnectionError::NotSent { .. }) && third.is_unsent(), "{third}");
    };
    let (_script, ()) = tokio::join!(Script::greet(&listener), client);
}

#[tokio::test]
async fn a_response_to_another_request_ends_the_connection() {
    let runtime = runtime();
    let (listener, port) = listen(&runtime).await;
    let broker = async {
        let mut script = Script::greet(&listener).await;
        let mut request = script.request().await;
        request.correlation_id += 1;
        script.respond(&request, request.api_version, named("wrong")).await;
        script
    };
    let client = async {
        let connection = ClientConnection::open(&runtime, "127.0.0.1", port, &settings()).await.unwrap();
        let error = connection.request::<Metadata>(&MetadataRequest::default()).await.unwrap_err();
        let expected = matches!(&error, ConnectionError::Lost { reason, .. } if reason.contains("was due"));
        assert!(expected, "{error}");
        assert!(!connection.is_open());
    };
    tokio::join!(broker, client);
}

#[tokio::test]
async fn a_request_that_cannot_be_written_does_not_disturb_the_others() {
    let runtime = runtime();
    let (listener, port) = listen(&runtime).await;
    let broker = async {
        let mut script = Script::greet(&listener).await;
        let request = script.request().await;
        script.respond(&request, request.api_version, named("fine")).await;
    };
    let client = async {
        let connection = ClientConnection::open(&runtime, "127.0.0.1", port, &settings()).await.unwrap();
        let too_new = *MetadataRequest::VERSIONS.end() + 1;
        let error = connection.send::<Metadata>(&MetadataRequest::default(), too_new).await.err();
        assert!(matches!(error, Some(ConnectionError::Encode(_))));
        let response = connection.request::<Metadata>(&MetadataRequest::default()).await.unwrap();
        assert_eq!(response.cluster_id.as_deref(), Some("fine"));
    };
    tokio::join!(broker, client);
}

#[tokio::test]
async fn nobody_listening_is_told_as_such() {
    let runtime = runtime();
    let (listener, port) = listen(&runtime).await;
    drop(listener);
    let error = ClientConnection::open(&runtime, "127.0.0.1", port, &settings()).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Unreachable { .. }) && error.is_retriable(), "{error}");
}
