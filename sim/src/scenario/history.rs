//! What clients asked for and were told, and the guarantees that follow from it.
//!
//! Values are unique, so that a value names its send. A power loss suspends what lay above the flushed
//! offset: such records may be gone and their offsets may be used again. All else must hold: `D0`, `D1`,
//! `O1`, `O2`, `O4` and `I1` are checked here.

use std::collections::{BTreeMap, BTreeSet};

/// A value that was sent; no two sends of a run carry the same.
pub type Value = u64;

/// The record of a run. Times are virtual nanoseconds.
#[derive(Default)]
pub struct History {
    /// An acknowledged record must be flushed (`flush.messages` = 1).
    pub flushed_before_acknowledged: bool,
    sent: BTreeMap<Value, Sent>,
    /// Values of each producer and partition in the order in which they were sent.
    order: BTreeMap<(u32, i32), Vec<Value>>,
    /// What readers saw.
    seen: BTreeMap<(i32, i64), Value>,
    flushed: BTreeMap<i32, i64>,
    losses: Vec<Loss>,
    /// Whether a broker ever died.
    died: bool,
    problem: Option<String>,
}

struct Sent {
    partition: i32,
    at: u64,
    fate: Fate,
}

/// What a producer knows of a value that it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nobody can tell whether it is in the log.
    Unknown,
    /// It is in the log, at this offset if that was told.
    Acknowledged(Option<i64>),
    /// It was in the log, and a power loss may have taken it away.
    Suspended,
    /// It certainly is not in the log.
    Failed,
}

/// A power loss, with the flushed offsets at that time.
struct Loss {
    at: u64,
    flushed: BTreeMap<i32, i64>,
}

impl Loss {
    /// Whether it may have taken the record at `offset` away that was there after `since`.
    fn reaches(&self, partition: i32, offset: i64, since: u64) -> bool {
        self.at >= since && self.flushed.get(&partition).is_none_or(|flushed| *flushed <= offset)
    }
}

impl History {
    /// `producer` sends `value` to `partition`.
    pub fn sent(&mut self, producer: u32, partition: i32, value: Value, now: u64) {
        let before = self.sent.insert(value, Sent { partition, at: now, fate: Fate::Unknown });
        assert!(before.is_none(), "values are unique");
        self.order.entry((producer, partition)).or_default().push(value);
    }

    /// The producer was told that `value` is in the log.
    pub fn acknowledged(&mut self, value: Value, offset: Option<i64>) {
        let strict = self.flushed_before_acknowledged;
        let sent = self.sent.get_mut(&value).expect("only what was sent is acknowledged");
        let (partition, at) = (sent.partition, sent.at);
        let flushed = self.flushed.get(&partition).copied().unwrap_or(0);
        let lost = self.losses.iter().any(|loss| loss.reaches(partition, offset.unwrap_or(i64::MAX), at));
        let lost = lost && !strict;
        sent.fate = if lost { Fate::Suspended } else { Fate::Acknowledged(offset) };
        if let Some(offset) = offset.filter(|offset| strict && *offset >= flushed) {
            self.complain(format!("D0: value {value} was acknowledged at {offset}, flushed is {flushed}"));
        }
    }

    /// The producer was told that `value` is not in the log and never will be.
    pub fn failed(&mut self, value: Value) {
        self.sent.get_mut(&value).expect("only what was sent fails").fate = Fate::Failed;
    }

    /// The producer was told that `value` does not follow what the broker has, and does not know whether it
    /// is there already. A broker that never died knows every batch that a producer may send again. Behind a
    /// value that was not acknowledged there may be a gap, and everything is out of order.
    pub fn out_of_order(&mut self, value: Value) {
        let own = self.order.values().find(|sent| sent.contains(&value)).into_iter().flatten();
        let mut before = own.take_while(|other| **other != value);
        if !self.died && before.all(|other| matches!(self.sent[other].fate, Fate::Acknowledged(_))) {
            self.complain(format!("I1: value {value} was sent again and refused as out of order"));
        }
    }

    /// A broker died.
    pub fn died(&mut self) {
        self.died = true;
    }

    /// A reader that asked at `asked` got `value` at `offset`.
    pub fn read(&mut self, partition: i32, offset: i64, value: Value, asked: u64) {
        match self.sent.get(&value) {
            None => self.complain(format!("O1: value {value} at {offset} was never sent")),
            Some(sent) if sent.fate == Fate::Failed => {
                self.complain(format!("O4: value {value} at {offset} had definitely failed"));
            }
            Some(_) => {}
        }
        if self.losses.iter().any(|loss| loss.reaches(partition, offset, asked)) {
            return;
        }
        let before = *self.seen.entry((partition, offset)).or_insert(value);
        if before != value {
            self.complain(format!("O1: offset {offset} of partition {partition} held {before}, now {value}"));
        }
    }

    /// Everything below `offset` is on the device.
    pub fn flushed(&mut self, partition: i32, offset: i64) {
        let flushed = self.flushed.entry(partition).or_default();
        *flushed = offset.max(*flushed);
    }

    /// The only replica lost what was not synced.
    pub fn power_lost(&mut self, now: u64) {
        let loss = Loss { at: now, flushed: self.flushed.clone() };
        self.seen.retain(|(partition, offset), _| !loss.reaches(*partition, *offset, 0));
        for sent in self.sent.values_mut() {
            if let Fate::Acknowledged(offset) = sent.fate
                && !(self.flushed_before_acknowledged && offset.is_none())
                && loss.reaches(sent.partition, offset.unwrap_or(i64::MAX), 0)
            {
                sent.fate = Fate::Suspended;
            }
        }
        self.losses.push(loss);
    }

    /// How many values are acknowledged and must be there.
    pub fn acknowledged_values(&self) -> usize {
        self.sent.values().filter(|sent| matches!(sent.fate, Fate::Acknowledged(_))).count()
    }

    /// How many of them were sent before a power loss.
    pub fn outlived_power_losses(&self) -> usize {
        let last = self.losses.iter().map(|loss| loss.at).max().unwrap_or(0);
        let outlived = |sent: &&Sent| matches!(sent.fate, Fate::Acknowledged(_)) && sent.at < last;
        self.sent.values().filter(outlived).count()
    }

    /// How many values were acknowledged, and need not be there because of a power loss.
    pub fn suspended_values(&self) -> usize {
        self.sent.values().filter(|sent| sent.fate == Fate::Suspended).count()
    }

    /// How many values nobody can tell the fate of.
    pub fn unknown_values(&self) -> usize {
        self.sent.values().filter(|sent| sent.fate == Fate::Unknown).count()
    }

    /// Checks the whole log of a partition, as it was read at the end: offsets with values, in order.
    pub fn check_log(&mut self, partition: i32, log: &[(i64, Value)], now: u64) -> Result<(), String> {
        for (offset, value) in log {
            self.read(partition, *offset, *value, now);
        }
        match self.problem.clone() {
            Some(problem) => Err(problem),
            None => self.check_once(partition, log).and_then(|()| self.check_order(partition, log)),
        }
    }

    /// `D0`, `D1`, `I1`: what was acknowledged is there, where it was said to be, and nothing is there twice.
    fn check_once(&self, partition: i32, log: &[(i64, Value)]) -> Result<(), String> {
        let mut found: BTreeMap<Value, i64> = BTreeMap::new();
        for (offset, value) in log {
            if let Some(first) = found.insert(*value, *offset) {
                return Err(format!("I1: value {value} is at {first} and at {offset}"));
            }
        }
        for (value, sent) in self.sent.iter().filter(|(_, sent)| sent.partition == partition) {
            let Fate::Acknowledged(told) = sent.fate else { continue };
            match (found.get(value), told) {
                (None, _) => {
                    return Err(format!("D1: value {value} was acknowledged ({told:?}) and is lost"));
                }
                (Some(at), Some(told)) if *at != told => {
                    return Err(format!("D1: value {value} was acknowledged at {told} and is at {at}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `O2`: one producer's values keep their order.
    fn check_order(&self, partition: i32, log: &[(i64, Value)]) -> Result<(), String> {
        let present: BTreeSet<Value> = log.iter().map(|(_, value)| *value).collect();
        for ((producer, _), sent) in self.order.iter().filter(|((_, other), _)| *other == partition) {
            let own: BTreeSet<Value> = sent.iter().copied().collect();
            let expected = sent.iter().filter(|value| present.contains(value));
            let stored = log.iter().map(|(_, value)| value).filter(|value| own.contains(value));
            if let Some((expected, stored)) =
                expected.zip(stored).find(|(expected, stored)| expected != stored)
            {
                return Err(format!("O2: value {stored} of producer {producer} stands before {expected}"));
            }
        }
        Ok(())
    }

    /// Keeps the first problem.
    fn complain(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values 1 to `count` of producer 0 to partition 0, sent at their number.
    fn sent(count: u64) -> History {
        let mut history = History::default();
        for value in 1..=count {
            history.sent(0, 0, value, value);
        }
        history
    }

    #[test]
    fn what_was_acknowledged_must_be_where_it_was_said_to_be() {
        let mut history = sent(3);
        history.acknowledged(1, Some(0));
        history.acknowledged(2, None);
        assert_eq!(history.check_log(0, &[(0, 1), (1, 2)], 9), Ok(()));
        assert_eq!(history.check_log(0, &[(0, 1), (1, 2), (2, 3)], 9), Ok(()), "3 is unknown");
        let mut history = sent(3);
        history.acknowledged(1, Some(0));
        history.acknowledged(2, None);
        assert!(history.check_log(0, &[(0, 1)], 9).unwrap_err().starts_with("D1"));
        let mut history = sent(1);
        history.acknowledged(1, Some(5));
        assert!(history.check_log(0, &[(0, 1)], 9).unwrap_err().starts_with("D1"));
    }

    #[test]
    fn one_offset_holds_one_value_that_was_sent_and_did_not_fail() {
        let mut good = sent(2);
        good.read(0, 0, 1, 5);
        assert_eq!(good.check_log(0, &[(0, 1)], 9), Ok(()));
        good.read(0, 0, 2, 5);
        assert!(good.check_log(0, &[(0, 1)], 9).unwrap_err().starts_with("O1"));
        assert!(sent(1).check_log(0, &[(0, 7)], 9).unwrap_err().starts_with("O1"));
        let mut failed = sent(1);
        failed.failed(1);
        assert!(failed.check_log(0, &[(0, 1)], 9).unwrap_err().starts_with("O4"));
    }

    #[test]
    fn values_stand_once_and_in_order() {
        assert_eq!(sent(3).check_log(0, &[(0, 1), (1, 3)], 9), Ok(()));
        assert!(sent(3).check_log(0, &[(0, 2), (1, 1)], 9).unwrap_err().starts_with("O2"));
        assert!(sent(3).check_log(0, &[(0, 1), (1, 1)], 9).unwrap_err().starts_with("I1"));
    }

    #[test]
    fn a_broker_that_lives_on_knows_what_is_sent_again() {
        let mut history = sent(1);
        history.died();
        history.out_of_order(1);
        assert_eq!(history.check_log(0, &[(0, 1)], 9), Ok(()));
        let mut history = sent(2);
        history.failed(1);
        history.out_of_order(2);
        assert_eq!(history.check_log(0, &[], 9), Ok(()), "a gap");
        let mut history = sent(3);
        history.acknowledged(1, Some(0));
        history.failed(3);
        history.out_of_order(2);
        assert!(history.check_log(0, &[(0, 1)], 9).unwrap_err().starts_with("I1"));
    }

    #[test]
    fn a_power_loss_suspends_what_is_not_flushed_and_nothing_else() {
        let mut history = sent(4);
        for value in 1..=3 {
            history.acknowledged(value, Some(value as i64 - 1));
            history.read(0, value as i64 - 1, value, 4);
        }
        history.flushed(0, 1);
        history.power_lost(10);
        // The answer to a send that was on its way when the power went.
        history.acknowledged(4, Some(3));
        assert_eq!(history.acknowledged_values(), 1);
        assert_eq!(history.check_log(0, &[(0, 1)], 20), Ok(()));
        history.sent(0, 0, 5, 11);
        assert_eq!(history.check_log(0, &[(0, 1), (1, 5)], 20), Ok(()), "the offset is used again");
        assert!(history.check_log(0, &[], 20).unwrap_err().starts_with("D1"));
    }

    #[test]
    fn flushed_before_acknowledged_is_taken_at_its_word() {
        let mut history = sent(2);
        history.flushed_before_acknowledged = true;
        history.flushed(0, 1);
        history.acknowledged(1, Some(0));
        history.power_lost(10);
        assert!(history.check_log(0, &[], 20).unwrap_err().starts_with("D1"));
        let mut history = sent(2);
        history.flushed_before_acknowledged = true;
        history.acknowledged(1, Some(0));
        assert!(history.check_log(0, &[(0, 1)], 20).unwrap_err().starts_with("D0"));
    }
}
