//! The client's side of a connection, as callers see it: a typed request goes in, a typed response comes out.
//!
//! Owns the choice of versions, headers and the bound on what is in flight. Invariant: requests of one caller
//! go out in the order of its calls. It must not retry, reconnect, or know what a request means.

use super::driver::{Awaits, Driver, Expected, Shared, Unanswered};
use super::frame::DEFAULT_MAX_FRAME_BYTES;
use super::versions::{ServedVersions, VersionError};
use crate::protocol::api::api_versions::{ApiVersions, ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{Api, ApiKey, DecodeError, EncodeError, Message, RequestHeader, ResponseHeader};
use crate::runtime::{Connection, Runtime};
use crate::types::{ErrorCode, Str};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How a client's connection behaves.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// Sent with every request, and seen in the broker's logs and quotas.
    pub client_id: Option<Str>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a response may take. One that takes longer ends the connection, since all others wait behind
    /// it.
    pub request_timeout: Duration,
    /// Requests without a response at a time; further ones wait. At least 1.
    pub max_in_flight: usize,
    /// Largest response, in bytes.
    pub max_response_bytes: usize,
}

impl Default for ConnectionSettings {
    /// Kafka's defaults for clients; at most 100 requests in flight.
    fn default() -> Self {
        ConnectionSettings {
            client_id: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_in_flight: 100,
            max_response_bytes: DEFAULT_MAX_FRAME_BYTES,
        }
    }
}

/// Why a request has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// No connection could be made.
    #[error("cannot connect to {address}: {reason}")]
    Unreachable {
        /// `host:port`.
        address: Arc<str>,
        /// What the operating system says.
        reason: Arc<str>,
    },
    /// The connection had ended before the request was sent.
    #[error("the connection to {address} had already ended: {reason}")]
    NotSent {
        /// `host:port`.
        address: Arc<str>,
        /// Why it ended.
        reason: Arc<str>,
    },
    /// The connection ended while the request was under way. Whether the broker acted on it is not known.
    #[error("the connection to {address} ended before the response came: {reason}")]
    Lost {
        /// `host:port`.
        address: Arc<str>,
        /// Why it ended.
        reason: Arc<str>,
    },
    /// The broker did not answer in time. Whether it acted on the request is not known.
    #[error("{address} did not answer {api} within {timeout_ms} ms")]
    TimedOut {
        /// `host:port`.
        address: Arc<str>,
        /// What was asked.
        api: ApiKey,
        /// How long the answer was waited for, in milliseconds.
        timeout_ms: u64,
    },
    /// Both sides share no version of the API.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The request cannot be written in the version that both sides speak.
    #[error("the request cannot be written: {0}")]
    Encode(#[from] EncodeError),
    /// The response is not what it should be.
    #[error("the response cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// The broker refused to tell its versions.
    #[error("{address} refused ApiVersions with {error}: is it a Kafka broker?")]
    Handshake {
        /// `host:port`.
        address: Arc<str>,
        /// What it said.
        error: ErrorCode,
    },
}

impl ConnectionError {
    /// Whether the request certainly had no effect, because it was never sent.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotSent { .. } | Self::Version(_) | Self::Encode(_) => true,
            Self::Lost { .. } | Self::TimedOut { .. } | Self::Decode(_) | Self::Handshake { .. } => false,
        }
    }

    /// Whether the same request may succeed on another connection.
    pub fn is_retriable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::NotSent { .. } | Self::Lost { .. } | Self::TimedOut { .. }
        )
    }
}

/// An open connection to a broker. Clones share it; it closes when the last one is dropped and nothing is in
/// flight.
#[derive(Clone)]
pub struct ClientConnection {
    handle: Arc<Handle>,
}

/// The software that brokers are told about.
const SOFTWARE_NAME: Str = Str::from_static("vltava");
const SOFTWARE_VERSION: Str = Str::from_static(env!("CARGO_PKG_VERSION"));

impl ClientConnection {
    /// Connects to `host:port` and asks which versions are served there.
    pub async fn open(
        runtime: &Runtime,
        host: &str,
        port: u16,
        settings: &ConnectionSettings,
    ) -> Result<ClientConnection, ConnectionError> {
        let address: Arc<str> = format!("{host}:{port}").into();
        let unreachable = |reason: String| ConnectionError::Unreachable {
            address: address.clone(),
            reason: reason.as_str().into(),
        };
        let stream = match runtime.timeout(settings.connect_timeout, runtime.connect(host, port)).await {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => return Err(unreachable(error.to_string())),
            None => {
                return Err(unreachable(format!("no answer in {} ms", settings.connect_timeout.as_millis())));
            }
        };
        let mut connection = ClientConnection::start(runtime, stream, address.clone(), settings);
        let response = connection.ask_versions().await?;
        let handle = Arc::get_mut(&mut connection.handle).expect("nobody else has seen the connection");
        handle.versions = ServedVersions::new(&response);
        Ok(connection)
    }

    fn start(
        runtime: &Runtime,
        stream: Connection,
        address: Arc<str>,
        settings: &ConnectionSettings,
    ) -> ClientConnection {
        let shared = Arc::new(Shared::new(address));
        let driver = Driver::new(runtime.clone(), stream, shared.clone(), settings.max_response_bytes);
        runtime.spawn("client connection", driver.run());
        ClientConnection {
            handle: Arc::new(Handle {
                runtime: runtime.clone(),
                shared,
                versions: ServedVersions::default(),
                client_id: settings.client_id.clone(),
                request_timeout: settings.request_timeout,
                permits: Arc::new(Semaphore::new(settings.max_in_flight.max(1))),
            }),
        }
    }

    /// The highest version first; a broker that does not know it says which one it does know (KIP-511).
    async fn ask_versions(&self) -> Result<ApiVersionsResponse, ConnectionError> {
        let request = ApiVersionsRequest {
            client_software_name: SOFTWARE_NAME,
            client_software_version: SOFTWARE_VERSION,
            ..Default::default()
        };
        let mut version = *ApiVersionsRequest::VERSIONS.end();
        loop {
            let body = self.send::<ApiVersions>(&request, version).await?.body().await?;
            let response = ApiVersionsResponse::decode(&body, version)
                .or_else(|error| ApiVersionsResponse::decode(&body, 0).map_err(|_| error))?;
            match ErrorCode::from_i16(response.error_code) {
                ErrorCode::None => return Ok(response),
                ErrorCode::UnsupportedVersion if version > 0 => {
                    let own = response.api_keys.iter().find(|api| api.api_key == ApiVersions::CODE);
                    version = own.map_or(0, |api| api.max_version).clamp(0, version - 1);
                }
                error => {
                    let address = self.handle.shared.address.clone();
                    return Err(ConnectionError::Handshake { address, error });
                }
            }
        }
    }

    /// What the broker serves.
    pub fn versions(&self) -> &ServedVersions {
        &self.handle.versions
    }

    /// `host:port` of the broker.
    pub fn address(&self) -> &Arc<str> {
        &self.handle.shared.address
    }

    /// Whether requests can still be sent.
    pub fn is_open(&self) -> bool {
        self.handle.shared.lock().ended.is_none()
    }

    /// Sends `request` in the highest version that both sides speak, and waits for the response.
    pub async fn request<A: Api>(&self, request: &A::Request) -> Result<A::Response, ConnectionError> {
        let version = self.handle.versions.choose::<A>(i16::MAX)?;
        self.request_version::<A>(request, version).await
    }

    /// Sends `request` in `version`, and waits for the response.
    pub async fn request_version<A: Api>(
        &self,
        request: &A::Request,
        version: i16,
    ) -> Result<A::Response, ConnectionError> {
        self.send::<A>(request, version).await?.response().await
    }

    /// Sends `request` in `version`, and returns as soon as it stands in line: requests of one caller go out
    /// in the order of their calls. Waits while as many as allowed are in flight.
    pub async fn send<A: Api>(
        &self,
        request: &A::Request,
        version: i16,
    ) -> Result<InFlight<A>, ConnectionError> {
        let permit = self.handle.permit().await?;
        let (reply, receiver) = oneshot::channel();
        let expected = Expected {
            correlation_id: 0,
            api: A::KEY,
            deadline: self.handle.runtime.now() + self.handle.request_timeout,
            timeout: self.handle.request_timeout,
            reply,
            _permit: permit,
        };
        self.handle.enqueue::<A>(request, version, Awaits::Response(expected))?;
        Ok(InFlight { receiver, version, shared: self.handle.shared.clone(), api: std::marker::PhantomData })
    }

    /// Sends a request that the broker does not answer, as Produce with `acks` 0, and returns when the
    /// operating system has it: a program that ends then loses nothing.
    pub async fn send_unanswered<A: Api>(
        &self,
        request: &A::Request,
        version: i16,
    ) -> Result<(), ConnectionError> {
        let _permit = self.handle.permit().await?;
        let (written, receiver) = oneshot::channel();
        self.handle.enqueue::<A>(request, version, Awaits::Nothing(Unanswered { written, _permit }))?;
        receiver.await.map_err(|_| self.handle.shared.lost("it ended before the request was written"))
    }
}

impl std::fmt::Debug for ClientConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ClientConnection").field(&self.handle.shared.address).finish()
    }
}

/// A request that was sent and whose response has not been read.
pub struct InFlight<A: Api> {
    receiver: oneshot::Receiver<Result<Bytes, ConnectionError>>,
    version: i16,
    shared: Arc<Shared>,
    api: std::marker::PhantomData<A>,
}

impl<A: Api> InFlight<A> {
    /// The version that the request was sent in.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Waits for the response.
    pub async fn response(self) -> Result<A::Response, ConnectionError> {
        let version = self.version;
        let body = self.body().await?;
        Ok(A::Response::decode(&body, version)?)
    }

    async fn body(self) -> Result<Bytes, ConnectionError> {
        let header_version = A::KEY.response_header_version(self.version);
        let frame = match self.receiver.await {
            Ok(result) => result?,
            // The driver died without a word: its task was killed together with the node.
            Err(_) => return Err(self.shared.lost("the node stopped")),
        };
        let (_, body) = ResponseHeader::decode(&frame, header_version)?;
        Ok(body)
    }
}

/// What all clones of a connection share; the driver ends once it is dropped.
struct Handle {
    runtime: Runtime,
    shared: Arc<Shared>,
    versions: ServedVersions,
    client_id: Option<Str>,
    request_timeout: Duration,
    permits: Arc<Semaphore>,
}

impl Handle {
    async fn permit(&self) -> Result<OwnedSemaphorePermit, ConnectionError> {
        let permit = self.permits.clone().acquire_owned().await;
        Ok(permit.expect("the semaphore is never closed"))
    }

    /// Encodes the request behind those that wait to be written.
    fn enqueue<A: Api>(
        &self,
        request: &A::Request,
        version: i16,
        awaits: Awaits,
    ) -> Result<(), ConnectionError> {
        let mut state = self.shared.lock();
        if let Some(reason) = &state.ended {
            return Err(self.shared.not_sent(reason));
        }
        let correlation_id = state.next_correlation_id;
        let header = RequestHeader {
            api_key: A::KEY,
            api_version: version,
            correlation_id,
            client_id: self.client_id.clone(),
            unknown_tags: Default::default(),
        };
        let writer = &mut state.writer;
        writer.begin_frame();
        header.encode(writer);
        if let Err(error) = request.encode(version, writer) {
            writer.abandon_frame();
            return Err(error.into());
        }
        writer.end_frame()?;
        state.next_correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        match awaits {
            Awaits::Response(expected) => {
                state.expected.push_back(Expected { correlation_id, ..expected });
            }
            Awaits::Nothing(permit) => state.unanswered.push(permit),
        }
        state.wake();
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.abandoned = true;
        state.wake();
    }
}
