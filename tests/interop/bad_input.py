"""Malformed frames, hostile lengths, two brokers on one directory, a port that is taken, missing permission.

Damage to files and a full disk are in bad_disk.py.
"""

import os
import pathlib
import random
import shutil
import socket
import struct
import tempfile
import time

from support import (
    KIND,
    VLTAVA,
    Broker,
    answers,
    check,
    create_topic,
    exchange_frame,
    header,
    main,
    produce_all,
    read_all,
    read_frame,
    scratch,
)

GROWTH_KIB = 128 * 1024
HUGE = 0x7FFF_FFFF


def produce_frame(version, body):
    return header(0, version) + body


def hostile_frames():
    """Requests that must be answered or refused, with what is wrong with each; none may hurt."""
    text = lambda content: struct.pack(">h", len(content)) + content
    yield "a huge array of topics in Metadata", header(3, 1) + struct.pack(">i", HUGE)
    yield "a negative array in Metadata", header(3, 1) + struct.pack(">i", -2)
    yield "a string longer than its frame", header(3, 1) + struct.pack(">ih", 1, 0x7FFF) + b"x"
    yield "a negative string", header(3, 1) + struct.pack(">ih", 1, -5)
    yield "a header that ends in its client id", struct.pack(">hhih", 3, 1, 7, 100) + b"abc"
    yield "a header of two bytes", b"\0\x12"
    yield "an empty frame but for a key", struct.pack(">hh", 18, 3)
    yield "an unknown key", header(999, 0)
    yield "a negative key", header(-1, 0)
    yield "a version that is too old", produce_frame(2, b"\0" * 20)
    yield "a version that is too new", header(1, 99) + b"\0" * 20
    compact = header(3, 12) + b"\0"
    yield "a compact array of four billion", compact + b"\xff\xff\xff\xff\x0f"
    yield "a varint that does not end", compact + b"\xff" * 12
    yield "a tagged field longer than its frame", header(3, 12) + b"\x01\x05\xff\xff\xff\xff\x07"
    yield "a thousand million tagged fields", header(3, 12) + b"\xff\xff\xff\xff\x03"
    yield "the same tag twice", header(3, 12) + b"\x02\x05\x01a\x05\x01b"
    partition = struct.pack(">i", 1) + text(b"hostile") + struct.pack(">ii", 1, 0)
    front = struct.pack(">hhi", -1, 1, 1000) + partition
    yield "records longer than their frame", produce_frame(3, front + struct.pack(">i", HUGE) + b"abc")
    batch = struct.pack(">qiib", 0, HUGE, 0, 2) + b"\0" * 60
    yield "a batch that says it is longer", produce_frame(3, front + struct.pack(">i", len(batch)) + batch)
    many = struct.pack(">hhi", -1, 1, 1000) + struct.pack(">i", HUGE)
    yield "a produce request of two thousand million topics", produce_frame(3, many)
    fetch = (
        struct.pack(">iiiib", -1, 10, 1, HUGE, 0)
        + struct.pack(">i", 1)
        + text(b"hostile")
        + struct.pack(">i", HUGE)
    )
    yield "a fetch of two thousand million partitions", header(1, 4) + fetch
    create = (
        struct.pack(">i", 1)
        + text(b"t")
        + struct.pack(">ih", HUGE, 1)
        + struct.pack(">iii", 0, 0, 1000)
        + b"\0"
    )
    yield "a topic of two thousand million partitions", header(19, 2) + create
    draw = random.Random(3)
    for number in range(200):
        key = draw.choice([0, 1, 2, 3, 18, 19, 20, 21, 22, 23, 10, 32, 36])
        body = draw.randbytes(draw.randrange(80))
        yield f"noise {number}", header(key, draw.randrange(0, 14)) + body


def raw(port, sent, half_close=False):
    """Sends bytes as they are; returns whether anything came back, or the end of the stream."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return read_frame(connection)


def malformed(broker):
    create_topic(broker.port, "hostile")
    honest = socket.create_connection(("127.0.0.1", broker.port), timeout=10)
    before, peak = broker.resident_kib(), 0
    for what, payload in hostile_frames():
        try:
            exchange_frame(broker.port, payload, timeout=10)
        except TimeoutError:
            check(what.startswith("noise"), f"{what}: neither an answer nor an end within 10 s")
        peak = max(peak, broker.resident_kib())
    for what, size in (
        ("zero", 0),
        ("negative", -1),
        ("lowest", -(2**31)),
        ("one above the limit", 104_857_601),
        ("huge", HUGE),
    ):
        check(
            raw(broker.port, struct.pack(">i", size) + b"x" * 64) is None,
            f"a frame of size {what} was answered",
        )
    for what, sent in (("nothing", b""), ("half a size", b"\0\0"), ("half a frame", b"\0\0\0\x50abc")):
        check(raw(broker.port, sent, half_close=True) is None, f"{what} was answered")
    check(
        raw(broker.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") is None, "an HTTP request was answered"
    )
    peak = max(peak, broker.resident_kib())
    honest.sendall(struct.pack(">i", len(header(18, 0))) + header(18, 0))
    check(read_frame(honest) is not None, "a connection that was there all the time gets no answer")
    honest.close()
    check(
        peak - before < GROWTH_KIB, f"hostile lengths made the broker grow by {(peak - before) // 1024} MiB"
    )
    version = exchange_frame(broker.port, header(18, 99) + b"\0")
    check(
        version[4:6] == b"\0\x23", f"ApiVersions 99 is answered {version[:16].hex()}, not UNSUPPORTED_VERSION"
    )
    produce_all(broker.port, "hostile", [(0, None, b"still here", None)])
    check(read_all(broker.port, "hostile", 1)[0][0][4] == b"still here", "the topic lost its record")
    print("malformed frames: each answered or refused, other connections went on")


def slow_and_many(broker):
    """A connection that sends a byte now and then, and five hundred silent ones, hold up nobody."""
    slow = socket.create_connection(("127.0.0.1", broker.port))
    idle = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(500)]
    for byte in struct.pack(">i", 104_857_600) + b"\0" * 8:
        slow.sendall(bytes([byte]))
        began = time.monotonic()
        check(answers(broker.port), "a silent connection holds up the others")
        check(time.monotonic() - began < 1, "a silent connection slows the others down")
    for connection in [slow, *idle]:
        connection.close()


def refused(broker, why, *words, environment=None):
    """The broker must end by itself, not with a panic, and say each of `words` in what it prints."""
    broker.log.unlink(missing_ok=True)
    broker.launch(**(environment or {}))
    deadline = time.monotonic() + (20 if broker.kind == "vltava" else 60)
    while broker.alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    said = broker.log.read_text(errors="replace")
    if broker.alive():
        broker.kill()
        check(False, f"{why}: {broker.kind} goes on:\n{said[-800:]}")
    check(
        broker.process.returncode not in (0, 101) and broker.process.returncode > 0,
        f"{why}: {broker.kind} ends with exit code {broker.process.returncode}:\n{said[-800:]}",
    )
    check("panicked" not in said, f"{why}: {said[-800:]}")
    if broker.kind == "vltava":
        check(
            all(word.lower() in said.lower() for word in words),
            f"{why}: the sentence lacks {words}:\n{said[-800:]}",
        )
        print(f"{why}: {said.strip().splitlines()[-1][-300:]}")


def two_brokers(folder):
    """Both orders, and Kafka's lock against ours. Two Kafkas are no measure: the second writes to the log of
    metadata before it asks for the lock, and the first one dies of it."""
    if KIND != "vltava":
        return
    for first, second in (("vltava", "vltava"), ("kafka", "vltava"), ("vltava", "kafka")):
        holder = Broker(folder / f"{first}-{second}", kind=first)
        holder.start()
        create_topic(holder.port, "held")
        intruder = Broker(folder / f"{first}-{second}-intruder", kind=second)
        intruder.data = holder.data
        intruder.settings["log.dirs"] = holder.data
        refused(intruder, f"{second} on the directory of a running {first}", "in use", str(holder.data))
        produce_all(holder.port, "held", [(0, None, b"mine", None)])
        check(read_all(holder.port, "held", 1)[0][0][4] == b"mine", f"{first} lost a record to {second}")
        holder.stop()
        if second == "kafka":
            continue  # its controller wrote into the metadata log before its broker asked for the lock
        holder.start(topic="held")
        check(read_all(holder.port, "held", 1)[0][0][4] == b"mine", f"{first} lost a record to {second}")
        holder.stop()


def taken_port(folder):
    broker = Broker(folder / "taken")
    with socket.socket() as other:
        other.bind(("127.0.0.1", broker.port))
        other.listen()
        refused(broker, "a port that is taken", str(broker.port))
    broker.start()
    broker.stop()


def missing_permission(folder):
    """Run by nobody, on a directory of root: a copy of the program, in a place that nobody can reach."""
    if KIND != "vltava":
        return
    check(os.geteuid() == 0, "this part must run as root, to drop its rights")
    reachable = pathlib.Path(tempfile.mkdtemp())
    try:
        reachable.chmod(0o755)
        program = shutil.copy(VLTAVA, reachable / "vltava")
        broker = Broker(reachable / "broker")
        command = broker.command
        broker.command = lambda: [program, *command()[1:]]
        broker.data.mkdir()
        broker.data.chmod(0o700)
        refused(
            broker, "a directory of someone else", str(broker.data), "permission", environment={"user": 65534}
        )
        broker.settings["log.dirs"] = "/proc/vltava"
        refused(broker, "a directory that cannot be made", "/proc/vltava")
    finally:
        shutil.rmtree(reachable)


def wrong_configuration(folder):
    if KIND != "vltava":
        return
    for key, value, word in (
        ("num.partitions", "many", "num.partitions"),
        ("listeners", "nonsense", "listeners"),
        ("log.segment.bytes", "-1", "log.segment.bytes"),
    ):
        broker = Broker(folder / "configuration")
        broker.settings[key] = value
        refused(broker, f"{key}={value}", word)


def part():
    folder = scratch("bad-input")
    broker = Broker(folder / "frames")
    broker.start()
    malformed(broker)
    slow_and_many(broker)
    check(broker.alive(), f"the broker died:\n{broker.tail()}")
    check("panicked" not in broker.log.read_text(errors="replace"), "a panic is in the broker's log")
    broker.stop()
    two_brokers(folder)
    taken_port(folder)
    missing_permission(folder)
    wrong_configuration(folder)


if __name__ == "__main__":
    main(part)
