//! Which parts of a file have had their CRCs checked since it was opened.

/// Parts that are kept apart; when there are more, the shortest is forgotten, and would be checked again.
const MAX_RANGES: usize = 16;

/// Disjoint ranges of positions, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CheckedRanges(Vec<(u64, u64)>);

impl CheckedRanges {
    /// Adds `from..to`, both of which are borders of batches.
    pub(super) fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        if let Some(last) = self.0.last_mut()
            && last.0 <= from
            && from <= last.1
        {
            last.1 = last.1.max(to);
            return;
        }
        let first = self.0.partition_point(|range| range.1 < from);
        let behind = self.0.partition_point(|range| range.0 <= to);
        let merged = self.0[first..behind]
            .iter()
            .fold((from, to), |all, range| (all.0.min(range.0), all.1.max(range.1)));
        self.0.splice(first..behind, [merged]);
        if self.0.len() > MAX_RANGES {
            let shortest = (0..self.0.len()).min_by_key(|&index| self.0[index].1 - self.0[index].0);
            self.0.remove(shortest.expect("there are ranges"));
        }
    }

    /// Whether all of `from..to` was added.
    pub(super) fn contains(&self, from: u64, to: u64) -> bool {
        let index = self.0.partition_point(|range| range.1 < to);
        from >= to || self.0.get(index).is_some_and(|range| range.0 <= from && to <= range.1)
    }

    /// Forgets what lies at `end` and behind it.
    pub(super) fn truncate(&mut self, end: u64) {
        self.0.retain(|range| range.0 < end);
        if let Some(last) = self.0.last_mut() {
            last.1 = last.1.min(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_counts_as_checked_that_was_not_added(
            steps in prop::collection::vec((0..4u8, 0..60u64, 0..12u64), 0..40),
        ) {
            let (mut ranges, mut model) = (CheckedRanges::default(), [false; 80]);
            for (step, from, length) in steps {
                if step == 0 {
                    ranges.truncate(from);
                    model[from as usize..].fill(false);
                } else {
                    ranges.add(from, from + length);
                    model[from as usize..(from + length) as usize].fill(true);
                }
                for from in 0..72 {
                    for to in from..72 {
                        let expected = model[from..to].iter().all(|checked| *checked);
                        let checked = ranges.contains(from as u64, to as u64);
                        prop_assert!(expected || !checked, "{:?}", ranges);
                        prop_assert!(checked || !expected || ranges.0.len() == MAX_RANGES, "{:?}", ranges);
                    }
                }
            }
        }
    }

    #[test]
    fn there_are_never_more_ranges_than_the_bound() {
        let mut ranges = CheckedRanges::default();
        for index in 0..100 {
            ranges.add(index * 10, index * 10 + 5);
        }
        assert!(ranges.0.len() <= MAX_RANGES);
    }
}
