//! Dice. Every component draws from a stream of its own, so that one more disk operation does not move the
//! network's dice: small changes to the code under test leave most of a seed's faults where they were.

use std::ops::Range;

/// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

/// The golden ratio in 64 bits: the step of splitmix64.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of splitmix64: every bit of `value` moves every bit of the result.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

impl Random {
    /// The stream called `name` with this `index`, of this seed.
    pub fn stream(seed: u64, name: &str, index: u64) -> Random {
        let named = name.bytes().fold(mix(seed ^ STEP), |hash, byte| mix(hash ^ u64::from(byte)));
        Random(mix(named ^ mix(index.wrapping_add(STEP))))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `limit`; 0 when `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.next_u64() % limit }
    }

    /// A number of `range`; its start when it is empty.
    pub fn range(&mut self, range: &Range<u64>) -> u64 {
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// Whether something happens that has this `probability`.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are what a double holds.
        probability > 0.0 && ((self.next_u64() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        assert!(!choices.is_empty(), "there must be something to choose from");
        &choices[self.below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_name_and_index_and_repeat() {
        let draw = |seed, name, index| Random::stream(seed, name, index).next_u64();
        let draws = [draw(1, "disk", 0), draw(2, "disk", 0), draw(1, "network", 0), draw(1, "disk", 1)];
        for (index, one) in draws.iter().enumerate() {
            assert!(draws[index + 1..].iter().all(|other| other != one));
        }
        assert_eq!(draw(1, "disk", 0), draws[0]);
    }

    #[test]
    fn chances_come_out_about_right() {
        let mut random = Random::stream(7, "test", 0);
        let hits = (0..10_000).filter(|_| random.chance(0.2)).count();
        assert!((1_800..2_200).contains(&hits), "{hits}");
        assert!(!random.chance(0.0) && random.chance(1.0));
        assert_eq!((random.below(0), random.range(&(5..5)), random.range(&(5..6))), (0, 5, 5));
    }
}
