//! The commands of an administrator against a real broker: what they print, and what they change.

#![allow(clippy::disallowed_types, reason = "it looks from outside, at a real clock")]

use crate::broker::{fetch, values};
use crate::server::{Directory, Server};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs `vltava ARGS --bootstrap-server ...` to its end.
fn run(server: &Server, arguments: &[&str]) -> Output {
    let address = format!("127.0.0.1:{}", server.port);
    let mut command = Command::new(env!("CARGO_BIN_EXE_vltava"));
    command.args(arguments).args(["--bootstrap-server", &address]).output().unwrap()
}

/// What a command prints that must succeed.
fn says(server: &Server, arguments: &[&str]) -> String {
    let output = run(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command complains of that must fail.
fn complains(server: &Server, arguments: &[&str]) -> String {
    let output = run(server, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?} succeeded");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn configurations_are_set_described_and_unset() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &["num.partitions=2"]);
    assert_eq!(
        says(&server, &["topic", "create", "letters"]),
        "created letters with 2 partitions and replication factor 1\n"
    );
    let describe = ["config", "describe", "--topic", "letters"];
    let at_first = says(&server, &describe);
    assert!(at_first.contains("min.insync.replicas") && at_first.lines().count() == 2, "{at_first}");
    assert_eq!(
        says(&server, &["config", "set", "--topic", "letters", "retention.ms=60000"]),
        "set retention.ms=60000 for topic letters\n"
    );
    assert_eq!(
        says(&server, &["config", "set", "--brokers", "log.segment.bytes=2000000"]),
        "set log.segment.bytes=2000000 for all brokers\n"
    );
    let expected = "\
NAME                 VALUE    SET BY       CHANGES
min.insync.replicas  1        all brokers  at once
retention.ms         60000    topic        at once
segment.bytes        2000000  all brokers  at once
";
    assert_eq!(says(&server, &describe), expected);
    let unset = ["config", "unset", "--topic", "letters", "retention.ms"];
    assert_eq!(says(&server, &unset), "unset retention.ms for topic letters\n");
    assert!(!says(&server, &describe).contains("retention.ms"));
    let of_broker = says(&server, &["config", "describe", "--broker", "1", "num.partitions"]);
    assert!(of_broker.ends_with("num.partitions  2      file    at a restart\n"), "{of_broker}");
    assert_eq!(says(&server, &["config", "list"]), "topic letters\nbroker 1\nloggers of broker 1\n");
}

#[test]
fn what_cannot_be_set_is_refused_with_the_brokers_own_sentence() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    says(&server, &["topic", "create", "letters"]);
    let wrong = complains(&server, &["config", "set", "--topic", "letters", "retention.ms=soon"]);
    assert!(wrong.contains("Invalid value soon for configuration retention.ms"), "{wrong}");
    let fixed = complains(&server, &["config", "set", "--broker", "1", "log.dirs=/elsewhere"]);
    assert!(fixed.contains("Cannot update these configs dynamically: [log.dirs]"), "{fixed}");
    let unknown = complains(&server, &["config", "describe", "--topic", "nowhere"]);
    assert!(unknown.contains("topic nowhere"), "{unknown}");
    let misspelt = complains(&server, &["config", "describe", "--topic", "letters", "retention.sm"]);
    assert!(misspelt.contains("topic letters has no configuration retention.sm"), "{misspelt}");
}

#[test]
fn lines_that_nobody_acknowledges_are_sent_before_the_program_ends() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    says(&server, &["topic", "create", "unheard", "--partitions", "1"]);
    const TIMES: usize = 20;
    for number in 0..TIMES {
        let address = format!("127.0.0.1:{}", server.port);
        let mut command = Command::new(env!("CARGO_BIN_EXE_vltava"));
        command.args(["produce", "-t", "unheard", "--acks", "0", "--bootstrap-server", &address]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("line {number}\n").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    let expected: Vec<String> = (0..TIMES).map(|number| format!("line {number}")).collect();
    let mut connection = server.connect();
    let began = Instant::now();
    // Sent is not yet appended.
    while values(&fetch(&mut connection, "unheard", 0)) != expected {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            values(&fetch(&mut connection, "unheard", 0))
        );
    }
}

#[test]
fn every_topic_that_cannot_be_deleted_is_named() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    says(&server, &["topic", "create", "there"]);
    let said = complains(&server, &["topic", "delete", "here", "there", "nowhere"]);
    assert!(said.contains("here was refused") && said.contains("nowhere was refused"), "{said}");
    let said = complains(&server, &["topic", "describe", "here", "nowhere"]);
    assert!(said.contains("there is no topic here") && said.contains("there is no topic nowhere"), "{said}");
}

#[test]
fn a_topic_grows_and_the_cluster_is_described() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    says(&server, &["topic", "create", "letters", "--partitions", "1"]);
    let grow = ["topic", "add-partitions", "letters", "--partitions", "3"];
    assert_eq!(says(&server, &grow), "letters has 3 partitions now\n");
    let again = complains(&server, &grow);
    assert!(again.contains("Topic already has 3 partition(s)."), "{again}");
    let cluster = says(&server, &["cluster", "describe"]);
    assert!(cluster.starts_with("cluster ") && cluster.contains(", controller 1\n"), "{cluster}");
    assert!(cluster.ends_with(&format!("1       127.0.0.1:{}  -\n", server.port)), "{cluster}");
}
