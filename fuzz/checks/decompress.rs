//! Codecs against any bytes: an error or no more than the limit, the same in pieces as at once, and what was
//! compressed comes back. The first byte chooses the codec, the rest is data.

use bytes::Bytes;
use vltava::protocol::records::{Codec, Compression, Decoder, compress, decompress};

const LIMIT: usize = 1 << 20;

/// Fails where a promise of the codecs does not hold for `data`.
pub fn check(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let codec = Codec::ALL[usize::from(*choice) % Codec::ALL.len()];
    let data = Bytes::copy_from_slice(data);
    let whole = decompress(codec, &data, LIMIT);
    if codec != Codec::None {
        assert!(whole.as_ref().is_ok_and(|plain| plain.len() <= LIMIT) || whole.is_err());
        assert_eq!(in_pieces(codec, &data), whole.ok());
    }
    let mut compressed = Vec::new();
    compress(Compression::new(codec), &data, &mut compressed);
    assert_eq!(decompress(codec, &compressed.into(), data.len()), Ok(data));
}

fn in_pieces(codec: Codec, data: &Bytes) -> Option<Bytes> {
    let mut decoder = Decoder::new(codec, data.clone(), LIMIT).ok()?;
    let (mut all, mut piece) = (Vec::new(), Vec::new());
    loop {
        let more = decoder.append_to(&mut piece).ok()?;
        assert_eq!(more, !piece.is_empty());
        if !more {
            return Some(all.into());
        }
        all.append(&mut piece);
    }
}
