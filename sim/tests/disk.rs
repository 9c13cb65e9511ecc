//! The simulated disk keeps what was synced, and may lose anything else.
#![cfg(madsim)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use vltava::runtime::{Disk, OpenOptions, Runtime};
use vltava_sim::clock::SECOND;
use vltava_sim::disk::DiskFaults;
use vltava_sim::node::Crash;
use vltava_sim::world::World;

/// How many seeds each test looks at.
const SEEDS: u64 = 60;

/// Runs `before` in one life of a node and `after` in the next one, which begins with the crash that is
/// given; returns what `after` found in each seed.
fn lives<T: Send + 'static>(
    how: Crash,
    faults: impl Fn(&mut DiskFaults) + Send + Copy + 'static,
    before: impl Fn(Arc<dyn Disk>) + Send + Sync + Copy + 'static,
    after: impl Fn(Arc<dyn Disk>) -> T + Send + Sync + Copy + 'static,
) -> Vec<T> {
    let run = |seed| {
        let found: Arc<Mutex<Option<T>>> = Arc::default();
        let noted = found.clone();
        let outcome = World::run(seed, false, move |world| async move {
            let first = std::sync::atomic::AtomicBool::new(true);
            let node = world.node("node", move |runtime: Runtime| {
                let is_first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
                let noted = noted.clone();
                async move {
                    if is_first {
                        before(runtime.disk());
                    } else {
                        *noted.lock().unwrap() = Some(after(runtime.disk()));
                    }
                    std::future::pending().await
                }
            });
            world.disk(node).set_faults(faults);
            world.clock().sleep(SECOND).await;
            world.crash(node, how);
            world.disk(node).set_faults(|faults| *faults = DiskFaults::default());
            world.restart(node);
            world.clock().sleep(SECOND).await;
            Ok(())
        });
        outcome.result.unwrap();
        found.lock().unwrap().take().expect("the second life ran to its end")
    };
    (0..SEEDS).map(run).collect()
}

fn good(_: &mut DiskFaults) {}

fn write(disk: &dyn Disk, path: &str, bytes: &[u8], sync: bool) {
    let file = disk.open(Path::new(path), OpenOptions::CREATE).unwrap();
    file.write_at(bytes, 0).unwrap();
    if sync {
        file.sync_data().unwrap();
    }
}

fn read(disk: &dyn Disk, path: &str) -> Option<Vec<u8>> {
    disk.read(Path::new(path), u64::MAX).ok()
}

#[test]
fn a_process_crash_keeps_what_was_written() {
    let found = lives(
        Crash::Process,
        good,
        |disk| {
            disk.create_dir(Path::new("/a")).unwrap();
            write(&*disk, "/a/file", b"bytes", false);
        },
        |disk| read(&*disk, "/a/file"),
    );
    assert!(found.iter().all(|bytes| bytes.as_deref() == Some(b"bytes")));
}

#[test]
fn power_loss_keeps_synced_bytes_under_synced_names() {
    let found = lives(
        Crash::Power,
        good,
        |disk| {
            disk.create_dir_all(Path::new("/a/b")).unwrap();
            write(&*disk, "/a/b/file", b"bytes", true);
            disk.sync_dir(Path::new("/a/b")).unwrap();
            disk.replace(Path::new("/a/b/small"), b"one").unwrap();
            disk.replace(Path::new("/a/b/small"), b"two").unwrap();
        },
        |disk| (read(&*disk, "/a/b/file").unwrap(), read(&*disk, "/a/b/small").unwrap()),
    );
    assert!(found.iter().all(|(file, small)| file == b"bytes" && small == b"two"));
}

#[test]
fn a_name_without_a_synced_directory_may_be_lost_although_its_bytes_are_synced() {
    let found = lives(
        Crash::Power,
        good,
        |disk| write(&*disk, "/file", b"bytes", true),
        |disk| read(&*disk, "/file"),
    );
    assert!(found.contains(&None) && found.contains(&Some(b"bytes".to_vec())));
}

#[test]
fn a_rename_that_was_not_synced_leaves_the_old_or_the_new_file() {
    let found = lives(
        Crash::Power,
        good,
        |disk| {
            write(&*disk, "/file", b"old", true);
            write(&*disk, "/file.tmp", b"new", true);
            disk.sync_dir(Path::new("/")).unwrap();
            disk.rename(Path::new("/file.tmp"), Path::new("/file")).unwrap();
        },
        |disk| (read(&*disk, "/file").unwrap(), read(&*disk, "/file.tmp").is_some()),
    );
    let found: BTreeSet<_> = found.into_iter().collect();
    let expected = [(b"new".to_vec(), false), (b"old".to_vec(), true)];
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn changes_of_names_may_survive_out_of_order() {
    let found = lives(
        Crash::Power,
        good,
        |disk| {
            write(&*disk, "/one", b"1", false);
            write(&*disk, "/two", b"2", false);
        },
        |disk| (disk.exists(Path::new("/one")).unwrap(), disk.exists(Path::new("/two")).unwrap()),
    );
    let found: BTreeSet<_> = found.into_iter().collect();
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn a_full_disk_takes_what_fits_and_has_room_again_when_a_file_is_gone() {
    let found = lives(
        Crash::Process,
        |faults| faults.capacity = 8 * 4096,
        |disk| {
            write(&*disk, "/first", &[1; 4 * 4096], false);
            let file = disk.open(Path::new("/second"), OpenOptions::CREATE).unwrap();
            let error = file.write_at(&[2; 5 * 4096], 0).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
            assert_eq!(file.len().unwrap(), 4 * 4096, "what fitted is there");
            assert_eq!(disk.space(Path::new("/")).unwrap().free, 0);
            file.write_at(&[3; 4096], 0).unwrap();
            assert!(file.allocate(0, 5 * 4096).is_err());
            file.set_len(4096).unwrap();
            assert_eq!(disk.space(Path::new("/")).unwrap().free, 3 * 4096);
            disk.remove(Path::new("/first")).unwrap();
            assert_eq!(disk.space(Path::new("/")).unwrap().free, 7 * 4096);
            file.allocate(0, 8 * 4096).unwrap();
        },
        |disk| read(&*disk, "/second").unwrap().len(),
    );
    assert!(found.iter().all(|length| *length == 8 * 4096));
}

#[test]
fn a_failed_sync_is_followed_by_one_that_lies() {
    let found = lives(
        Crash::Power,
        |faults| faults.sync_error = 0.5,
        |disk| {
            write(&*disk, "/file", &[1; 4096], false);
            let file = disk.open(Path::new("/file"), OpenOptions::WRITE).unwrap();
            while file.sync_data().is_err() {}
            while disk.sync_dir(Path::new("/")).is_err() {}
        },
        |disk| read(&*disk, "/file").unwrap(),
    );
    let whole = found.iter().filter(|bytes| **bytes == [1; 4096]).count();
    assert!((1..SEEDS as usize).contains(&whole), "{whole} of {SEEDS} survived");
}

#[test]
fn errors_are_the_operating_systems() {
    lives(
        Crash::Process,
        good,
        |disk| {
            let code = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();
            disk.create_dir(Path::new("/a")).unwrap();
            write(&*disk, "/a/file", b"", false);
            let path = Path::new;
            assert_eq!(code(disk.create_dir(path("/a"))), Some(17));
            assert_eq!(code(disk.remove_dir(path("/a"))), Some(39));
            assert_eq!(code(disk.remove(path("/a"))), Some(21));
            assert_eq!(code(disk.rename(path("/a/file"), path("/a"))), Some(21));
            assert_eq!(code(disk.rename(path("/b"), path("/c"))), Some(2));
            assert_eq!(code(disk.create_dir(path("/b/c"))), Some(2));
            assert_eq!(code(disk.create_dir(path("/a/file/c"))), Some(20));
            assert_eq!(code(disk.open(path("/a"), OpenOptions::WRITE).map(drop)), Some(21));
            let new = OpenOptions { create_new: true, ..OpenOptions::CREATE };
            assert_eq!(code(disk.open(path("/a/file"), new).map(drop)), Some(17));
            let file = disk.open(path("/a/file"), OpenOptions::READ).unwrap();
            assert_eq!(code(file.write_at(b"x", 0)), Some(9));
            let names: Vec<_> = disk.read_dir(path("/a")).unwrap().into_iter().map(|e| e.name).collect();
            assert_eq!(names, ["file"]);
        },
        drop,
    );
}

#[test]
fn a_lock_is_taken_once_and_dies_with_its_process() {
    let found = lives(
        Crash::Process,
        good,
        |disk| {
            let lock = disk.lock(Path::new("/.lock")).unwrap();
            let second = disk.lock(Path::new("/.lock")).unwrap_err();
            assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock);
            drop(lock);
            std::mem::forget(disk.lock(Path::new("/.lock")).unwrap());
        },
        |disk| disk.lock(Path::new("/.lock")).is_ok(),
    );
    assert!(found.iter().all(|locked| *locked));
}

#[test]
fn bytes_are_not_always_in_memory() {
    let found = lives(
        Crash::Process,
        |faults| faults.cold_read = 0.5,
        |disk| write(&*disk, "/file", &[1; 100], false),
        |disk| {
            let file = disk.open(Path::new("/file"), OpenOptions::READ).unwrap();
            let mut buffer = [0; 100];
            (0..50).map(|_| file.read_cached(&mut buffer, 0).ok()).collect::<Vec<_>>()
        },
    );
    let all: Vec<Option<usize>> = found.into_iter().flatten().collect();
    assert!(
        all.contains(&None) && all.contains(&Some(100)) && all.iter().any(|n| n.is_some_and(|n| n < 100))
    );
}

/// A small file is replaced as `replace` does it, with a crash at each disk operation in turn: the next life
/// always finds the old or the new bytes.
#[test]
fn replacing_a_file_survives_a_crash_at_every_operation() {
    for how in [Crash::Process, Crash::Power] {
        let mut seen = BTreeSet::new();
        for point in 0..12 {
            for seed in 0..SEEDS / 4 {
                let outcome = World::run(seed, false, move |world| async move {
                    let node = world.node("node", |runtime| async move {
                        let disk = runtime.disk();
                        if disk.replace(Path::new("/state"), b"old").is_ok() {
                            let _ = disk.replace(Path::new("/state"), b"new");
                        }
                        std::future::pending().await
                    });
                    world.disk(node).crash_after(point, how);
                    world.clock().sleep(SECOND).await;
                    assert_eq!(world.get(node).is_alive(), point >= 10, "five operations for each");
                    world.crash(node, how);
                    Ok(world.disk(node).read(Path::new("/state")).ok())
                });
                let bytes = outcome.result.unwrap();
                assert!(bytes.is_some() || point < 5, "point {point}: the first bytes are lost");
                assert!(
                    bytes.as_deref() == Some(b"new") || point < 10,
                    "point {point}: the new bytes are lost"
                );
                seen.insert(bytes);
            }
        }
        assert_eq!(seen, BTreeSet::from([None, Some(b"old".to_vec()), Some(b"new".to_vec())]));
    }
}
