//! Why bytes are not a message, and why a message is not bytes.

/// Bytes that are not the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct DecodeError {
    /// What is wrong.
    pub problem: DecodeProblem,
    /// The innermost struct and field that was being read, such as `FetchTopic.topic_id`.
    pub field: &'static str,
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeProblem {
    /// The bytes end inside a value, or a length says more than there is.
    #[error("the bytes end before the value does")]
    Truncated,
    /// A length below -1.
    #[error("a length is negative")]
    NegativeLength,
    /// A string that is not UTF-8.
    #[error("the string is not UTF-8")]
    InvalidUtf8,
    /// A null where this version knows none.
    #[error("null is not allowed in this version")]
    UnexpectedNull,
    /// More than 32 bits of variable-length integer.
    #[error("a variable-length integer has more than 32 bits")]
    VarintTooLong,
    /// A tag that is not above the one before it: repeated or out of order (KIP-482).
    #[error("tag {0} does not come after the tag before it; tags ascend and do not repeat")]
    TagOrder(u32),
    /// A message, record or tag that does not end where its value does.
    #[error("bytes are left over behind the value")]
    TrailingBytes,
    /// No version of the message that this code knows.
    #[error("version {0} of the message is not known")]
    UnsupportedVersion(i16),
    /// An API key, record type or frame version that this code does not know.
    #[error("type {0} is not known")]
    UnknownType(i32),
}

impl DecodeProblem {
    /// The error, before anybody knows the field.
    pub fn at(self, field: &'static str) -> DecodeError {
        DecodeError { problem: self, field }
    }
}

impl From<DecodeProblem> for DecodeError {
    #[inline]
    fn from(problem: DecodeProblem) -> DecodeError {
        problem.at("")
    }
}

impl DecodeError {
    /// Names the field unless an inner one has been named.
    #[cold]
    pub(crate) fn within(self, field: &'static str) -> DecodeError {
        if self.field.is_empty() { self.problem.at(field) } else { self }
    }
}

/// A message that cannot be written in the version that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct EncodeError {
    /// What is wrong.
    pub problem: EncodeProblem,
    /// The struct and field, or the message where no field is to blame.
    pub field: &'static str,
}

/// What is wrong with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeProblem {
    /// A value other than the default in a field that this version does not carry and that may not be lost.
    #[error("the field is set, but this version of the message does not carry it")]
    NotCarried,
    /// A null where this version knows none.
    #[error("null is not allowed in this version")]
    UnexpectedNull,
    /// A string, array or frame longer than its length can say.
    #[error("the value is longer than its length field can say")]
    TooLong,
    /// An unknown tag that this version knows, or two alike.
    #[error("tag {0} occurs twice or out of order")]
    TagOrder(u32),
    /// No version of the message that this code knows.
    #[error("version {0} of the message is not known")]
    UnsupportedVersion(i16),
}

impl EncodeProblem {
    /// The error at `field`.
    pub fn at(self, field: &'static str) -> EncodeError {
        EncodeError { problem: self, field }
    }
}
