//! Whole request frames against any bytes: the header, and the body that it announces.

use bytes::Bytes;
use vltava::protocol::{Request, RequestHeader, Writer};

/// Fails where reading `data` breaks a promise.
pub fn check(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let Ok((header, body)) = RequestHeader::decode(&frame) else { return };
    let (key, version) = (header.api_key, header.api_version);
    assert!(frame.len() >= body.len());
    let Ok(request) = Request::decode(key, version, &body) else { return };
    assert!(key.versions().contains(&version));

    let mut w = Writer::new();
    w.begin_frame();
    header.encode(&mut w);
    request.encode(version, &mut w).expect("what was read");
    w.end_frame().expect("it is no longer than what was read");
    let written = w.finish().into_bytes();
    let (size, rest) = written.split_first_chunk::<4>().expect("a frame begins with its size");
    assert_eq!(u32::from_be_bytes(*size) as usize, rest.len());

    let (again, body) = RequestHeader::decode(&written.slice(4..)).expect("what was written");
    assert_eq!(again, header);
    let body = Request::decode(key, version, &body).expect("what was written");
    assert_eq!(body.to_json(version), request.to_json(version));
}
