//! Frames that lie about lengths: reading them ends in an error or a message, and never takes more memory
//! than a fixed multiple of the frame. A counting allocator watches.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use crate::wire_vectors::{Vector, api_key, messages};
use bytes::Bytes;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use vltava::protocol::{Request, RequestHeader, Response};

/// Bytes of memory that reading may take for each byte of a frame. An empty string takes one byte there and
/// 32 here, and a growing list holds up to three times its elements for a moment.
const MEMORY_PER_FRAME_BYTE: usize = 80;
/// What even the smallest frame may take.
const MEMORY_PER_FRAME: usize = 1024;

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Tests run on threads of their own, so each counts for itself. A thread that is going away counts no more.
fn count(bytes: isize) {
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new may live side by side for a moment.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that was held at once while `work` ran, beyond what was held before.
fn peak(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before) as usize
}

/// Reads the frame as the vector's kind of message, and holds it to its memory.
fn read(vector: &Vector<'_>, frame: &Bytes) {
    let key = api_key(vector.name);
    let taken = peak(|| match vector.kind {
        "request" => drop(Request::decode(key, vector.version, frame)),
        _ => drop(Response::decode(key, vector.version, frame)),
    });
    let allowed = frame.len() * MEMORY_PER_FRAME_BYTE + MEMORY_PER_FRAME;
    assert!(
        taken <= allowed,
        "{} {} {}: {taken} bytes of memory for {} of a frame, {} each\n{frame:02x?}",
        vector.kind,
        vector.name,
        vector.version,
        frame.len(),
        taken / frame.len().max(1),
    );
}

#[test]
fn the_allocator_counts() {
    assert!(peak(|| drop(Vec::<u8>::with_capacity(1_000_000))) >= 1_000_000);
}

#[test]
fn frames_cut_short_are_errors() {
    for vector in messages() {
        for length in 0..vector.bytes.len() {
            let cut = vector.bytes.slice(..length);
            let key = api_key(vector.name);
            let error = match vector.kind {
                "request" => Request::decode(key, vector.version, &cut).err(),
                _ => Response::decode(key, vector.version, &cut).err(),
            };
            // Flexible messages have no end of their own but the count of tags, so no prefix is a message.
            let error = error.unwrap_or_else(|| panic!("{} of {} {length}", vector.kind, vector.name));
            assert!(!error.field.is_empty(), "an error names its field: {error:?}");
        }
    }
}

/// Numbers that are the same in every run.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as usize
    }
}

#[test]
fn random_damage_costs_no_more_than_the_frame_is_worth() {
    let mut random = SplitMix(7);
    for vector in messages() {
        for _ in 0..8 {
            let mut frame = vector.bytes.to_vec();
            for _ in 0..=random.next() % 3 {
                let at = random.next() % frame.len().max(1);
                match random.next() % 4 {
                    0 => frame.truncate(at),
                    1 => frame.splice(at..at, [0xff, 0xff, 0xff, 0x7f]).for_each(drop),
                    2 => frame.extend_from_within(at..),
                    _ => frame.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.next() as u8),
                }
            }
            read(&vector, &Bytes::from(frame));
        }
    }
}

/// At every place of a small message, a length that claims the rest of a larger frame, and a rest that reads
/// as empty strings, empty lists, nulls or zeros: one of the places is an array, and it gets its elements.
#[test]
fn arrays_that_claim_the_whole_frame_get_what_it_backs() {
    const REST: usize = 512;
    for vector in messages().filter(|vector| vector.bytes.len() < 40) {
        for at in 0..vector.bytes.len() {
            for fill in [0x00, 0x01, 0xff] {
                let compact = [0x80 | (REST & 0x7f) as u8, (REST >> 7) as u8].to_vec();
                for length in [compact, (REST as u32).to_be_bytes().to_vec()] {
                    let mut frame = vector.bytes[..at].to_vec();
                    frame.extend_from_slice(&length);
                    frame.resize(frame.len() + REST, fill);
                    read(&vector, &Bytes::from(frame));
                }
            }
        }
    }
}

#[test]
fn headers_of_any_bytes_are_headers_or_errors() {
    for vector in messages().filter(|vector| vector.kind == "request") {
        let mut frame = api_key(vector.name).code().to_be_bytes().to_vec();
        frame.extend_from_slice(&vector.version.to_be_bytes());
        frame.extend_from_slice(&vector.bytes);
        let frame = Bytes::from(frame);
        let taken = peak(|| drop(RequestHeader::decode(&frame)));
        assert!(taken <= frame.len() * MEMORY_PER_FRAME_BYTE + MEMORY_PER_FRAME);
    }
}
