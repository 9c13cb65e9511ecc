"""Figures: time to the first answer, idle memory, two thousand partitions. They are printed, not asserted."""

import statistics
import time

from confluent_kafka.admin import NewTopic

from support import KIND, Broker, admin, check, create_topic, figure, main, scratch

PARTITIONS = 2_000
STARTS = 5 if KIND == "vltava" else 2


def starts(folder):
    fresh, again, idle = [], [], []
    for number in range(STARTS):
        broker = Broker(folder / f"start-{number}")
        fresh.append(broker.start())
        time.sleep(1)
        idle.append(broker.resident_kib())
        broker.stop()
        again.append(broker.start())
        broker.stop()
    figure(
        f"start to first answer, fresh directory, median of {STARTS}", statistics.median(fresh) * 1000, "ms"
    )
    figure(f"start to first answer, second start, median of {STARTS}", statistics.median(again) * 1000, "ms")
    figure("idle memory", statistics.median(idle) / 1024, "MiB")


def partitions(folder):
    broker = Broker(folder / "partitions")
    broker.start()
    create_topic(broker.port, "warm")
    time.sleep(1)
    before, client = broker.resident_kib(), admin(broker.port)
    client.list_topics(timeout=10)
    began = time.monotonic()
    client.create_topics([NewTopic("many", PARTITIONS, 1)], operation_timeout=60)["many"].result(90)
    figure(f"creating {PARTITIONS} partitions", (time.monotonic() - began) * 1000, "ms")
    wait_for_leaders(client)
    figure("until all have a leader", (time.monotonic() - began) * 1000, "ms")
    time.sleep(2)
    figure("memory of a partition", (broker.resident_kib() - before) / PARTITIONS, "KiB")
    figure(f"clean stop with {PARTITIONS} partitions", broker.stop() * 1000, "ms")
    figure(f"start with {PARTITIONS} partitions after a clean stop", broker.start() * 1000, "ms")
    wait_for_leaders(client)
    broker.kill()
    figure(f"start with {PARTITIONS} partitions after kill -9", broker.start() * 1000, "ms")
    wait_for_leaders(client)
    broker.stop()


def wait_for_leaders(client):
    deadline = time.monotonic() + 60
    while True:
        topic = client.list_topics(timeout=30).topics.get("many")
        led = sum(partition.leader == 1 for partition in topic.partitions.values()) if topic else 0
        if led == PARTITIONS:
            return
        check(time.monotonic() < deadline, f"{led} of {PARTITIONS} partitions have a leader after a minute")
        time.sleep(0.01)


def part():
    folder = scratch("limits")
    starts(folder)
    partitions(folder)


if __name__ == "__main__":
    main(part)
