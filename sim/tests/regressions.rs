//! Seeds that failed once, with what was wrong. They pass for good. A seed means another run whenever the
//! code draws differently, so each bug has a test of its own besides; these are runs that are known to be
//! hard.
#![cfg(madsim)]

use vltava_sim::scenario::Scenario;

/// Replays each of `seeds`.
fn replay(scenario: &str, seeds: &[u64]) {
    let scenario = Scenario::named(scenario).expect("it is in the list");
    for &seed in seeds {
        let outcome = scenario.run(seed, false);
        assert_eq!(outcome.result, Ok(()), "cargo sim replay {seed} --trace --scenario {}", scenario.name);
    }
}

#[test]
fn a_topic_is_created_although_the_broker_is_fenced_at_first() {
    replay("smoke", &[1_012_403, 1_026_063, 1_034_412, 1_041_723, 1_043_361, 1_051_831, 1_054_323]);
}

#[test]
fn a_log_that_begins_anew_never_stands_beside_the_old_one() {
    replay("log", &[5_000_041]);
}

#[test]
fn a_lost_write_in_the_metadata_log_does_not_keep_the_broker_down() {
    replay("smoke", &[1_034_853, 1_044_364]);
}

#[test]
fn a_topic_id_that_its_writer_died_on_outlives_a_later_power_loss() {
    replay("smoke", &[1_588_339_025]);
}
