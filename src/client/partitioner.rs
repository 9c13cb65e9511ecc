//! Which partition a record goes to: by the hash of its key, as every client of Kafka's Java library computes
//! it, or, without a key, wherever the batch in progress is going.

use crate::types::Uuid;

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The 32-bit Murmur2 of `data`, with the seed that Kafka uses.
pub fn murmur2(data: &[u8]) -> u32 {
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

/// The partition of a record with `key`, of a topic with `partitions` partitions.
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions
}

/// Where records without a key go: to one partition until a batch's worth of bytes has gone there, then to
/// another one drawn at random, so that batches are full and partitions even (KIP-794).
#[derive(Debug, Default)]
pub(super) struct Sticky {
    partition: i32,
    left_bytes: usize,
    /// The topic for which the partition was chosen.
    topic_id: Uuid,
}

impl Sticky {
    /// The partition for a record of `bytes`, out of `candidates`, which is not empty. `random` is asked for
    /// 64 bits when a new partition has to be drawn.
    pub fn choose(
        &mut self,
        topic_id: Uuid,
        candidates: &[i32],
        bytes: usize,
        batch_bytes: usize,
        random: impl FnOnce() -> u64,
    ) -> i32 {
        let stale = self.topic_id != topic_id || !candidates.contains(&self.partition);
        if self.left_bytes == 0 || stale {
            self.partition = candidates[(random() % candidates.len() as u64) as usize];
            self.left_bytes = batch_bytes.max(1);
            self.topic_id = topic_id;
        }
        self.left_bytes = self.left_bytes.saturating_sub(bytes.max(1));
        self.partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `org.apache.kafka.common.utils.Utils.murmur2` of Kafka 4.3.1 returns.
    const JAVA: &[(&[u8], i32)] = &[
        (b"", 275646681),
        (b"a", -1563381124),
        (b"ab", 316155434),
        (b"abc", 479470107),
        (b"abcd", -1323649548),
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("žlutý kůň".as_bytes(), 7131058),
        (&[0xff], -311467685),
        (&[0xff, 0x80], -442788720),
        (&[0xff, 0x80, 0], -616959190),
        (&[0xff, 0x80, 0, 0xfe], 218625671),
        (&[0xff, 0x80, 0, 0xfe, 0x81], 1700763136),
        (&[0xff, 0x80, 0, 0xfe, 0x81, 0xff], -119747842),
        (&[0xff, 0x80, 0, 0xfe, 0x81, 0xff, 1], -1445346675),
    ];

    #[test]
    fn the_hash_is_that_of_kafka() {
        for (data, expected) in JAVA {
            assert_eq!(murmur2(data) as i32, *expected, "{data:?}");
        }
    }

    #[test]
    fn records_without_key_stay_for_one_batch_and_move_on() {
        let mut sticky = Sticky::default();
        let mut draws = 0;
        let chosen: Vec<i32> = (0..6)
            .map(|_| {
                sticky.choose(Uuid::ZERO, &[4, 5, 6], 40, 100, || {
                    draws += 1;
                    draws
                })
            })
            .collect();
        assert_eq!(chosen, [5, 5, 5, 6, 6, 6]);
        let elsewhere = sticky.choose(Uuid::ZERO, &[7], 1, 100, || 0);
        assert_eq!(elsewhere, 7, "a partition without a leader is left at once");
    }
}
