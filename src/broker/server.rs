//! Accepts connections and gives each its task. A listener that cannot accept for a moment tries again; a
//! connection that fails or breaks the protocol ends alone.

use super::Broker;
use super::pipeline::Pipeline;
use crate::config::Endpoint;
use crate::runtime::{Listener, Task};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Pause after an accept that failed, for example because the process has no file handle left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listener}://{host}:{port}: {error}; {hint}")]
pub struct BindError {
    listener: String,
    host: String,
    port: u16,
    error: io::Error,
    hint: &'static str,
}

/// An open listener.
pub struct BoundListener {
    /// As configured, with the port that was chosen where that was 0.
    pub endpoint: Endpoint,
    listener: Listener,
}

/// Opens a listener; an empty host means every interface.
pub async fn bind(
    broker_runtime: &crate::runtime::Runtime,
    endpoint: &Endpoint,
) -> Result<BoundListener, BindError> {
    let host = if endpoint.host.is_empty() { "0.0.0.0" } else { &endpoint.host };
    let bound = broker_runtime.bind(host, endpoint.port).await;
    let chosen = bound.and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
    match chosen {
        Ok((port, listener)) => {
            Ok(BoundListener { endpoint: Endpoint { port, ..endpoint.clone() }, listener })
        }
        Err(error) => Err(BindError {
            listener: endpoint.listener.clone(),
            host: host.to_owned(),
            port: endpoint.port,
            hint: match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program, perhaps a broker, has that port: stop it, or give another in listeners"
                }
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need a privilege: give a higher one in listeners"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address: correct the host in listeners"
                }
                _ => "correct listeners",
            },
            error,
        }),
    }
}

/// Serves a listener until the task is aborted.
pub fn serve(broker: Arc<Broker>, bound: BoundListener) -> Task {
    let runtime = broker.runtime.clone();
    runtime.spawn("accept", accept_all(broker, bound))
}

async fn accept_all(broker: Arc<Broker>, bound: BoundListener) {
    let name: Arc<str> = bound.endpoint.listener.as_str().into();
    loop {
        let accepted = bound.listener.accept().await;
        let connection = match accepted.and_then(|connection| Ok((connection.peer_addr()?, connection))) {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(
                    "listener {name} could not accept a connection: {error}; it goes on in a moment"
                );
                broker.runtime.sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let (peer, connection) = connection;
        let Some(permit) = broker.connections.admit() else {
            tracing::warn!("the connection from {peer} is refused: max.connections are open");
            continue;
        };
        let pipeline = Pipeline::new(broker.clone(), connection, name.clone());
        broker.runtime.spawn("connection", async move {
            let _permit = permit;
            if let Err(reason) = pipeline.run().await {
                tracing::info!("the connection from {peer} was closed: {reason}");
            }
        });
    }
}
