"""confluent-kafka: producers with every codec, plain and idempotent, a consumer by assignment, an admin."""

import random
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import NewTopic, OffsetSpec

from support import CODECS, Broker, admin, check, create_topic, main, produce_all, producer, read_all, scratch


def records(seed, count, partitions):
    draw = random.Random(seed)
    made = []
    for number in range(count):
        key = None if draw.random() < 0.2 else b"key-%d" % draw.randrange(100)
        value = (
            None
            if draw.random() < 0.05
            else b"%d " % number + draw.randbytes(draw.randrange(300)).hex().encode()
        )
        headers = [("n", b"%d" % number), ("empty", b""), ("null", None)] if draw.random() < 0.3 else None
        made.append((draw.randrange(partitions), key, value, headers))
    return made


def compare(topic, sent, offsets, read):
    for (partition, key, value, headers), (at, offset) in zip(sent, offsets):
        check(at == partition, f"{topic}: a record for partition {partition} is said to be in {at}")
        found = read[partition][offset]
        check(found[0] == offset, f"{topic}-{partition}: offset {offset} holds {found[0]}")
        same = (found[3], found[4], found[5]) == (key, value, headers)
        check(same, f"{topic}-{partition}: offset {offset} holds {found}, not {(key, value, headers)}")
    check(
        sum(map(len, read.values())) == len(sent),
        f"{topic}: {len(sent)} sent, {sum(map(len, read.values()))} read",
    )


def every_codec(broker):
    for codec in CODECS:
        for idempotent in (False, True):
            topic, partitions = f"codec-{codec}-{idempotent}", 3
            create_topic(broker.port, topic, partitions)
            sent = records(topic, 5_000, partitions)
            offsets = produce_all(
                broker.port, topic, sent, compression_type=codec, enable_idempotence=idempotent, linger_ms=5
            )
            compare(topic, sent, offsets, read_all(broker.port, topic, partitions))
    print("ten topics: each codec, plain and idempotent")


def acks(broker):
    for mode in (0, 1, "all"):
        topic = f"acks-{mode}"
        create_topic(broker.port, topic)
        sender = producer(broker.port, acks=mode)
        for number in range(1_000):
            sender.produce(topic, b"%d" % number)
        check(sender.flush(30) == 0, f"acks={mode}: records are unanswered after 30 s")
        deadline = time.monotonic() + 10
        while len(values := [r[4] for r in read_all(broker.port, topic, 1)[0]]) < 1_000:
            check(time.monotonic() < deadline, f"acks={mode}: {len(values)} of 1000 records arrived")
        check(values == [b"%d" % n for n in range(1_000)], f"acks={mode}: out of order")


def large_and_refused(broker):
    create_topic(broker.port, "large", 1, max_message_bytes=2_000_000)
    body = random.Random(1).randbytes(1_500_000)
    produce_all(broker.port, "large", [(0, b"k", body, None)], message_max_bytes=4_000_000)
    check(read_all(broker.port, "large", 1)[0][0][4] == body, "a record of 1.5 MB came back changed")
    refusals = []
    sender = producer(broker.port, message_max_bytes=4_000_000)
    sender.produce("large", body * 2, on_delivery=lambda error, _: refusals.append(error.code()))
    sender.flush(30)
    check(refusals == [KafkaError.MSG_SIZE_TOO_LARGE], f"a record of 3 MB was answered {refusals}")


def administration(broker):
    client = admin(broker.port)
    create_topic(broker.port, "managed", 5)
    listed = client.list_topics(timeout=10).topics
    check(len(listed["managed"].partitions) == 5, "a topic of five partitions is listed with another number")
    try:
        create_topic(broker.port, "managed", 5)
        check(False, "a topic was created twice")
    except KafkaException as refusal:
        check(refusal.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, f"created twice: {refusal}")
    for name, code in (
        ("no/slash", KafkaError.TOPIC_EXCEPTION),
        ("x", KafkaError.INVALID_REPLICATION_FACTOR),
    ):
        replication = 3 if name == "x" else 1
        refusal = client.create_topics([NewTopic(name, 1, replication)])[name].exception(10)
        check(refusal and refusal.args[0].code() == code, f"{name!r}: {refusal}")

    sent = [(0, None, b"%d" % number, None) for number in range(100)]
    produce_all(broker.port, "managed", sent)
    place = TopicPartition("managed", 0, 40)
    left = client.delete_records([place])[TopicPartition("managed", 0)].result(10)
    check(left.low_watermark == 40, f"after DeleteRecords the log starts at {left.low_watermark}")
    spec = {TopicPartition("managed", 0): OffsetSpec.earliest()}
    (earliest,) = [done.result(10).offset for done in client.list_offsets(spec).values()]
    check(earliest == 40, f"ListOffsets says that the log starts at {earliest}")
    check(read_all(broker.port, "managed", 1)[0][0][0] == 40, "reading starts below the log's start")

    client.delete_topics(["managed"], operation_timeout=30)["managed"].result(30)
    deadline = time.monotonic() + 10
    while "managed" in client.list_topics(timeout=10).topics:
        check(time.monotonic() < deadline, "a deleted topic is still listed after 10 s")
    create_topic(broker.port, "managed", 2)
    check(
        read_all(broker.port, "managed", 2) == {0: [], 1: []}, "a topic came back with what its namesake held"
    )


def assignment(broker):
    """Seeks, pauses, watermarks and offsets by time of a consumer without a group."""
    create_topic(broker.port, "assigned", 2)
    produce_all(broker.port, "assigned", [(n % 2, None, b"%d" % n, None) for n in range(1_000)])
    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": "nobody", "enable.auto.commit": False}
    )
    check(consumer.get_watermark_offsets(TopicPartition("assigned", 1), 10) == (0, 500), "watermarks")
    consumer.assign([TopicPartition("assigned", 0, 490), TopicPartition("assigned", 1, 495)])
    seen = {(m.partition(), m.offset()) for m in take(consumer, 15)}
    wanted = {(0, o) for o in range(490, 500)} | {(1, o) for o in range(495, 500)}
    check(seen == wanted, f"from the assigned offsets: {sorted(seen)}")
    consumer.pause([TopicPartition("assigned", 0)])
    consumer.seek(TopicPartition("assigned", 1, 100))
    check([m.offset() for m in take(consumer, 50)] == list(range(100, 150)), "after a seek")
    stamp = read_all(broker.port, "assigned", 2)[0][250][2]
    (found,) = consumer.offsets_for_times([TopicPartition("assigned", 0, stamp)], 10)
    check(found.offset <= 250, f"the first record at or after a timestamp of record 250 is {found.offset}")
    consumer.close()


def take(consumer, count, limit=20.0):
    taken, deadline = [], time.monotonic() + limit
    while len(taken) < count:
        check(time.monotonic() < deadline, f"{len(taken)} of {count} records in {limit} s")
        message = consumer.poll(0.5)
        if message is not None:
            check(message.error() is None, f"while consuming: {message.error()}")
            taken.append(message)
    return taken


def part():
    broker = Broker(scratch("confluent") / "broker")
    broker.start()
    every_codec(broker)
    acks(broker)
    large_and_refused(broker)
    administration(broker)
    assignment(broker)
    broker.stop()


if __name__ == "__main__":
    main(part)
