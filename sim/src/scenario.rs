//! What is run in a world: programs, the faults that strike them, and the checks on what they promised.

pub mod fault;
pub mod history;
pub mod journal;
pub mod log;
pub mod smoke;

use crate::situation;
use crate::world::{Outcome, World};
use std::future::Future;
use std::pin::Pin;

/// A scenario in a world; it fails with the sentence that says which guarantee was broken.
type Run = fn(World) -> Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// A scenario that a campaign can run.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// The situations that a large campaign of it must reach.
    pub situations: &'static [&'static str],
    run: Run,
}

/// Every scenario; the first is run unless another is asked for.
pub const ALL: &[Scenario] = &[
    Scenario { name: "smoke", situations: situation::OF_A_BROKER, run: |world| Box::pin(smoke::run(world)) },
    Scenario { name: "log", situations: situation::OF_A_LOG, run: |world| Box::pin(log::run(world)) },
    Scenario {
        name: "journal",
        situations: situation::OF_A_DISK,
        run: |world| Box::pin(journal::run(world, journal::Options::default())),
    },
];

impl Scenario {
    /// The scenario called `name`.
    pub fn named(name: &str) -> Option<&'static Scenario> {
        ALL.iter().find(|scenario| scenario.name == name)
    }

    /// Runs it with `seed`; `text` keeps the text of the trace.
    pub fn run(&self, seed: u64, text: bool) -> Outcome<()> {
        World::run(seed, text, self.run)
    }
}
