//! Requests and responses of any API and version against any bytes. The first two bytes choose both; the rest
//! is the body.

use bytes::Bytes;
use vltava::protocol::{ApiKey, EncodeError, Request, Response, Writer};

/// Fails where reading a request breaks a promise.
pub fn check_request(data: &[u8]) {
    let Some((key, version, body)) = chosen(data) else { return };
    if let Ok(request) = Request::decode(key, version, &body) {
        let bytes = written(|w| request.encode(version, w));
        let again = Request::decode(key, version, &bytes).expect("what was written");
        assert_eq!(written(|w| again.encode(version, w)), bytes);
        assert_eq!(again.to_json(version), request.to_json(version));
    }
}

/// Fails where reading a response breaks a promise.
pub fn check_response(data: &[u8]) {
    let Some((key, version, body)) = chosen(data) else { return };
    if let Ok(response) = Response::decode(key, version, &body) {
        let bytes = written(|w| response.encode(version, w));
        let again = Response::decode(key, version, &bytes).expect("what was written");
        assert_eq!(written(|w| again.encode(version, w)), bytes);
        assert_eq!(again.to_json(version), response.to_json(version));
    }
}

fn chosen(data: &[u8]) -> Option<(ApiKey, i16, Bytes)> {
    let [key, version, body @ ..] = data else { return None };
    let key = ApiKey::ALL[usize::from(*key) % ApiKey::ALL.len()];
    let versions = key.versions();
    let version = versions.start() + i16::from(*version) % (versions.end() - versions.start() + 1);
    Some((key, version, Bytes::copy_from_slice(body)))
}

/// What could be read can be written. Floats that are no numbers are unequal to themselves, so bytes are
/// compared and not messages.
fn written(encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>) -> Bytes {
    let mut w = Writer::new();
    encode(&mut w).expect("what was read");
    w.finish().into_bytes()
}
