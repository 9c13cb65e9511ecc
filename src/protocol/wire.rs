//! How each kind of value is read and written, and what every message can do. Structs and messages get theirs
//! from the macros in `language.rs`.

use super::error::{DecodeError, DecodeProblem, EncodeError, EncodeProblem};
use super::json::ToJson;
use super::reader::Reader;
use super::writer::Writer;
use crate::types::{Str, Uuid};
use bytes::Bytes;
use std::ops::{RangeBounds, RangeInclusive};

type Result<T> = std::result::Result<T, DecodeError>;

/// The first flexible version of a message that has none.
pub const NEVER_FLEXIBLE: i16 = i16::MAX;

/// A value with bytes; which ones depends on the version that reader and writer carry.
pub trait Wire: Sized {
    /// Reads one value.
    fn read(r: &mut Reader<'_>) -> Result<Self>;
    /// Writes the value. What cannot be written is noted in the writer, and reported by [`Message::encode`].
    fn write(&self, w: &mut Writer);
    /// Reads the value of a tagged field.
    #[inline]
    fn read_tagged(r: &mut Reader<'_>) -> Result<Self> {
        Self::read(r)
    }
    /// Writes the value of a tagged field.
    #[inline]
    fn write_tagged(&self, w: &mut Writer) {
        self.write(w);
    }
}

/// A whole request, response, header or record, as Kafka's schemas define it.
pub trait Message:
    Wire + ToJson + Default + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static
{
    /// Kafka's name, such as `FetchRequest`.
    const NAME: &'static str;
    /// The versions that Kafka 4.3 knows.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tags (KIP-482), or [`NEVER_FLEXIBLE`].
    const FIRST_FLEXIBLE: i16;

    /// Reads the message at the start of `bytes`, and ignores what follows it, as Kafka does with requests.
    fn decode(bytes: &Bytes, version: i16) -> Result<Self> {
        read_message(&mut Reader::new(bytes, version, version >= Self::FIRST_FLEXIBLE))
    }

    /// Reads the message that `bytes` are, to the last one.
    fn decode_exact(bytes: &Bytes, version: i16) -> Result<Self> {
        let mut r = Reader::new(bytes, version, version >= Self::FIRST_FLEXIBLE);
        let message = read_message(&mut r)?;
        r.end().map_err(|problem| problem.at(Self::NAME))?;
        Ok(message)
    }

    /// Reads a 16-bit version and the message in that version.
    fn decode_versioned(bytes: &Bytes) -> Result<Self> {
        let (version, body) = split_version::<Self>(bytes)?;
        Self::decode(&body, version)
    }

    /// Reads a 16-bit version and the message; a version newer than all known is read as the newest known
    /// one, for messages whose versions only ever add fields at the end.
    fn decode_versioned_or_newer(bytes: &Bytes) -> Result<Self> {
        let (version, body) = split_version::<Self>(bytes)?;
        Self::decode(&body, version.min(*Self::VERSIONS.end()))
    }

    /// Writes the message. After an error the writer holds an unusable part of it.
    fn encode(&self, version: i16, w: &mut Writer) -> std::result::Result<(), EncodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(EncodeProblem::UnsupportedVersion(version).at(Self::NAME));
        }
        w.version = version;
        w.flexible = version >= Self::FIRST_FLEXIBLE;
        self.write(w);
        w.check(Self::NAME)
    }

    /// The message alone, in one piece.
    fn to_bytes(&self, version: i16) -> std::result::Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        self.encode(version, &mut w)?;
        Ok(w.finish().into_bytes())
    }

    /// A 16-bit version and the message in that version, in one piece.
    fn to_versioned_bytes(&self, version: i16) -> std::result::Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        w.put(&version.to_be_bytes());
        self.encode(version, &mut w)?;
        Ok(w.finish().into_bytes())
    }
}

fn split_version<M: Message>(bytes: &Bytes) -> Result<(i16, Bytes)> {
    let mut r = Reader::new(bytes, 0, false);
    let version = r.i16().map_err(|problem| problem.at(M::NAME))?;
    Ok((version, r.rest()))
}

fn read_message<M: Message>(r: &mut Reader<'_>) -> Result<M> {
    if !M::VERSIONS.contains(&r.version) {
        return Err(DecodeProblem::UnsupportedVersion(r.version).at(M::NAME));
    }
    M::read(r)
}

/// Whether `versions` of a field contain `version`.
#[inline]
pub(crate) fn carries(versions: impl RangeBounds<i16>, version: i16) -> bool {
    versions.contains(&version)
}

/// Tagged fields that this code does not know, kept so that they survive being read and written (KIP-482).
/// Costs one pointer where there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::box_collection)]
pub struct Tags(Option<Box<Vec<(u32, Bytes)>>>);

impl Tags {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Tags and their values, the tags ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Bytes)> {
        self.0.iter().flat_map(|tags| tags.iter()).map(|(tag, value)| (*tag, value))
    }

    /// Adds a tag above all others.
    pub fn push(&mut self, tag: u32, value: Bytes) {
        assert!(self.iter().last().is_none_or(|(last, _)| last < tag), "tags ascend");
        self.0.get_or_insert_default().push((tag, value));
    }
}

/// Writes the tagged fields of one struct, known and unknown, in ascending order.
pub(crate) struct TagWriter<'a> {
    unknown: std::iter::Peekable<std::slice::Iter<'a, (u32, Bytes)>>,
}

impl<'a> TagWriter<'a> {
    /// Writes how many there will be.
    pub(crate) fn begin(w: &mut Writer, known: u32, unknown: &'a Tags) -> TagWriter<'a> {
        let unknown = unknown.0.as_deref().map_or(&[][..], Vec::as_slice);
        w.uvarint(known + unknown.len() as u32);
        TagWriter { unknown: unknown.iter().peekable() }
    }

    /// A known field.
    pub(crate) fn known<T: Wire>(&mut self, w: &mut Writer, tag: u32, value: &T, field: &'static str) {
        while let Some((unknown, bytes)) = self.unknown.next_if(|(unknown, _)| *unknown < tag) {
            w.tagged(*unknown, |w| w.put(bytes));
        }
        if self.unknown.peek().is_some_and(|(unknown, _)| *unknown == tag) {
            w.fail(EncodeProblem::TagOrder(tag), field);
        }
        w.tagged(tag, |w| value.write_tagged(w));
    }

    /// The unknown fields that are left.
    pub(crate) fn end(self, w: &mut Writer) {
        for (tag, bytes) in self.unknown {
            w.tagged(*tag, |w| w.put(bytes));
        }
    }
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Wire for $number {
            #[inline]
            fn read(r: &mut Reader<'_>) -> Result<Self> {
                Ok(<$number>::from_be_bytes(r.array()?))
            }
            #[inline]
            fn write(&self, w: &mut Writer) {
                w.put(&self.to_be_bytes());
            }
        }
    )* };
}
numbers!(i8, i16, u16, i32, i64, f64);

impl Wire for bool {
    /// Anything but 0 is true, as in Kafka.
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let [byte] = r.array()?;
        Ok(byte != 0)
    }
    #[inline]
    fn write(&self, w: &mut Writer) {
        w.put(&[u8::from(*self)]);
    }
}

impl Wire for Uuid {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Uuid(r.array()?))
    }
    #[inline]
    fn write(&self, w: &mut Writer) {
        w.put(&self.0);
    }
}

impl Wire for Option<Str> {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let Some(length) = r.string_length()? else { return Ok(None) };
        Ok(Some(r.string(length)?))
    }
    #[inline]
    fn write(&self, w: &mut Writer) {
        match self {
            None => w.string_length(None),
            Some(text) => text.write(w),
        }
    }
}

impl Wire for Str {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Option::read(r)?.ok_or(DecodeProblem::UnexpectedNull.into())
    }
    #[inline]
    fn write(&self, w: &mut Writer) {
        let bytes = self.as_bytes();
        w.string_length(Some(bytes.len()));
        w.put(bytes);
    }
}

impl Wire for Option<Bytes> {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let Some(length) = r.array_length()? else { return Ok(None) };
        Ok(Some(r.share(length)?))
    }
    #[inline]
    fn write(&self, w: &mut Writer) {
        match self {
            None => w.array_length(None),
            Some(bytes) => bytes.write(w),
        }
    }
}

impl Wire for Bytes {
    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Option::read(r)?.ok_or(DecodeProblem::UnexpectedNull.into())
    }
    #[inline]
    fn write(&self, w: &mut Writer) {
        w.array_length(Some(self.len()));
        w.put_payload(self);
    }
}

impl<T: Wire> Wire for Option<Vec<T>> {
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let Some(length) = r.array_length()? else { return Ok(None) };
        let mut list = r.list(length);
        let start = r.remaining();
        for read in 0..length {
            if read == list.capacity() {
                // Doubles at most, and stops where the list ends or the bytes would, were the rest like what
                // is read.
                let likely = r.remaining().saturating_mul(read) / (start - r.remaining()).max(1);
                list.reserve_exact(read.min(likely).min(length - read).max(1));
            }
            list.push(T::read(r)?);
        }
        Ok(Some(list))
    }
    fn write(&self, w: &mut Writer) {
        match self {
            None => w.array_length(None),
            Some(list) => list.write(w),
        }
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Option::read(r)?.ok_or(DecodeProblem::UnexpectedNull.into())
    }
    fn write(&self, w: &mut Writer) {
        w.array_length(Some(self.len()));
        for element in self {
            element.write(w);
        }
    }
}

/// A nullable struct: a byte, negative for null, then the struct. In a tagged field Kafka puts an unsigned
/// variable-length integer there instead, 0 for null.
impl<T: Wire> Wire for Option<Box<T>> {
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        if i8::read(r)? < 0 { Ok(None) } else { Ok(Some(Box::new(T::read(r)?))) }
    }
    fn write(&self, w: &mut Writer) {
        match self {
            None => (-1i8).write(w),
            Some(inner) => {
                1i8.write(w);
                inner.write(w);
            }
        }
    }
    fn read_tagged(r: &mut Reader<'_>) -> Result<Self> {
        if r.uvarint()? == 0 { Ok(None) } else { Ok(Some(Box::new(T::read(r)?))) }
    }
    fn write_tagged(&self, w: &mut Writer) {
        w.uvarint(u32::from(self.is_some()));
        if let Some(inner) = self {
            inner.write(w);
        }
    }
}
