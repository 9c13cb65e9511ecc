//! Faults that strike while a workload runs. Each seed draws a few kinds and strikes with these alone, again
//! and again, so that seeds differ in kind and not only in detail.
//!
//! A fault undoes itself before its future ends: when no fault runs, the world is whole. To add one, write a
//! function and name it in [`ALL`].

use crate::clock::{MILLISECOND, SECOND};
use crate::network::Link;
use crate::node::{Crash, NodeId};
use crate::random::Random;
use crate::situation;
use crate::world::World;
use std::sync::atomic::{AtomicBool, Ordering};
use vltava::runtime::BoxFuture;

/// A kind of fault.
pub struct Fault {
    /// Its name, with its code in the list of faults that the broker must bear.
    pub name: &'static str,
    /// Whether what was not synced may be lost by it.
    pub loses_power: bool,
    strike: for<'a> fn(&'a World, Targets<'a>, &'a mut Random) -> BoxFuture<'a, ()>,
}

/// Whom faults strike.
#[derive(Clone, Copy)]
pub struct Targets<'a> {
    /// Nodes that may crash and stand still.
    pub servers: &'a [NodeId],
    /// All nodes with links between them.
    pub all: &'a [NodeId],
}

/// Every kind.
pub const ALL: &[Fault] = &[
    Fault {
        name: "p1-process",
        loses_power: false,
        strike: |w, t, r| Box::pin(crash(w, t, r, Crash::Process)),
    },
    Fault { name: "p1-power", loses_power: true, strike: |w, t, r| Box::pin(crash(w, t, r, Crash::Power)) },
    Fault {
        name: "p1-process-at-io",
        loses_power: false,
        strike: |w, t, r| Box::pin(crash_at_io(w, t, r, Crash::Process)),
    },
    Fault {
        name: "p1-power-at-io",
        loses_power: true,
        strike: |w, t, r| Box::pin(crash_at_io(w, t, r, Crash::Power)),
    },
    Fault { name: "p2-pause", loses_power: false, strike: |w, t, r| Box::pin(pause(w, t, r)) },
    Fault { name: "n1-slow-link", loses_power: false, strike: |w, t, r| Box::pin(slow_link(w, t, r)) },
    Fault { name: "n2-isolate", loses_power: false, strike: |w, t, r| Box::pin(isolate(w, t, r)) },
    Fault { name: "n3-reset", loses_power: false, strike: |w, t, r| Box::pin(reset(w, t, r)) },
    Fault { name: "n4-clog", loses_power: false, strike: |w, t, r| Box::pin(clog(w, t, r)) },
    Fault { name: "d7-slow-disk", loses_power: false, strike: |w, t, r| Box::pin(slow_disk(w, t, r)) },
];

/// The kinds that a seed strikes with, and their dice.
pub struct Faults {
    chosen: Vec<&'static Fault>,
    random: Random,
}

impl Faults {
    /// Draws up to three kinds of `allowed`; one seed in ten has none.
    pub fn draw(world: &World, allowed: impl Fn(&Fault) -> bool) -> Faults {
        let mut random = world.random("faults");
        let mut left: Vec<&Fault> = ALL.iter().filter(|fault| allowed(fault)).collect();
        let wanted = if random.chance(0.1) { 0 } else { 1 + random.below(3) };
        let mut chosen = Vec::new();
        for _ in 0..wanted.min(left.len() as u64) {
            chosen.push(left.swap_remove(random.below(left.len() as u64) as usize));
        }
        for fault in &chosen {
            world.trace().text("fault.chosen", format_args!("{}", fault.name));
        }
        Faults { chosen, random }
    }

    /// Whether any of them may lose what was not synced.
    pub fn lose_power(&self) -> bool {
        self.chosen.iter().any(|fault| fault.loses_power)
    }

    /// Strikes, one fault at a time, until `done`.
    pub async fn strike(&mut self, world: &World, targets: Targets<'_>, done: &AtomicBool) {
        while !done.load(Ordering::Relaxed) {
            let pause = self.random.below(400 * MILLISECOND);
            world.clock().sleep(10 * MILLISECOND + pause).await;
            if self.chosen.is_empty() || done.load(Ordering::Relaxed) {
                continue;
            }
            let fault = *self.random.pick(&self.chosen);
            world.trace().text("fault.strike", format_args!("{}", fault.name));
            (fault.strike)(world, targets, &mut self.random).await;
        }
    }
}

/// A server dies and is started again a while later.
async fn crash(world: &World, targets: Targets<'_>, random: &mut Random, how: Crash) {
    let victim = *random.pick(targets.servers);
    if world.get(victim).is_alive() {
        note(world, how);
    }
    world.crash(victim, how);
    revive(world, victim, random, how).await;
}

/// A server dies in one of its next disk operations.
async fn crash_at_io(world: &World, targets: Targets<'_>, random: &mut Random, how: Crash) {
    let victim = *random.pick(targets.servers);
    let more = if random.chance(0.5) { random.below(10) } else { random.below(200) };
    world.disk(victim).crash_after(more, how);
    let patience = random.range(&(100 * MILLISECOND..2 * SECOND));
    let node = world.get(victim);
    vltava::runtime::race(node.until_down(), world.clock().sleep(patience)).await;
    world.disk(victim).cancel_crash();
    if !node.is_alive() {
        note(world, how);
        world.sometimes(situation::CRASHED_AT_IO);
        revive(world, victim, random, how).await;
    }
}

/// Starts a node that is down, and has it crash once more in the same way while it recovers, sometimes.
async fn revive(world: &World, victim: NodeId, random: &mut Random, how: Crash) {
    world.clock().sleep(random.below(500 * MILLISECOND)).await;
    world.restart(victim);
    if random.chance(0.2) {
        let down = world.get(victim);
        world.disk(victim).crash_after(random.below(20), how);
        vltava::runtime::race(down.until_down(), world.clock().sleep(SECOND / 2)).await;
        world.disk(victim).cancel_crash();
        if !down.is_alive() {
            world.sometimes(situation::CRASHED_IN_RECOVERY);
            world.restart(victim);
        }
    }
}

fn note(world: &World, how: Crash) {
    world.sometimes(match how {
        Crash::Process => situation::CRASHED,
        Crash::Power => situation::POWER_LOST,
    });
}

/// A server stands still.
async fn pause(world: &World, targets: Targets<'_>, random: &mut Random) {
    let victim = *random.pick(targets.servers);
    world.pause(victim);
    let nanos = if random.chance(0.8) { random.below(500 * MILLISECOND) } else { random.below(40 * SECOND) };
    world.clock().sleep(nanos).await;
    world.resume(victim);
}

/// One direction between two nodes is slow, narrow and lossy.
async fn slow_link(world: &World, targets: Targets<'_>, random: &mut Random) {
    let latency = random.range(&(MILLISECOND..100 * MILLISECOND));
    let (loss, stall) = (random.below(10) as f64 / 100.0, random.below(30) as f64 / 100.0);
    let bytes_per_second = *random.pick(&[10_000, 1_000_000, 125_000_000]);
    change_link(world, targets, random, |link| {
        *link = Link { latency: latency..3 * latency, loss, stall, bytes_per_second, ..link.clone() };
    })
    .await;
}

/// One direction between two nodes does not work.
async fn clog(world: &World, targets: Targets<'_>, random: &mut Random) {
    change_link(world, targets, random, |link| link.clogged = true).await;
}

async fn change_link(
    world: &World,
    targets: Targets<'_>,
    random: &mut Random,
    change: impl FnOnce(&mut Link),
) {
    let (from, to) = (*random.pick(targets.all), *random.pick(targets.all));
    if from == to {
        return;
    }
    let mut before = Link::default();
    world.network().edit_link(from, to, |link| {
        before = link.clone();
        change(link);
    });
    world.clock().sleep(random.below(5 * SECOND)).await;
    world.network().edit_link(from, to, |link| *link = before);
}

/// Nobody reaches a server, and it reaches nobody.
async fn isolate(world: &World, targets: Targets<'_>, random: &mut Random) {
    let victim = *random.pick(targets.servers);
    world.network().isolate(victim, true);
    world.clock().sleep(random.below(5 * SECOND)).await;
    world.network().isolate(victim, false);
}

/// Connections between two nodes are reset after some of the bytes that they carry next.
async fn reset(world: &World, targets: Targets<'_>, random: &mut Random) {
    let (from, to) = (*random.pick(targets.all), *random.pick(targets.all));
    let bytes = *random.pick(&[0, 3, 4, 20, 300, 5_000]);
    world.network().reset_after(from, to, random.below(bytes + 1));
}

/// A server's disk is slow now and then.
async fn slow_disk(world: &World, targets: Targets<'_>, random: &mut Random) {
    let disk = world.disk(*random.pick(targets.servers));
    let slow = *random.pick(&[0.01, 0.2]);
    disk.set_faults(|faults| faults.slow = slow);
    world.clock().sleep(random.below(3 * SECOND)).await;
    disk.set_faults(|faults| faults.slow = 0.0);
}
