//! The simulated network keeps the promises of TCP, and breaks those that TCP does not make.
#![cfg(madsim)]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vltava::runtime::{Connection, Runtime};
use vltava_sim::clock::{MILLISECOND, SECOND};
use vltava_sim::network::Link;
use vltava_sim::node::{Crash, NodeId};
use vltava_sim::world::World;

const PORT: u16 = 9000;

/// What a program found out.
type Found<T> = Arc<Mutex<Vec<T>>>;

/// Runs a server and a client in several worlds: each gets one end of a connection and may note what it saw.
fn talk<T, S, C, SF, CF>(
    server: S,
    client: C,
    disturb: impl AsyncFn(World, NodeId, NodeId) + Send + Copy + 'static,
) -> Vec<Vec<T>>
where
    T: Send + 'static,
    S: Fn(Runtime, Connection, Found<T>) -> SF + Send + Sync + Copy + 'static,
    C: Fn(Runtime, Connection, Found<T>) -> CF + Send + Sync + Copy + 'static,
    SF: Future<Output = ()> + Send + 'static,
    CF: Future<Output = ()> + Send + 'static,
{
    let run = |seed| {
        let found: Found<T> = Arc::default();
        let noted = found.clone();
        let outcome = World::run(seed, false, move |world| async move {
            let (at_server, at_client) = (noted.clone(), noted);
            let accepting = world.node("server", move |runtime| {
                let noted = at_server.clone();
                async move {
                    let listener = runtime.bind("server", PORT).await.unwrap();
                    let connection = listener.accept().await.unwrap();
                    server(runtime, connection, noted).await;
                    std::future::pending().await
                }
            });
            let connecting = world.node("client", move |runtime| {
                let noted = at_client.clone();
                async move {
                    runtime.sleep(Duration::from_millis(10)).await;
                    let connection = runtime.connect("server", PORT).await.unwrap();
                    client(runtime, connection, noted).await;
                    std::future::pending().await
                }
            });
            disturb(world.clone(), accepting, connecting).await;
            world.clock().sleep(120 * SECOND).await;
            Ok(())
        });
        outcome.result.unwrap();
        Arc::into_inner(found).expect("nothing outlives its world").into_inner().unwrap()
    };
    (0..20).map(run).collect()
}

async fn nothing(_: World, _: NodeId, _: NodeId) {}

/// Bytes that show where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[test]
fn bytes_arrive_in_order_over_a_bad_link_and_both_ends_half_close() {
    let results = talk(
        |_, mut connection, found| async move {
            let mut all = Vec::new();
            connection.read_to_end(&mut all).await.unwrap();
            connection.write_all(b"and back").await.unwrap();
            connection.shutdown().await.unwrap();
            found.lock().unwrap().push(all);
        },
        |_, mut connection, found| async move {
            connection.write_all(&pattern(100_000)).await.unwrap();
            connection.shutdown().await.unwrap();
            assert_eq!(connection.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            let mut all = Vec::new();
            connection.read_to_end(&mut all).await.unwrap();
            found.lock().unwrap().push(all);
        },
        async |world, _, _| {
            world.network().set_default_link(Link { loss: 0.1, stall: 0.1, ..Link::default() });
        },
    );
    for found in results {
        assert_eq!(found, [pattern(100_000), b"and back".to_vec()]);
    }
}

#[test]
fn a_writer_waits_when_the_window_is_full() {
    let results = talk(
        |runtime, mut connection, found| async move {
            runtime.sleep(Duration::from_secs(5)).await;
            let mut bytes = vec![0; 600_000];
            connection.read_exact(&mut bytes).await.unwrap();
            found.lock().unwrap().push((0, bytes == pattern(600_000)));
        },
        |runtime, mut connection, found| async move {
            let start = runtime.now();
            connection.write_all(&pattern(600_000)).await.unwrap();
            let waited = runtime.now().since(start);
            found.lock().unwrap().push((1, waited > Duration::from_secs(4)));
        },
        nothing,
    );
    for mut found in results {
        found.sort();
        assert_eq!(found, [(0, true), (1, true)]);
    }
}

#[test]
fn a_link_has_the_bandwidth_that_it_was_given() {
    let results = talk(
        |runtime, mut connection, found| async move {
            let mut all = Vec::new();
            let start = runtime.now();
            connection.read_to_end(&mut all).await.unwrap();
            found.lock().unwrap().push(runtime.now().since(start).as_millis());
        },
        |_, mut connection, _| async move {
            connection.write_all(&pattern(100_000)).await.unwrap();
        },
        async |world, _, _| {
            world.network().set_default_link(Link { bytes_per_second: 100_000, ..Link::default() });
        },
    );
    for found in results {
        assert!((1_000..1_200).contains(&found[0]), "{found:?} ms");
    }
}

#[test]
fn a_reset_strikes_at_the_byte_that_was_chosen() {
    let results = talk(
        |_, mut connection, found| async move {
            let mut all = Vec::new();
            let error = connection.read_to_end(&mut all).await.unwrap_err();
            found.lock().unwrap().push((all.len(), error.kind()));
        },
        |runtime, mut connection, found| async move {
            connection.write_all(&pattern(1_000)).await.unwrap();
            runtime.sleep(Duration::from_secs(1)).await;
            let error = connection.write_all(b"late").await.unwrap_err();
            found.lock().unwrap().push((0, error.kind()));
        },
        async |world, server, client| world.network().reset_after(client, server, 123),
    );
    for found in results {
        assert_eq!(found, [(123, ErrorKind::ConnectionReset), (0, ErrorKind::ConnectionReset)]);
    }
}

#[test]
fn what_a_clogged_link_held_arrives_when_it_is_open_again() {
    let results = talk(
        |runtime, mut connection, found| async move {
            for _ in 0..3 {
                let value = connection.read_u64().await.unwrap();
                found.lock().unwrap().push((value, runtime.now().0 > 10 * SECOND));
            }
        },
        |runtime, mut connection, _| async move {
            for value in 1..=3 {
                connection.write_u64(value).await.unwrap();
                runtime.sleep(Duration::from_secs(2)).await;
            }
            std::future::pending().await
        },
        async |world, server, client| {
            world.clock().sleep(SECOND).await;
            world.network().edit_link(client, server, |link| link.clogged = true);
            world.clock().sleep(9 * SECOND).await;
            world.network().edit_link(client, server, |link| link.clogged = false);
        },
    );
    for found in results {
        assert_eq!(found, [(1, false), (2, true), (3, true)]);
    }
}

/// What a client reads when its server crashes, and whether it learns of it within a minute.
fn crash(how: Crash, back: bool) -> Vec<Vec<Option<ErrorKind>>> {
    talk(
        |_, mut connection, _| async move {
            let mut ignored = Vec::new();
            let _ = connection.read_to_end(&mut ignored).await;
        },
        |runtime, mut connection, found| async move {
            runtime.sleep(Duration::from_secs(5)).await;
            // What is sent to a machine that forgot the connection is what draws a reset.
            let _ = connection.write_all(b"are you there?").await;
            let read = runtime.timeout(Duration::from_secs(60), connection.read_u8()).await;
            found.lock().unwrap().push(read.map(|read| read.unwrap_err().kind()));
        },
        async move |world, server, _| {
            world.clock().sleep(SECOND).await;
            world.crash(server, how);
            world.clock().sleep(SECOND).await;
            if back {
                world.restart(server);
            }
        },
    )
}

#[test]
fn a_dead_process_ends_its_connections_and_a_dead_machine_is_silent_until_it_is_back() {
    for found in crash(Crash::Process, false) {
        assert!(matches!(found[0], Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)), "{found:?}");
    }
    for found in crash(Crash::Power, false) {
        assert_eq!(found, [None], "silence");
    }
    for found in crash(Crash::Power, true) {
        assert_eq!(found, [Some(ErrorKind::ConnectionReset)]);
    }
}

#[test]
fn connecting_is_refused_by_a_machine_without_a_listener_and_not_answered_by_one_without_power() {
    for seed in 0..10 {
        let found: Found<(ErrorKind, bool)> = Arc::default();
        let noted = found.clone();
        let outcome = World::run(seed, false, move |world| async move {
            let idle = world.node("idle", |_| std::future::pending());
            let dark = world.node("dark", |_| std::future::pending());
            world.crash(dark, Crash::Power);
            let start = world.clock().now();
            world.node("client", move |runtime| {
                let noted = noted.clone();
                async move {
                    for host in ["idle", "dark", "10.0.0.1", "nobody"] {
                        let error = runtime.connect(host, PORT).await.err().unwrap();
                        let late = runtime.now().0 > start + 60 * SECOND;
                        noted.lock().unwrap().push((error.kind(), late));
                    }
                }
            });
            world.clock().sleep(200 * SECOND).await;
            assert!(world.get(idle).is_alive());
            Ok(())
        });
        outcome.result.unwrap();
        let refused = ErrorKind::ConnectionRefused;
        let expected =
            [(refused, false), (ErrorKind::TimedOut, true), (refused, true), (ErrorKind::NotFound, true)];
        assert_eq!(*found.lock().unwrap(), expected);
    }
}

#[test]
fn a_paused_node_takes_no_step_and_loses_nothing() {
    let results = talk(
        |runtime, mut connection, found| async move {
            for _ in 0..100 {
                let value = connection.read_u64().await.unwrap();
                found.lock().unwrap().push((value, runtime.now().0));
            }
        },
        |runtime, mut connection, _| async move {
            for value in 0..100 {
                connection.write_u64(value).await.unwrap();
                runtime.sleep(Duration::from_millis(50)).await;
            }
            std::future::pending().await
        },
        async |world, server, _| {
            world.clock().sleep(SECOND).await;
            world.pause(server);
            world.clock().sleep(3 * SECOND).await;
            world.resume(server);
        },
    );
    for found in results {
        assert!(found.iter().map(|(value, _)| *value).eq(0..100));
        let standing = SECOND + MILLISECOND..4 * SECOND;
        assert!(found.iter().all(|(_, at)| !standing.contains(at)));
    }
}
