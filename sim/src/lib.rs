//! Vltava inside a seeded simulator: the broker's own code runs on a virtual clock, a simulated network and
//! simulated disks; the seed decides every delay, fault and crash, so that a failure replays from its seed.
//!
//! madsim gives the executor with its random order of tasks, the virtual clock, and killing and pausing
//! nodes. Network, disk and the lives of nodes are our own. Nothing here is part of a release.

#[cfg(not(madsim))]
compile_error!(
    "the simulator needs `--cfg madsim`, which .cargo/config.toml sets; a RUSTFLAGS variable replaces \
     those flags: unset it, or add `--cfg madsim` to it"
);

#[cfg(madsim)]
pub mod clock;
#[cfg(madsim)]
pub mod disk;
#[cfg(madsim)]
mod environment;
#[cfg(madsim)]
mod messages;
#[cfg(madsim)]
pub mod network;
#[cfg(madsim)]
pub mod node;
#[cfg(madsim)]
pub mod random;
#[cfg(madsim)]
pub mod scenario;
#[cfg(madsim)]
pub mod situation;
#[cfg(madsim)]
pub mod trace;
#[cfg(madsim)]
pub mod world;
