"""Apache Kafka's own command-line tools against the broker, and its DumpLogSegments on the broker's files."""

import re

from support import DESCRIBE_CONFIGS, Broker, advertised, check, main, scratch, tool

TOPICS = "org.apache.kafka.tools.TopicCommand"
DUMP = "org.apache.kafka.tools.DumpLogSegments"


def topics(broker):
    at = ["--bootstrap-server", broker.address]
    tool(TOPICS, *at, "--create", "--topic", "alpha", "--partitions", 3, "--config", "retention.ms=86400000")
    tool(TOPICS, *at, "--create", "--topic", "beta", "--partitions", 1, "--config", "segment.bytes=1048576")
    tool(TOPICS, *at, "--create", "--topic", "gone")
    again = tool(TOPICS, *at, "--create", "--topic", "alpha", fails=True)
    check("already exists" in again, f"creating a topic twice: {again}")
    tool(TOPICS, *at, "--create", "--topic", "alpha", "--if-not-exists")
    listed = tool(TOPICS, *at, "--list").split()
    check(listed == ["alpha", "beta", "gone"], f"topics listed: {listed}")
    if DESCRIBE_CONFIGS in advertised(broker.port):
        described = tool(TOPICS, *at, "--describe", "--topic", "alpha")
        whole = described.count("Leader: 1") == 3 and "retention.ms=86400000" in described
        check(whole, f"described: {described}")
    tool(TOPICS, *at, "--delete", "--topic", "gone")
    listed = tool(TOPICS, *at, "--list").split()
    check(listed == ["alpha", "beta"], f"topics after a deletion: {listed}")
    missing = tool(TOPICS, *at, "--delete", "--topic", "gone", fails=True)
    check("does not exist" in missing, f"deleting what is not there: {missing}")


def console(broker):
    lines = b"".join(b"key%d:line %d of the console\n" % (n % 7, n) for n in range(1_000))
    at = ["--bootstrap-server", broker.address, "--topic", "alpha"]
    keyed = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
    tool("org.apache.kafka.tools.ConsoleProducer", *at, *keyed, "--compression-codec", "gzip", stdin=lines)
    shown = ["--formatter-property", "print.key=true", "--formatter-property", "key.separator=:"]
    back = []
    for partition in range(3):
        read = tool(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            *at,
            "--partition",
            partition,
            "--offset",
            "earliest",
            "--timeout-ms",
            3000,
            *shown,
        )
        back += [line for line in read.splitlines() if line.startswith("key")]
    check(
        sorted(back) == sorted(lines.decode().splitlines()), f"the console's consumer read {len(back)} lines"
    )


def performance(broker):
    said = tool(
        "org.apache.kafka.tools.ProducerPerformance",
        "--topic",
        "beta",
        "--num-records",
        300_000,
        "--record-size",
        100,
        "--throughput",
        -1,
        "--bootstrap-server",
        broker.address,
        "--command-property",
        "compression.type=lz4",
    )
    check("300000 records sent" in said, f"ProducerPerformance: {said}")
    print(said.strip().splitlines()[-1])


def offsets(broker):
    at = ["--bootstrap-server", broker.address, "--topic", "beta"]
    last = tool("org.apache.kafka.tools.GetOffsetShell", *at).strip().splitlines()[-1]
    check(last == "beta:0:300000", f"GetOffsetShell: {last}")
    first = tool("org.apache.kafka.tools.GetOffsetShell", *at, "--time", "earliest").strip().splitlines()[-1]
    check(first == "beta:0:0", f"GetOffsetShell, earliest: {first}")


def dump(broker):
    """Every file that Kafka can read must satisfy it, with each batch valid and no gap between offsets."""
    folder = broker.data / "beta-0"
    logs = sorted(folder.glob("*.log"))
    check(len(logs) > 5, f"300,000 records in segments of 1 MiB made {len(logs)} segments")
    said = tool(DUMP, "--files", ",".join(map(str, logs)), "--deep-iteration")
    check("isvalid: false" not in said, "DumpLogSegments found an invalid batch")
    batches = [(int(a), int(b)) for a, b in re.findall(r"^baseOffset: (\d+) lastOffset: (\d+)", said, re.M)]
    ends = [last + 1 for _, last in batches]
    check([base for base, _ in batches] == [0, *ends[:-1]] and ends[-1] == 300_000, "the batches leave a gap")
    for kind in ("index", "timeindex"):
        files = [file for file in sorted(folder.glob(f"*.{kind}")) if file.stat().st_size]
        check(len(files) > 3, f"{len(files)} files hold a {kind}")
        said = tool(DUMP, "--files", ",".join(map(str, files)), "--verify-index-only")
        bad = [line for line in said.splitlines() if "Found" in line or "mismatch" in line.lower()]
        check(not bad, f"DumpLogSegments on {kind}: {bad[:3]}")
        said = tool(DUMP, "--files", ",".join(map(str, files)), "--index-sanity-check")
        check(said.count("passed sanity check") == len(files), f"sanity of {kind}: {said[-500:]}")
    snapshots = sorted(folder.glob("*.snapshot"))
    check(snapshots, "no producer snapshot was written")
    tool(DUMP, "--files", ",".join(map(str, snapshots)))


def dump_metadata(broker):
    folder = broker.data / "__cluster_metadata-0"
    log = tool(DUMP, "--cluster-metadata-decoder", "--files", sorted(folder.glob("*.log"))[0])
    check("isvalid: false" not in log, "DumpLogSegments found an invalid batch of metadata")
    for record in (
        "REGISTER_BROKER_RECORD",
        "TOPIC_RECORD",
        "PARTITION_RECORD",
        "CONFIG_RECORD",
        "REMOVE_TOPIC_RECORD",
    ):
        check(f'"type":"{record}"' in log, f"the metadata log shows no {record}")
    for checkpoint in folder.glob("*.checkpoint"):
        shown = tool(DUMP, "--cluster-metadata-decoder", "--files", checkpoint)
        check("SnapshotHeader" in shown, f"{checkpoint.name}: {shown[-500:]}")


def part():
    broker = Broker(scratch("kafka-tools") / "broker")
    broker.start()
    topics(broker)
    console(broker)
    performance(broker)
    offsets(broker)
    broker.stop()
    dump(broker)
    dump_metadata(broker)


if __name__ == "__main__":
    main(part)
