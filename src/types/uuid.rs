//! Kafka's 16-byte ids: topics, directories, clusters, incarnations. Their text is base64url without padding,
//! 22 letters.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

/// A 16-byte id. All zeros means none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

/// The text is not an id: not 22 letters of base64url.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an id: 16 bytes in base64url, 22 letters, were expected")]
pub struct UuidError(String);

impl Uuid {
    /// None: no topic id, no directory.
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// The topic id of `__cluster_metadata`.
    pub const METADATA_TOPIC: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// A version 4 id made from 128 random bits. Like Kafka's, its text never starts with a dash, and it is
    /// never one of the hundred reserved ids: the version bits forbid those, and a dash is avoided by
    /// clearing the first bit.
    pub fn from_random(high: u64, low: u64) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        bytes[0] &= 0x7f;
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Uuid(bytes)
    }

    /// Whether this is one of the ids below 100 that Kafka keeps for itself (0 migrating, 1 unassigned, 2
    /// lost).
    pub fn is_reserved(self) -> bool {
        u128::from_be_bytes(self.0) < 100
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Uuid, UuidError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| UuidError(text.to_owned()))?;
        bytes.try_into().map(Uuid).map_err(|_| UuidError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_base64url_as_kafka_writes_it() {
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAQ".parse(), Ok(Uuid::METADATA_TOPIC));
        assert!("AAAA".parse::<Uuid>().is_err());
        assert!("not an id, not an id, no".parse::<Uuid>().is_err());
    }

    #[test]
    fn random_ids_are_never_reserved_and_never_start_with_a_dash() {
        assert!(Uuid::ZERO.is_reserved());
        assert!(Uuid::METADATA_TOPIC.is_reserved());
        assert!(!Uuid::from_random(0, 0).is_reserved());
        assert!(!Uuid::from_random(u64::MAX, u64::MAX).to_string().starts_with('-'));
    }
}
