//! Lives of nodes, and the promise that a seed decides everything.
#![cfg(madsim)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vltava::runtime::{Event, OpenOptions, Runtime};
use vltava_sim::clock::SECOND;
use vltava_sim::node::Crash;
use vltava_sim::scenario;
use vltava_sim::scenario::journal::{self, Options};
use vltava_sim::world::World;

#[test]
fn the_same_seed_does_the_same_twice_and_others_differ() {
    for scenario in scenario::ALL {
        let hash = |seed| scenario.run(seed, false).trace.hash;
        let hashes: Vec<u64> = (0..20).map(hash).collect();
        assert_eq!(hashes, (0..20).map(hash).collect::<Vec<_>>());
        let mut distinct = hashes;
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 20);
        let text = |seed| scenario.run(seed, true).trace.text.unwrap();
        assert_eq!(text(5), text(5));
    }
}

#[test]
fn another_process_does_the_same() {
    for scenario in scenario::ALL {
        let run = |jobs: &str| {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_vltava-sim"))
                .args(["run", "--seeds", "20", "--start", "3", "--hashes", "--jobs", jobs])
                .args(["--scenario", scenario.name])
                .output()
                .unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        let lines = run("1");
        assert_eq!(lines, run("2"));
        let hash = |seed| scenario.run(seed, false).trace.hash;
        let expected = (3..23).map(|seed| format!("{seed} {:016x}\n", hash(seed)));
        assert_eq!(lines, expected.collect::<String>(), "{}", scenario.name);
    }
}

/// Whether some of the seeds catches a journal that leaves something out.
fn caught(options: Options) -> bool {
    let run = |seed| World::run(seed, false, move |world| journal::run(world, options));
    (0..100).any(|seed| run(seed).result.is_err())
}

#[test]
fn a_journal_loses_nothing_and_a_missing_sync_is_caught() {
    assert!(!caught(Options::default()));
    assert!(caught(Options { sync_data: false, ..Options::default() }), "no sync of the file");
    assert!(caught(Options { sync_dir: false, ..Options::default() }), "no sync of the directory");
}

#[test]
fn a_panic_in_any_task_fails_the_run_with_its_sentence() {
    let outcome = World::run(1, false, |world| async move {
        world.node("node", |runtime: Runtime| async move {
            let task = runtime.spawn("bad", async { panic!("this is a test") });
            let _ = task.join().await;
        });
        world.clock().sleep(SECOND).await;
        Ok(())
    });
    assert_eq!(outcome.result, Err("panic: this is a test".to_owned()));
}

#[test]
fn a_dead_life_does_nothing_more() {
    let outcome = World::run(1, false, |world| async move {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        world.on_event(move |_, event| {
            if let Event::Sometimes(name) = event {
                noted.lock().unwrap().push(*name);
            }
        });
        let node = world.node("node", |runtime: Runtime| async move {
            let disk = runtime.disk();
            let file = disk.open(Path::new("/file"), OpenOptions::CREATE).unwrap();
            runtime.observe(|| Event::Sometimes("before"));
            // The crash strikes here: the life is over although this task has not yielded yet.
            assert!(file.write_at(b"one", 0).is_err());
            runtime.observe(|| Event::Sometimes("after"));
            assert!(file.write_at(b"two", 0).is_err());
            assert!(disk.open(Path::new("/other"), OpenOptions::CREATE).is_err());
            assert!(runtime.bind("node", 1).await.is_err());
        });
        world.disk(node).crash_after(1, Crash::Process);
        world.get(node).until_down().await;
        world.clock().sleep(SECOND).await;
        assert_eq!(*seen.lock().unwrap(), ["before"]);
        assert!(world.disk(node).read(Path::new("/other")).is_err());
        assert_ne!(world.disk(node).read(Path::new("/file")).unwrap(), b"two");
        Ok(())
    });
    outcome.result.unwrap();
}

#[test]
fn a_node_that_halts_is_down_and_says_why() {
    let outcome = World::run(1, false, |world| async move {
        let steps = Arc::new(AtomicU64::new(0));
        let counted = steps.clone();
        let node = world.node("node", move |runtime: Runtime| {
            let steps = counted.clone();
            async move {
                runtime.halt("The disk is gone.");
                steps.fetch_add(1, Ordering::Relaxed);
                runtime.sleep(Duration::from_millis(1)).await;
                steps.fetch_add(1, Ordering::Relaxed);
            }
        });
        world.clock().sleep(SECOND).await;
        assert_eq!(world.get(node).halted().as_deref(), Some("The disk is gone."));
        assert_eq!(steps.load(Ordering::Relaxed), 1, "it runs on until its next yield only");
        Ok(())
    });
    outcome.result.unwrap();
}

#[test]
fn slow_inline_writes_hold_up_all_tasks_of_a_node() {
    let outcome = World::run(1, false, |world| async move {
        let late = Arc::new(AtomicU64::new(0));
        let noted = late.clone();
        let node = world.node("node", move |runtime: Runtime| {
            let late = noted.clone();
            async move {
                let (ticking, other) = (runtime.clone(), late.clone());
                runtime.spawn("tick", async move {
                    ticking.sleep(Duration::from_millis(50)).await;
                    other.store(ticking.now().0, Ordering::Relaxed);
                });
                runtime.sleep(Duration::from_millis(10)).await;
                runtime.disk().create_dir(Path::new("/slow")).unwrap();
                std::future::pending().await
            }
        });
        world.disk(node).set_faults(|faults| (faults.slow, faults.slow_nanos) = (1.0, SECOND..SECOND + 1));
        world.clock().sleep(3 * SECOND).await;
        assert!(late.load(Ordering::Relaxed) > SECOND, "the tick waited for the write");
        Ok(())
    });
    outcome.result.unwrap();
}
