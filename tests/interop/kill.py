"""kill -9 again and again under load: nothing acknowledged is lost, nothing idempotent is doubled.

KILLS sets how often (100). The load runs in a process of its own: the broker's death is all that it sees.
"""

import multiprocessing
import os
import random
import statistics
import time

from support import CODECS, KIND, Broker, check, create_topic, figure, main, producer, read_topics, scratch

KILLS = int(os.environ.get("KILLS", 100 if KIND == "vltava" else 3))
PARTITIONS = 4
IN_FLIGHT = 3_000
BALLAST_MIB = 1_024
# A quiet machine serves within a second; other parts may run beside this one.
ALLOWED_MEDIAN_S, ALLOWED_MAXIMUM_S = (3.0, 10.0) if KIND == "vltava" else (60.0, 60.0)


def load(port, codec, stop, results):
    """Produces numbered records until `stop`; tells what was acknowledged where, and what was refused."""
    sender = producer(
        port,
        enable_idempotence=True,
        linger_ms=2,
        compression_type=codec,
        message_timeout_ms=240_000,
        reconnect_backoff_ms=10,
        reconnect_backoff_max_ms=50,
        batch_num_messages=200,
    )
    acknowledged, refused, number, waiting = [], [], 0, 0

    def delivered(error, message):
        nonlocal waiting
        waiting -= 1
        sequence = int(message.value().split(b" ")[0])
        if error is None:
            acknowledged.append((sequence, message.partition(), message.offset()))
        else:
            refused.append((sequence, str(error)))

    draw = random.Random(codec)
    while not stop.is_set():
        if waiting < IN_FLIGHT:
            body = b"%d %s" % (number, draw.randbytes(draw.randrange(200)).hex().encode())
            sender.produce("load", body, partition=number % PARTITIONS, on_delivery=delivered)
            number, waiting = number + 1, waiting + 1
            sender.poll(0)
        else:
            sender.poll(0.01)
    left = sender.flush(120)
    results.put((number, left, acknowledged, refused))


def ballast(broker):
    """A log of a gigabyte, which a restart after a kill has to look at."""
    create_topic(broker.port, "ballast", 1)
    sender = producer(broker.port, batch_size=1_000_000, linger_ms=50, queue_buffering_max_kbytes=262_144)
    body = random.Random(2).randbytes(64 * 1024)
    for _ in range(BALLAST_MIB * 16):
        while True:
            try:
                sender.produce("ballast", body, partition=0)
                break
            except BufferError:
                sender.poll(0.05)
        sender.poll(0)
    check(sender.flush(120) == 0, "a gigabyte was not acknowledged in two minutes")


def judge(broker, loads):
    read = read_topics(broker.port, {"load": PARTITIONS}, limit=300)
    where = {}
    for (_, partition), records in read.items():
        sequences = [int(record[4].split(b" ")[0]) for record in records]
        check(sequences == sorted(set(sequences)), f"load-{partition}: out of order, or doubled")
        where.update({(partition, record[0]): sequence for record, sequence in zip(records, sequences)})
    stored = set(where.values())
    check(len(stored) == len(where), "a record is stored twice")
    number, left, acknowledged, refused = loads
    check(not refused, f"{len(refused)} records were refused, the first: {refused[:3]}")
    check(left == 0, f"{left} records were never answered")
    lost = [entry for entry in acknowledged if where.get((entry[1], entry[2])) != entry[0]]
    check(
        not lost, f"{len(lost)} of {len(acknowledged)} acknowledged records are lost, the first: {lost[:3]}"
    )
    check(
        len(acknowledged) == number == len(stored),
        f"{number} sent, {len(acknowledged)} acknowledged, {len(stored)} stored",
    )
    print(f"{number} records of an idempotent producer: each acknowledged once, stored once, in order")


def part():
    seed = int(os.environ.get("SEED", "1"))
    draw = random.Random(seed)
    broker = Broker(scratch("kill") / "broker")
    broker.start()
    ballast(broker)
    create_topic(broker.port, "load", PARTITIONS)
    broker.kill()
    figure(
        f"serving after kill -9 with {BALLAST_MIB} MiB to look at", broker.start(topic="ballast") * 1000, "ms"
    )
    stop, results = multiprocessing.Event(), multiprocessing.Queue()
    sender = multiprocessing.Process(
        target=load, args=(broker.port, draw.choice(CODECS), stop, results), daemon=True
    )
    sender.start()
    times = []
    for _ in range(KILLS):
        time.sleep(draw.uniform(0.05, 0.8))
        broker.kill()
        times.append(broker.start(topic="load"))
    stop.set()
    while results.empty():
        check(sender.is_alive(), "the producer's process died")
        time.sleep(0.05)
    loads = results.get()
    judge(broker, loads)
    broker.stop()
    median, most = statistics.median(times), max(times)
    figure(f"serving after kill -9 under load, median of {KILLS}", median * 1000, "ms")
    figure("the slowest of them", most * 1000, "ms")
    check(median < ALLOWED_MEDIAN_S, f"serving takes {median:.2f} s after a kill")
    check(most < ALLOWED_MAXIMUM_S, f"serving once took {most:.2f} s after a kill")


if __name__ == "__main__":
    main(part)
