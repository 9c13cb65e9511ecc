//! What stands before each request and response in its frame. It knows which version of header each API has,
//! and judges neither the API's version nor the body.

use super::api::ApiKey;
use super::error::{DecodeError, DecodeProblem};
use super::reader::Reader;
use super::wire::{Tags, Wire};
use super::writer::Writer;
use crate::types::Str;
use bytes::Bytes;

/// The header of a request; its version is [`ApiKey::request_header_version`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which API is called.
    pub api_key: ApiKey,
    /// The version of the API that the body is in. It may be one that nobody knows.
    pub api_version: i16,
    /// The client's number for this request, given back in the response.
    pub correlation_id: i32,
    /// The client's name for itself; its length has two bytes even in flexible versions, so that any broker
    /// can read it.
    pub client_id: Option<Str>,
    /// Tagged fields that this code does not know.
    pub unknown_tags: Tags,
}

impl RequestHeader {
    /// Reads the header at the start of a frame without its size, and gives the body behind it. An API key
    /// that Kafka 4.3 does not know is an error, an unknown version is not: ApiVersions is answered in any.
    pub fn decode(frame: &Bytes) -> Result<(RequestHeader, Bytes), DecodeError> {
        let mut r = Reader::new(frame, 0, false);
        let header = read_request(&mut r).map_err(|error| error.within("RequestHeader"))?;
        Ok((header, r.rest()))
    }

    /// Writes the header.
    pub fn encode(&self, w: &mut Writer) {
        w.flexible = false;
        w.put(&self.api_key.code().to_be_bytes());
        w.put(&self.api_version.to_be_bytes());
        w.put(&self.correlation_id.to_be_bytes());
        self.client_id.write(w);
        if self.api_key.is_flexible(self.api_version) {
            write_tags(w, &self.unknown_tags);
        }
    }
}

fn read_request(r: &mut Reader<'_>) -> Result<RequestHeader, DecodeError> {
    let code = r.i16()?;
    let api_key = ApiKey::from_i16(code).ok_or(DecodeProblem::UnknownType(i32::from(code)))?;
    let api_version = r.i16()?;
    let correlation_id = r.i32()?;
    let client_id = Option::read(r)?;
    let unknown_tags = if api_key.is_flexible(api_version) { read_tags(r)? } else { Tags::default() };
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id, unknown_tags })
}

/// The header of a response; its version is [`ApiKey::response_header_version`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseHeader {
    /// The number of the request that is answered.
    pub correlation_id: i32,
    /// Tagged fields that this code does not know; version 0 has none.
    pub unknown_tags: Tags,
}

impl ResponseHeader {
    /// Reads the header of `version` at the start of a frame without its size, and gives the body behind it.
    pub fn decode(frame: &Bytes, version: i16) -> Result<(ResponseHeader, Bytes), DecodeError> {
        let mut r = Reader::new(frame, version, false);
        let header = read_response(&mut r, version).map_err(|error| error.within("ResponseHeader"))?;
        Ok((header, r.rest()))
    }

    /// Writes the header in `version`.
    pub fn encode(&self, version: i16, w: &mut Writer) {
        w.put(&self.correlation_id.to_be_bytes());
        if version >= 1 {
            write_tags(w, &self.unknown_tags);
        }
    }
}

fn read_response(r: &mut Reader<'_>, version: i16) -> Result<ResponseHeader, DecodeError> {
    let correlation_id = r.i32()?;
    let unknown_tags = if version >= 1 { read_tags(r)? } else { Tags::default() };
    Ok(ResponseHeader { correlation_id, unknown_tags })
}

fn read_tags(r: &mut Reader<'_>) -> Result<Tags, DecodeError> {
    let mut tags = Tags::default();
    let mut last = None;
    for _ in 0..r.uvarint()? {
        let (tag, value) = r.tag(&mut last)?;
        tags.push(tag, value.rest());
    }
    Ok(tags)
}

fn write_tags(w: &mut Writer, tags: &Tags) {
    super::wire::TagWriter::begin(w, 0, tags).end(w);
}
