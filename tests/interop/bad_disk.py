"""Damaged files and a full disk: nothing wrong is served, the rest goes on, a sentence says what happened."""

import atexit
import random
import shutil
import subprocess
import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from support import (
    KIND,
    Broker,
    check,
    create_topic,
    figure,
    main,
    produce_all,
    producer,
    read_all,
    scratch,
    serves,
)

RECORDS = 6_000
PATIENCE_S = 20 if KIND == "vltava" else 90


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


def noise(file):
    size = file.stat().st_size if file.exists() else 4096
    file.write_bytes(random.Random(file.name).randbytes(max(64, min(size, 4096))))


def empty(file):
    file.write_bytes(b"")


def text(file):
    file.write_text("this is not what it was\n")


def tear(file):
    file.write_bytes(file.read_bytes()[:-10])


def tail_noise(file):
    with open(file, "ab") as out:
        out.write(random.Random(1).randbytes(500))


def remove(file):
    file.unlink(missing_ok=True)


# What may follow: "same", nothing is noticed; "prefix", the torn end is gone; "reported", partition 0 lacks
# records and the log says so; "refused", the broker does not start and says why.
EITHER = {"same", "refused"}
CASES = [
    ("stop", "hurt-0/{first}.log", flip, {"reported"}),
    ("kill", "hurt-0/{first}.log", flip, {"reported"}),
    ("kill", "hurt-0/{last}.log", flip, {"reported"}),
    ("kill", "hurt-0/{last}.log", tear, {"prefix"}),
    ("kill", "hurt-0/{last}.log", tail_noise, {"same"}),
    *[
        (end, f"hurt-0/{{{which}}}.{kind}", harm, {"same"})
        for end in ("stop", "kill")
        for which in ("first", "last")
        for kind in ("index", "timeindex")
        for harm in (noise, remove)
    ],
    ("stop", "hurt-0/{last}.index", empty, {"same"}),
    ("kill", "hurt-0/{snapshot}", noise, {"same"}),
    ("stop", "hurt-0/{snapshot}", noise, {"same", "reported"}),
    ("stop", "hurt-0/{snapshot}", remove, {"same", "reported"}),
    ("stop", "hurt-0/leader-epoch-checkpoint", text, {"same", "reported", "refused"}),
    ("kill", "hurt-0/leader-epoch-checkpoint", empty, {"same"}),
    ("stop", "hurt-0/partition.metadata", text, {"same", "reported", "refused"}),
    ("stop", "recovery-point-offset-checkpoint", text, EITHER),
    ("kill", "recovery-point-offset-checkpoint", empty, {"same"}),
    ("stop", "replication-offset-checkpoint", text, EITHER),
    ("stop", "log-start-offset-checkpoint", text, EITHER),
    ("stop", ".kafka_cleanshutdown", text, {"same"}),
    ("stop", "meta.properties", text, {"refused"}),
    ("stop", "__cluster_metadata-0/quorum-state", text, EITHER),
    ("stop", "__cluster_metadata-0/{metadata}.log", flip, {"refused"}),
    ("kill", "__cluster_metadata-0/{metadata}.log", tear, {"same"}),
]
# Apache Kafka serves or cuts damaged batches in silence, and trusts its indexes after a clean stop.
KAFKA_DIFFERS = {"reported", "refused"}


def prepare(folder):
    """Two directories with the same records, one stopped and one killed."""
    known = {}
    for end in ("stop", "kill"):
        broker = Broker(folder / end)
        broker.start()
        create_topic(broker.port, "hurt", 2, segment_bytes=1_048_576, index_interval_bytes=512)
        draw = random.Random(4)
        sent = [
            (n % 2, b"k", b"%d %s" % (n, draw.randbytes(250).hex().encode()), None) for n in range(RECORDS)
        ]
        produce_all(broker.port, "hurt", sent, enable_idempotence=True, batch_num_messages=50)
        known[end] = read_all(broker.port, "hurt", 2)
        (broker.stop if end == "stop" else broker.kill)()
    return known


def read_some(port, partition, seconds):
    """What partition 0 gives within a few seconds, and the first error that is not its end."""
    consumer = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "check.crcs": True,
            "auto.offset.reset": "error",
        }
    )
    consumer.assign([TopicPartition("hurt", partition, 0)])
    records, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        for message in consumer.consume(1000, 0.05):
            if message.error() is None:
                records.append((message.offset(), message.value()))
            elif message.error().code() in (KafkaError._PARTITION_EOF, KafkaError._BAD_MSG):
                consumer.close()
                return records, message.error().code()
    consumer.close()
    return records, None


def judge(broker, what, known, allowed, file):
    try:
        broker.start(limit=PATIENCE_S)
    except SystemExit as end:
        said = broker.log.read_text(errors="replace")
        check("refused" in allowed and broker.process.poll() not in (None, 0, 101), f"{what}: {end}")
        said_why = "panicked" not in said and file.name in said
        check(said_why, f"{what}: the sentence lacks {file.name}:\n{said[-800:]}")
        return f"refused: {said.strip().splitlines()[-1][-250:]}"
    deadline = time.monotonic() + (2 if "reported" in allowed else PATIENCE_S)
    while not serves(broker.port, "hurt") and time.monotonic() < deadline:
        time.sleep(0.05)
    records, error = read_some(broker.port, 0, 4)
    check(error != KafkaError._BAD_MSG, f"{what}: a batch with a bad checksum was served")
    wanted = {record[0]: record[4] for record in known[0]}
    wrong = [offset for offset, value in records if wanted.get(offset) != value]
    check(not wrong, f"{what}: offsets {wrong[:3]} of partition 0 changed")
    said = broker.log.read_text(errors="replace")
    check("panicked" not in said, f"{what}: a panic: {said[-800:]}")
    if len(records) == len(wanted):
        outcome = "same"
    elif "prefix" in allowed and len(wanted) - len(records) <= 50:
        outcome = "prefix"
    else:
        check(
            file.name in said,
            f"{what}: {len(records)} of {len(wanted)} records are left and nothing is said of it",
        )
        outcome = "reported"
    check(
        outcome in allowed,
        f"{what}: {outcome} ({len(records)} of {len(wanted)} records are left)\n{said[-800:]}",
    )
    whole = read_all(broker.port, "hurt", 2, limit=20) if outcome == "same" else None
    other = whole[1] if whole else [(*r, None) for r in read_some(broker.port, 1, 10)[0]]
    check(
        len(other) == len(known[1]),
        f"{what}: the other partition has {len(other)} of {len(known[1])} records",
    )
    produce_all(broker.port, "hurt", [(1, None, b"goes on", None)], enable_idempotence=True)
    broker.stop()
    return outcome


def damage(folder):
    known = prepare(folder)
    for number, (end, pattern, harm, allowed) in enumerate(CASES):
        if KIND == "kafka" and (allowed & KAFKA_DIFFERS or harm is noise):
            continue
        broker = Broker(folder / f"case-{number}")
        shutil.copytree(folder / end / "data", broker.data)
        names = {
            "first": "0" * 20,
            "last": sorted((broker.data / "hurt-0").glob("*.log"))[-1].stem,
            "snapshot": max(
                (s.name for s in (broker.data / "hurt-0").glob("*.snapshot")), default="none.snapshot"
            ),
            "metadata": sorted((broker.data / "__cluster_metadata-0").glob("*.log"))[-1].stem,
        }
        file = broker.data / pattern.format(**names)
        what = f"{harm.__name__} {pattern} after {end}"
        # Indexes of active segments and epochs may live in memory: after a kill their files may be missing.
        check(end == "kill" or file.exists(), f"{what}: there is no {file.name}")
        harm(file)
        print(f"{what}: {judge(broker, what, known[end], allowed, file)}", flush=True)
        if broker.alive():
            broker.kill()
        shutil.rmtree(broker.folder)


def mounted(folder, size):
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    check(done.returncode == 0, f"a small disk cannot be mounted: {done.stderr.decode()}")
    atexit.register(subprocess.run, ["umount", "-l", folder])


def fill(broker, body, limit):
    """Produces until something is refused; returns how many were acknowledged."""
    sender, refused, acknowledged = producer(broker.port, message_timeout_ms=4_000), [], []
    deadline = time.monotonic() + limit

    def delivered(error, message):
        acknowledged.append(message.offset()) if error is None else refused.append(error)

    while not refused and time.monotonic() < deadline:
        sender.produce("full", body, partition=0, on_delivery=delivered)
        sender.flush(10)
    return len(acknowledged), refused


def full_disk(folder):
    """Kafka halts when its disk is full; here writers alone notice, and only as long as it is."""
    disk = folder / "disk"
    mounted(disk, "96m")
    filler = disk / "filler"
    filler.write_bytes(b"\0" * 48 * 1024 * 1024)
    broker = Broker(folder / "full")
    broker.data = disk / "data"
    broker.settings["log.dirs"] = broker.data
    broker.start()
    create_topic(broker.port, "full")
    body = random.Random(5).randbytes(300_000)
    stored, refused = fill(broker, body, 60)
    check(refused, f"{stored} records of 300 kB fit on a disk with 48 MB free")
    check(broker.alive(), f"the broker died of a full disk:\n{broker.tail()}")
    back = read_all(broker.port, "full", 1)[0]
    check(
        len(back) >= stored and all(r[4] == body for r in back),
        f"{len(back)} of {stored} records while the disk is full",
    )
    filler.unlink()
    deadline, more = time.monotonic() + 30, 0
    while more == 0 and time.monotonic() < deadline:
        more = fill(broker, body, 1)[0]
    check(more > 0, f"nothing can be written half a minute after there is room again:\n{broker.tail()}")
    figure("records on a small disk, before and after it was full", f"{stored} + {more}", "of 300 kB")
    for _ in range(2):
        back = read_all(broker.port, "full", 1)[0]
        check(
            len(back) >= stored + more and all(r[4] == body for r in back),
            f"{len(back)} records of {stored + more}",
        )
        broker.stop()
        broker.start(topic="full")
    broker.stop()


def part():
    folder = scratch("bad-disk")
    damage(folder)
    if KIND == "vltava":
        full_disk(folder)


if __name__ == "__main__":
    main(part)
