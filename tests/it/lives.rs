//! What a broker finds again in its directories, life after life, where the directories are more than one
//! clean log.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it looks from outside, at real files and clocks"
)]

use crate::broker::{batch, create, delete, fetch, produce, values};
use crate::server::{Directory, Server};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const OK: i16 = 0;

/// The override that makes a broker use two directories below `data`.
fn two_directories(data: &Path) -> String {
    format!("log.dirs={0}/a,{0}/b", data.display())
}

/// The directories below `data` whose names begin with `name`.
fn found(data: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()) {
        let entries = std::fs::read_dir(&directory).into_iter().flatten().map(|entry| entry.unwrap().path());
        found.extend(entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(name)));
    }
    found.sort();
    found
}

#[test]
fn partitions_are_found_in_whichever_of_several_directories_they_lie() {
    let directory = Directory::new();
    let dirs = two_directories(directory.path());
    let topics = ["one", "two", "three", "four", "five"];
    let server = Server::start(directory.path(), &[&dirs]);
    let mut connection = server.connect();
    for topic in topics {
        create(&mut connection, topic, 1);
        let answer = produce(&mut connection, topic, batch(&[topic]).build().into_bytes(), -1);
        assert_eq!((answer.error_code, answer.base_offset), (OK, 0), "{topic}");
    }
    let count = |name: &str| std::fs::read_dir(directory.path().join(name)).unwrap().count();
    assert!(count("a") > 3 && count("b") > 3, "both directories are used");
    let mut server = Some(server);
    for life in ["stopped", "killed", "stopped again"] {
        let last = server.take().unwrap();
        if life == "killed" {
            last.kill()
        } else {
            assert_eq!(last.stop(), Some(0))
        }
        let next = server.insert(Server::start(directory.path(), &[&dirs]));
        let mut connection = next.connect();
        for topic in topics {
            let data = fetch(&mut connection, topic, 0);
            assert_eq!((values(&data), data.high_watermark), (vec![topic.to_owned()], 1), "{life}: {topic}");
        }
    }
    for topic in topics {
        assert_eq!(found(directory.path(), topic).len(), 1, "{topic} lies in one directory");
    }
}

#[test]
fn a_metadata_directory_of_its_own_holds_no_partitions() {
    let directory = Directory::new();
    let logs = format!("log.dirs={}/logs", directory.path().display());
    let metadata = format!("metadata.log.dir={}/metadata", directory.path().display());
    let settings = [logs.as_str(), metadata.as_str()];
    let server = Server::start(directory.path(), &settings);
    for topic in ["one", "two", "three"] {
        create(&mut server.connect(), topic, 2);
        let answer = produce(&mut server.connect(), topic, batch(&[topic]).build().into_bytes(), -1);
        assert_eq!(answer.error_code, OK);
    }
    assert_eq!(server.stop(), Some(0));
    assert_eq!(found(directory.path(), "one").len(), 2);
    assert!(
        found(directory.path(), "one").iter().all(|path| path.starts_with(directory.path().join("logs")))
    );
    assert!(directory.path().join("metadata/__cluster_metadata-0").exists());
    let server = Server::start(directory.path(), &settings);
    assert_eq!(values(&fetch(&mut server.connect(), "three", 0)), ["three"]);
}

#[test]
fn a_topic_that_was_created_again_behind_a_snapshot_keeps_its_log() {
    let directory = Directory::new();
    let often = "metadata.log.max.snapshot.interval.ms=1500";
    let server = Server::start(directory.path(), &[often]);
    let mut connection = server.connect();
    create(&mut connection, "again", 1);
    produce(&mut connection, "again", batch(&["old"]).build().into_bytes(), -1);
    // A snapshot knows the topic by its first id.
    let metadata = directory.path().join("__cluster_metadata-0");
    let snapshots = || {
        let names = std::fs::read_dir(&metadata).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(".checkpoint")).count()
    };
    let began = Instant::now();
    while snapshots() < 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "no snapshot was written");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.kill();
    // From here on none is written.
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    delete(&mut connection, "again");
    create(&mut connection, "again", 1);
    let answer = produce(&mut connection, "again", batch(&["new"]).build().into_bytes(), -1);
    assert_eq!((answer.error_code, answer.base_offset), (OK, 0));
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(directory.path(), &[]);
    assert_eq!(values(&fetch(&mut server.connect(), "again", 0)), ["new"]);
    server.kill();
    let server = Server::start(directory.path(), &[]);
    assert_eq!(values(&fetch(&mut server.connect(), "again", 0)), ["new"]);
}

#[test]
fn damage_is_not_forgotten_because_others_were_checkpointed_or_stopped_cleanly() {
    let directory = Directory::new();
    let often = "log.flush.offset.checkpoint.interval.ms=50";
    let server = Server::start(directory.path(), &[often]);
    let mut connection = server.connect();
    for topic in ["rotten", "sound"] {
        create(&mut connection, topic, 1);
        for value in ["first", "last"] {
            produce(&mut connection, topic, batch(&[value]).build().into_bytes(), -1);
        }
    }
    assert_eq!(server.stop(), Some(0));
    // The last batch, which lies below the recovery point, rots; and the stop was not clean.
    let log = directory.path().join("rotten-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    std::fs::remove_file(directory.path().join(".kafka_cleanshutdown")).unwrap();
    for stop in ["kill", "stop", "kill"] {
        let server = Server::start(directory.path(), &[often]);
        let mut connection = server.connect();
        assert_ne!(fetch(&mut connection, "rotten", 0).error_code, OK, "before the {stop}");
        assert_eq!(values(&fetch(&mut connection, "sound", 0)), ["first", "last"]);
        std::thread::sleep(Duration::from_millis(200)); // Long enough for several checkpoints.
        if stop == "kill" {
            server.kill()
        } else {
            assert_eq!(server.stop(), Some(0))
        }
        assert!(!directory.path().join(".kafka_cleanshutdown").exists(), "a marker would speak for it");
        assert_eq!(std::fs::read(&log).unwrap(), bytes, "every byte stays");
    }
}
