"""A directory goes from Apache Kafka 4.3.1 to Vltava and back, stopped and killed; nothing in it may change.

With BROKER=kafka both sides are Kafka, which proves the part itself.
"""

import re

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from support import (
    CODECS,
    DESCRIBE_CONFIGS,
    KIND,
    Broker,
    admin,
    advertised,
    check,
    create_topic,
    figure,
    main,
    produce_all,
    producer,
    read_topics,
    scratch,
    tool,
)

DUMP = "org.apache.kafka.tools.DumpLogSegments"
SETTINGS = {
    "plain": {},
    "rolled": {"segment_bytes": 1_048_576, "index_interval_bytes": 1_024},
    "kept": {"retention_ms": 3_600_000, "max_message_bytes": 2_000_000},
    "compacted": {"cleanup_policy": "compact", "min_cleanable_dirty_ratio": 0.9},
    "stamped": {"message_timestamp_type": "LogAppendTime"},
    "transactions": {},
    "trimmed": {},
    **{
        f"codec-{codec}": {"compression_type": "uncompressed" if codec == "none" else codec}
        for codec in CODECS
    },
}
PARTITIONS = 3


def batch(topic, generation, count=2_000):
    """Records that differ by topic and generation."""
    size = 700 if topic == "rolled" else 60
    made = []
    for number in range(count):
        key = None if topic != "compacted" and number % 5 == 0 else b"key-%d" % (number % 97)
        value = f"{topic}/{generation}/{number} ".encode() * (size // 20)
        made.append(
            (
                number % PARTITIONS,
                key,
                value,
                [("generation", generation.encode())] if number % 3 == 0 else None,
            )
        )
    return made


def grow(broker, generation):
    """Appends to every topic, and creates one."""
    create_topic(broker.port, f"made-by-{generation}", PARTITIONS)
    SETTINGS[f"made-by-{generation}"] = {}
    for number, topic in enumerate(sorted(SETTINGS)):
        produce_all(
            broker.port,
            topic,
            batch(topic, generation),
            compression_type=CODECS[number % len(CODECS)],
            enable_idempotence=number % 2 == 0,
            linger_ms=2,
        )


def transactions(broker):
    """Committed and aborted transactions, which only Kafka makes as yet."""
    sender = producer(broker.port, transactional_id="exchange")
    sender.init_transactions(30)
    for number in range(6):
        sender.begin_transaction()
        for partition in range(PARTITIONS):
            sender.produce("transactions", b"transaction %d" % number, partition=partition)
        sender.flush(30)
        (sender.abort_transaction if number % 2 else sender.commit_transaction)(30)


def prepare(broker):
    """What a directory can hold after a life with Kafka."""
    for topic, settings in SETTINGS.items():
        create_topic(broker.port, topic, PARTITIONS, **settings)
    create_topic(broker.port, "gone", PARTITIONS)
    transactions(broker)
    grow(broker, "first")
    client = admin(broker.port)
    client.delete_topics(["gone"], operation_timeout=30)["gone"].result(30)
    places = [TopicPartition("trimmed", partition, 100 + partition) for partition in range(PARTITIONS)]
    for done in client.delete_records(places).values():
        done.result(30)
    change = ConfigEntry("retention.bytes", "123456789", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, "kept", incremental_configs=[change])
    for done in client.incremental_alter_configs([resource]).values():
        done.result(30)


def contents(broker):
    """Topics and their records, as clients see them, read uncommitted and committed."""
    listed = admin(broker.port).list_topics(timeout=10).topics
    topics = {name: len(topic.partitions) for name, topic in listed.items() if not name.startswith("__")}
    check(topics == {name: PARTITIONS for name in SETTINGS}, f"{broker.kind} lists {topics}")
    read = {committed: read_topics(broker.port, topics, committed=committed) for committed in (False, True)}
    return {(*place, committed): records for committed in read for place, records in read[committed].items()}


def same(name, before, after):
    """Every record of `before` must be in `after`, at its offset, with its time, key, value and headers."""
    for place, records in before.items():
        found = after[place][: len(records)]
        wrong = next((pair for pair in zip(records, found) if pair[0] != pair[1]), None)
        check(wrong is None, f"{name}: {place} changed: {wrong}")
        check(len(found) == len(records), f"{name}: {place} has {len(found)} of {len(records)} records")


def configs(broker):
    """The topic configurations that the metadata log ends with."""
    log = sorted((broker.data / "__cluster_metadata-0").glob("*.log"))[-1]
    said = tool(DUMP, "--cluster-metadata-decoder", "--files", log)
    record = r'"CONFIG_RECORD","version":0,"data":\{"resourceType":2,"resourceName":"([^"]+)",'
    found = re.findall(record + r'"name":"([^"]+)","value":"([^"]*)"', said)
    return {(topic, name): value for topic, name, value in found}


def described(broker, wanted):
    """A broker that does not serve DescribeConfigs is judged by what it leaves in the metadata log."""
    if DESCRIBE_CONFIGS not in advertised(broker.port):
        return
    client = admin(broker.port)
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in {topic for topic, _ in wanted}]
    for resource, done in client.describe_configs(resources).items():
        entries = done.result(30)
        for (topic, name), value in wanted.items():
            if topic == resource.name:
                found = entries[name].value
                check(found == value, f"{broker.kind} describes {name} of {topic} as {found}, not {value}")


def part():
    # Snapshots of the metadata that the one writes are the beginning of the other's next life.
    often = {"metadata.log.max.record.bytes.between.snapshots": 4_000}
    broker = Broker(scratch("exchange") / "broker", kind="kafka", **{"num.partitions": PARTITIONS, **often})
    broker.start()
    prepare(broker)
    known = contents(broker)
    transactional = [len(known["transactions", 0, committed]) for committed in (True, False)]
    check(transactional[0] < transactional[1], "no aborted record was written")
    wanted = configs(broker)
    check(wanted["kept", "retention.bytes"] == "123456789", "the configurations lack an alteration")
    broker.stop()
    seen = set()
    lives = [
        (KIND, "second", "stop"),
        ("kafka", "third", "kill"),
        (KIND, "fourth", "kill"),
        ("kafka", "fifth", "stop"),
    ]
    for kind, generation, end in lives:
        broker.kind = kind
        figure(f"{kind}: start of the {generation} life", broker.start() * 1000, "ms")
        same(f"{kind}, as it opened the directory ({generation})", known, contents(broker))
        described(broker, wanted)
        grow(broker, generation)
        known = contents(broker)
        (broker.stop if end == "stop" else broker.kill)()
        snapshots = sorted((broker.data / "__cluster_metadata-0").glob("*.checkpoint"))
        check(snapshots[-1] not in seen, f"{kind} wrote no snapshot of the metadata")
        seen.update(snapshots)
        print(f"{kind} opened the directory, read all of it, let it grow and left it by {end}")
    check(configs(broker).items() >= wanted.items(), "a topic lost its configuration")
    logs = ",".join(str(log) for log in sorted(broker.data.glob("*-[0-9]*/*.log")) if log.stat().st_size)
    check("isvalid: false" not in tool(DUMP, "--files", logs), "DumpLogSegments found an invalid batch")


if __name__ == "__main__":
    main(part)
