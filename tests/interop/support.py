"""What the parts share: brokers to start and end, a corpus, Kafka's tools, raw frames, reading a topic whole.

BROKER=kafka runs a part against Apache Kafka 4.3.1, so that the part itself is proved; the default is vltava.
"""

import atexit
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
LIBS = pathlib.Path(os.environ.get("KAFKA_LIBS", TARGET / "kafka-4.3.1")).resolve()
VLTAVA = pathlib.Path(os.environ.get("VLTAVA", TARGET / "release" / "vltava")).resolve()
KIND = os.environ.get("BROKER", "vltava")
DESCRIBE_CONFIGS = 32
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
LIBC = ctypes.CDLL(None)
SMALL_JVM = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"]


def check(condition, sentence):
    """Ends the part with `sentence` unless `condition` holds."""
    if not condition:
        raise SystemExit(f"FAILED: {sentence}")


def figure(name, value, unit):
    """Prints a measurement; nothing is asserted on it."""
    print(
        f"figure: {name} = {value:,.1f} {unit}"
        if isinstance(value, float)
        else f"figure: {name} = {value} {unit}"
    )


def scratch(name):
    """A new folder that goes when the part ends well."""
    base = TARGET / "interop"
    base.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
    if not os.environ.get("KEEP"):
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def free_port():
    """A port that nothing listens on, and whose successor is free too (Kafka's controller)."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
                return port
            except (OSError, OverflowError):
                continue


def die_with_parent():
    """A child that outlives a failed part would hold its port and its directory."""
    LIBC.prctl(1, signal.SIGKILL)


def exchange_frame(port, payload, timeout=5.0):
    """Sends one frame and returns the answer's body, or None when the connection is closed instead."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(struct.pack(">i", len(payload)) + payload)
        return read_frame(connection)


def read_frame(connection):
    """One frame's body, or None at the end of the stream."""
    try:
        head = connection.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            return None
        size = struct.unpack(">i", head)[0]
        body = connection.recv(size, socket.MSG_WAITALL)
        return body if len(body) == size else None
    except ConnectionResetError:
        return None


def header(key, version, correlation=7, client=b"interop"):
    """A request header of version 1."""
    return struct.pack(">hhih", key, version, correlation, len(client)) + client


def answers(port):
    """Whether a broker on `port` answers ApiVersions."""
    try:
        return exchange_frame(port, header(18, 0), timeout=1.0) is not None
    except OSError:
        return False


def advertised(port):
    """The API keys that a broker says it serves."""
    answer = exchange_frame(port, header(18, 0))
    (count,) = struct.unpack_from(">i", answer, 6)
    return {struct.unpack_from(">h", answer, 10 + 6 * entry)[0] for entry in range(count)}


def serves(port, topic):
    """Whether partition 0 of `topic` is led: ListOffsets 1 of its end is answered without an error."""
    name = topic.encode()
    place = struct.pack(">ih", 1, len(name)) + name + struct.pack(">iiq", 1, 0, -1)
    try:
        answer = exchange_frame(port, header(2, 1) + struct.pack(">i", -1) + place, timeout=5.0)
    except OSError:
        return False
    at = 4 + 4 + 2 + len(name) + 4 + 4
    return answer is not None and answer[at : at + 2] == b"\0\0"


class Broker:
    """One broker on a directory of its own; `kind` may change between its runs, directory and port stay."""

    def __init__(self, folder, kind=KIND, **settings):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.kind = kind
        self.port = free_port()
        self.data = self.folder / "data"
        self.log = self.folder / "broker.log"
        self.process = None
        self.settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.port + 1}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.port + 1}",
            "log.dirs": self.data,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
        }
        self.settings.update({name.replace("_", "."): value for name, value in settings.items()})

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        """The command that runs this broker; writes its configuration and formats a directory for Kafka."""
        properties = self.folder / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in self.settings.items()))
        if self.kind == "vltava":
            return [VLTAVA, "serve", properties]
        if not (self.data / "meta.properties").exists():
            storage = ["kafka.tools.StorageTool"]
            cluster = tool(*storage, "random-uuid").strip()
            tool(*storage, "format", "--standalone", "-t", cluster, "-c", properties)
        jvm = ["-Xms1G", "-Xmx1G", "-XX:+UseG1GC"]
        return ["java", *jvm, "-cp", f"{LIBS}/*", "kafka.Kafka", properties]

    def launch(self, **options):
        """Starts the process without waiting for an answer."""
        with open(self.log, "ab") as log:
            options = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, **options}
            self.process = subprocess.Popen(self.command(), preexec_fn=die_with_parent, **options)

    def start(self, limit=60.0, topic=None):
        """Starts the broker; returns the seconds until it answered, and led `topic` where one is named."""
        check(not answers(self.port), f"something else answers on port {self.port}")
        self.launch()
        began = time.monotonic()
        while not (serves(self.port, topic) if topic else answers(self.port)):
            code = self.process.poll()
            check(code is None, f"{self.kind} ended at its start with exit code {code}:\n{self.tail()}")
            check(
                time.monotonic() - began < limit, f"{self.kind} gave no answer in {limit} s:\n{self.tail()}"
            )
            time.sleep(0.002)
        return time.monotonic() - began

    def stop(self, limit=30.0 if KIND == "vltava" else 120.0):
        """Ends the broker with SIGTERM; returns the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            check(False, f"{self.kind} did not end within {limit} s of SIGTERM:\n{self.tail()}")
        check(code in (0, 143), f"{self.kind} ended with exit code {code} after SIGTERM:\n{self.tail()}")
        return time.monotonic() - began

    def kill(self):
        """Ends the broker with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def alive(self):
        return self.process.poll() is None

    def tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def resident_kib(self):
        """Resident memory in KiB."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")


def tool(name, *arguments, stdin=b"", fails=False):
    """Runs one of Kafka's command-line tools and returns its output."""
    command = ["java", *SMALL_JVM, "-cp", f"{LIBS}/*", name, *map(str, arguments)]
    ran = subprocess.run(command, input=stdin, capture_output=True, timeout=300)
    output = (ran.stdout + ran.stderr).decode(errors="replace")
    check((ran.returncode != 0) == fails, f"{name} {arguments}: exit code {ran.returncode}\n{output[-3000:]}")
    return output


def corpus(lines=1_000_000):
    """A file of real text: the sources of the libraries in Cargo.lock, without empty lines."""
    path = TARGET / "interop" / f"corpus-{lines}.txt"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True
    )
    packages = [p for p in json.loads(metadata.stdout)["packages"] if p["source"]]
    unfinished, written = path.with_suffix(".part"), 0
    with open(unfinished, "wb") as out:
        for package in sorted(packages, key=lambda p: p["id"]):
            files = pathlib.Path(package["manifest_path"]).parent.rglob("*")
            for file in sorted(f for f in files if f.suffix in (".rs", ".md") and f.is_file()):
                text = [line for line in file.read_bytes().split(b"\n") if line][: lines - written]
                out.write(b"".join(line + b"\n" for line in text))
                written += len(text)
    check(written == lines, f"the libraries' sources have {written} lines, too few")
    unfinished.rename(path)
    return path


def producer(port, **settings):
    defaults = {"bootstrap.servers": f"127.0.0.1:{port}", "acks": "all"}
    return Producer(defaults | {name.replace("_", "."): value for name, value in settings.items()})


def admin(port):
    return AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"})


def produce_all(port, topic, records, **settings):
    """Produces (partition, key, value, headers) in order; returns where each was acknowledged."""
    sender, offsets = producer(port, **settings), {}

    def delivered(index):
        def report(error, message):
            check(error is None, f"{topic}: record {index} was refused: {error}")
            offsets[index] = (message.partition(), message.offset())

        return report

    for index, (partition, key, value, headers) in enumerate(records):
        sender.produce(topic, value, key, partition, on_delivery=delivered(index), headers=headers)
        sender.poll(0)
    left = sender.flush(60)
    check(left == 0, f"{topic}: {left} records are unanswered after a minute")
    return [offsets[index] for index in range(len(offsets))]


def read_all(port, topic, partitions, start=None, committed=False, limit=120.0):
    """Every record of a topic by partition, as (offset, timestamp type, timestamp, key, value, headers)."""
    read = read_topics(port, {topic: partitions}, start, committed, limit)
    return {partition: records for (_, partition), records in read.items()}


def read_topics(port, topics, start=None, committed=False, limit=120.0):
    """Every record of several topics, by (topic, partition)."""
    consumer = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "check.crcs": True,
            "fetch.wait.max.ms": 20,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
        }
    )
    first = OFFSET_BEGINNING if start is None else start
    places = [(topic, partition) for topic, partitions in topics.items() for partition in range(partitions)]
    consumer.assign([TopicPartition(topic, partition, first) for topic, partition in places])
    records, waiting, deadline = {place: [] for place in places}, set(places), time.monotonic() + limit
    while waiting:
        check(time.monotonic() < deadline, f"the end of {sorted(waiting)} was not reached in {limit} s")
        for message in consumer.consume(1000, 0.05):
            place = (message.topic(), message.partition())
            if message.error():
                check(message.error().code() == KafkaError._PARTITION_EOF, f"{place}: {message.error()}")
                waiting.discard(place)
            else:
                kind, stamp = message.timestamp()
                records[place].append(
                    (message.offset(), kind, stamp, message.key(), message.value(), message.headers())
                )
    consumer.close()
    return records


def create_topic(port, name, partitions=1, **settings):
    config = {key.replace("_", "."): str(value) for key, value in settings.items()}
    topic = NewTopic(name, partitions, 1, config=config)
    client = admin(port)
    client.create_topics([topic], operation_timeout=30)[name].result(60)


def main(part):
    """Runs a part; an exception of any kind is its failure. SIGTERM ends it as an error does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    part()
    print(f"done in {time.monotonic() - began:.1f} s", file=sys.stderr)
