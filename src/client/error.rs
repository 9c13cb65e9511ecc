//! What goes wrong between a client and a cluster, in sentences.

use crate::connection::ConnectionError;
use crate::protocol::ApiKey;
use crate::types::ErrorCode;
use std::sync::Arc;

/// Why an operation on the cluster failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A setting that cannot work.
    #[error("{setting} = {value:?} is not usable: {reason}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: Arc<str>,
        /// What is wrong, and what would be right.
        reason: &'static str,
    },
    /// No broker answers, neither those that are known nor the bootstrap servers.
    #[error(
        "none of the brokers {servers} can be reached ({reason}); is the address right, and does one run?"
    )]
    NoBroker {
        /// Whom it was tried with.
        servers: Arc<str>,
        /// What the last of them said.
        reason: Arc<str>,
    },
    /// A broker that was named as leader is not in the list of brokers.
    #[error("broker {0} is not in the cluster's list of brokers at present; it may be down")]
    BrokerAway(i32),
    /// The connection failed, or the broker does not speak the API.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The broker answered with an error.
    #[error("{}", refusal(.api, .subject, *.error, .message))]
    Refused {
        /// What was asked.
        api: ApiKey,
        /// For what: a topic, a partition, the cluster.
        subject: Arc<str>,
        /// The error.
        error: ErrorCode,
        /// What the broker said besides.
        message: Option<Arc<str>>,
    },
    /// The broker's answer leaves out what was asked for.
    #[error("the broker's answer to {api} says nothing about {subject}")]
    Unanswered {
        /// What was asked.
        api: ApiKey,
        /// What is missing.
        subject: Arc<str>,
    },
    /// The partition has no leader now.
    #[error("{0} has no leader at present, so nobody can serve it; its replicas may be down")]
    NoLeader(Arc<str>),
    /// It was tried again until the time was over.
    #[error("{what} did not succeed within {timeout_ms} ms; last: {last}")]
    TimedOut {
        /// What was tried.
        what: Arc<str>,
        /// For how long, in milliseconds.
        timeout_ms: u64,
        /// How the last attempt ended.
        last: Box<ClientError>,
    },
}

impl ClientError {
    /// Whether the same attempt may succeed a little later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::NoBroker { .. } | Self::BrokerAway(_) | Self::NoLeader(_) | Self::Unanswered { .. } => true,
            Self::Connection(error) => error.is_retriable(),
            Self::Refused { error, .. } => error.is_retriable(),
            Self::Setting { .. } | Self::TimedOut { .. } => false,
        }
    }

    /// The broker's error, where there is one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { error, .. } => Some(*error),
            Self::TimedOut { last, .. } => last.code(),
            _ => None,
        }
    }

    /// `Ok` unless `code` is an error.
    pub(super) fn check(
        api: ApiKey,
        subject: impl std::fmt::Display,
        code: i16,
        message: Option<&str>,
    ) -> Result<(), ClientError> {
        if code == ErrorCode::None.code() {
            return Ok(());
        }
        Err(ClientError::Refused {
            api,
            subject: subject.to_string().into(),
            error: ErrorCode::from_i16(code),
            message: message.filter(|text| !text.is_empty()).map(Into::into),
        })
    }
}

fn refusal(api: &ApiKey, subject: &str, error: ErrorCode, message: &Option<Arc<str>>) -> String {
    if *api == ApiKey::Metadata && error == ErrorCode::UnknownTopicOrPartition {
        return format!("there is no topic {subject}");
    }
    format!("{api} for {subject} was refused: {error}{}", detail(message))
}

pub(super) fn detail(message: &Option<Arc<str>>) -> String {
    message.as_ref().map_or(String::new(), |message| format!(": {message}"))
}
