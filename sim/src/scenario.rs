//! What is run in a world: programs, the faults that strike them, and the checks on what they promised.

pub mod fault;
pub mod history;
pub mod journal;

use crate::world::{Outcome, World};

/// Runs the scenario of the campaign with `seed`; `text` keeps the text of the trace.
pub fn run(seed: u64, text: bool) -> Outcome<()> {
    World::run(seed, text, |world| journal::run(world, journal::Options::default()))
}
