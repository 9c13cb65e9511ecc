#!/usr/bin/env python3
"""What a running Kafka answers to odd produce requests, and what it then keeps on disk.

    python3 tests/peer/produce_cases.py PORT DATA_DIR > tests/vectors/produce_cases.txt

PORT is that of a broker with the topics of TOPICS, of one partition each; DATA_DIR is its log directory. A
line is "TOPIC VERSION CLOCK BATCH ERROR REJECTED KEPT": the version of Produce, the broker's clock in
milliseconds, the bytes sent, the error code, the indexes of rejected records, and the batch on disk with base
offset and leader epoch 0 ("-" where there is none). Lines "topic NAME CONFIG .." come first.
"""
import glob
import gzip
import random
import socket
import struct
import sys
import time

TOPICS = {
    "plain": {},
    "append-time": {"message.timestamp.type": "LogAppendTime"},
    "compacted": {"cleanup.policy": "compact"},
    "gzip": {"compression.type": "gzip"},
    "uncompressed": {"compression.type": "uncompressed"},
    "near": {"message.timestamp.before.max.ms": "2000", "message.timestamp.after.max.ms": "2000"},
    "append-time-gzip": {"message.timestamp.type": "LogAppendTime", "compression.type": "gzip"},
    "limited": {"max.message.bytes": "400"},
}
RECOMPRESSING = {"gzip", "uncompressed", "append-time-gzip"}
HOUR = 3_600_000
CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = (byte >> 1) ^ 0x82F63B78 if byte & 1 else byte >> 1
    CRC_TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = b""
    while number >= 128:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def nullable(data):
    return varint(-1) if data is None else varint(len(data)) + data


def record(offset=0, time_delta=0, key=b"k", value=b"v", headers=(), attributes=0, extra=b"", longer=0,
           count=None):
    body = bytes([attributes]) + varint(time_delta) + varint(offset) + nullable(key) + nullable(value)
    body += varint(len(headers) if count is None else count)
    body += b"".join(nullable(name) + nullable(content) for name, content in headers) + extra
    return varint(len(body) + longer) + body


def batch(payload, count, last=None, attributes=0, base_time=None, max_time=None, producer=-1, sequence=-1,
          base=0, epoch=-1, magic=2, bad_crc=False, length=None):
    base_time = clock() if base_time is None else base_time
    last = count - 1 if last is None else last
    max_time = base_time if max_time is None else max_time
    covered = struct.pack(">hiqqqhii", attributes, last, base_time, max_time, producer, -1, sequence, count)
    covered += payload
    rest = struct.pack(">ibI", epoch, magic, crc32c(covered) ^ bad_crc) + covered
    return struct.pack(">qi", base, len(rest) if length is None else length) + rest


def clock():
    return time.time_ns() // 1_000_000


def text(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


class Broker:
    def __init__(self, port, folder):
        self.port, self.folder, self.positions, self.socket = port, folder, {}, None

    def read(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError("the broker closed the connection")
            data += piece
        return data

    def produce(self, topic, version, records):
        """The error code, the append time and the rejected records."""
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        body = struct.pack(">hhi", 0, version, 1) + text("cases") + text(None) + struct.pack(">hi", -1, 3000)
        body += struct.pack(">i", 1) + text(topic) + struct.pack(">iii", 1, 0, len(records)) + records
        self.socket.sendall(struct.pack(">i", len(body)) + body)
        data = self.read(struct.unpack(">i", self.read(4))[0])
        at = 8 + 2 + len(topic) + 4
        _, error, _, append_time, _ = struct.unpack_from(">ihqqq", data, at)
        rejected = []
        if version >= 8:
            (count,), at = struct.unpack_from(">i", data, at + 30), at + 34
            for _ in range(count):
                index, length = struct.unpack_from(">ih", data, at)
                at += 6 + max(length, 0)
                rejected.append(index)
        return error, append_time, rejected

    def newest(self, topic):
        """The last batch on disk that was not there before."""
        path = max(glob.glob(f"{self.folder}/{topic}-0/*.log"))
        with open(path, "rb") as file:
            file.seek(self.positions.get(path, 0))
            data = file.read()
        at, newest = 0, None
        while at + 12 <= len(data):
            size = struct.unpack_from(">i", data, at + 8)[0] + 12
            newest, at = data[at:at + size], at + size
        self.positions[path] = self.positions.get(path, 0) + at
        return newest


def chosen_cases():
    """What somebody thought of."""
    two, good = record(0) + record(1), batch(record(), 1)
    yield from (good, b"", good[:-1], good[:30], good[:11], good + good, good + good[:-1])
    for stray in (bytes(1), bytes(11), bytes(12), bytes(40), bytes(8) + struct.pack(">i", 20), b"\xff" * 30):
        yield good + stray
    for length in (48, 13, 14, -1):
        yield batch(record(), 1, length=length)
    for fields in ({"base": 5}, {"bad_crc": True}, {"base": 5, "bad_crc": True}, {"magic": 3}, {"magic": -1},
                   {"magic": 1}, {"attributes": 0x20}, {"attributes": 5}, {"attributes": 7},
                   {"attributes": 0x780}, {"attributes": 0x40}, {"attributes": 0x7C0, "max_time": 5},
                   {"attributes": 8}, {"attributes": 8, "max_time": -1},
                   {"attributes": 8, "max_time": clock() + 3 * HOUR},
                   {"attributes": -0x8000, "max_time": 5}, {"producer": 5},
                   {"base_time": -1}, {"base_time": -1, "max_time": 5}, {"base_time": 1},
                   {"base_time": 2**63 - 1}, {"base_time": clock() + 3 * HOUR}):
        yield batch(record(), 1, **fields)
    for count, last in ((3, 1), (2, 5), (0, 0), (0, -1), (-1, 0), (1, -5), (1, None), (3, None)):
        yield batch(two, count, last)
        yield batch(gzip.compress(two), count, last, attributes=1)
    for odd in (record(longer=1), record(longer=-1), record(extra=b"x"), record(count=-1), record(count=50),
                record(count=1, extra=b"z"), record(count=1, extra=varint(-1) * 2), record() + b"\0",
                varint(-5) + b"aaaaaaaa", b""):
        yield batch(odd, 1)
    for plain in (record(0) + record(5), record(5) + record(3)):
        yield batch(plain, 2)
        yield batch(gzip.compress(plain), 2, attributes=1)
    packed = gzip.compress(two)
    for damaged in (packed[:-9], packed[:-8] + bytes(8), packed + b"garbage", b"", b"no gzip, but long",
                    gzip.compress(record(0)) + gzip.compress(record(1))):
        yield batch(damaged, 2, attributes=1)
    for codec in (2, 3, 4):
        yield batch(b"neither snappy nor lz4 nor zstd", 1, attributes=codec)
    yield batch(b"".join(record(i, key=None if i % 2 else b"") for i in range(6)), 6)
    yield batch(b"".join(record(i, key=None, time_delta=i % 2 * 5 * HOUR) for i in range(4)), 4)
    yield batch(record(value=b"x" * 327), 1)
    yield batch(record(value=b"x" * 328), 1)
    yield batch(gzip.compress(record(value=b"x" * 600)), 1, attributes=1)


def drawn_case(topic):
    """What nobody thought of. Where we differ from Kafka on purpose nothing is drawn: record lengths that lie
    inside compressed batches, negative times where the codec changes."""
    def now_and_then(share, otherwise, *values):
        return random.choice(values) if random.random() < share else otherwise

    def text_of(*lengths):
        return bytes(random.choices(b"abc", k=random.choice(lengths)))

    compress = random.random() < 0.4
    deltas = (1, -1, 50, -9000, 9000, 3 * HOUR) + (() if topic in RECOMPRESSING else (-3 * HOUR, 2**62))
    count = random.choice((1, 1, 2, 3, 8))
    payload = b"".join(record(
        now_and_then(0.02, index, 0, 5, -1), now_and_then(0.3, 0, *deltas),
        now_and_then(0.1, text_of(0, 1, 20), None), now_and_then(0.1, text_of(0, 5, 90), None),
        [(text_of(0, 1, 70), now_and_then(0.3, b"value", None))] * now_and_then(0.3, 0, 1, 3),
        now_and_then(0.1, 0, 1, 127)) for index in range(count))
    if not compress and random.random() < 0.15:
        at = random.randrange(len(payload))
        payload = payload[:at] + random.randbytes(1) + payload[at + 1:]
    base_time = clock() + now_and_then(0.1, 0, -9000, 9000, 3 * HOUR)
    return batch(
        gzip.compress(payload) if compress else payload, now_and_then(0.03, count, 0, count + 1, count - 1),
        now_and_then(0.03, None, -1, 0, count), int(compress) | now_and_then(0.1, 0, 8, 0x40, 0x80, 0x700),
        base_time, base_time + now_and_then(0.3, 0, -5, 700), base=now_and_then(0.02, 0, 1), magic=2,
        bad_crc=random.random() < 0.02, epoch=now_and_then(0.3, -1, 0, 7))


def all_cases():
    for topic in TOPICS:
        for case in chosen_cases():
            yield topic, 8, case
        for _ in range(40):
            yield topic, 8, drawn_case(topic)
    yield "plain", 6, batch(b"zstd", 1, attributes=4)


def main():
    broker = Broker(int(sys.argv[1]), sys.argv[2])
    random.seed(20261121)
    for topic, config in TOPICS.items():
        print("topic", topic, *(f"{name}={value}" for name, value in config.items()))
    for topic, version, sent in all_cases():
        before = clock()
        error, append_time, rejected = broker.produce(topic, version, sent)
        kept = broker.newest(topic) if error == 0 else None
        if error == 0:
            kept = bytes(8) + kept[8:12] + bytes(4) + kept[16:]
        print(topic, version, append_time if append_time >= 0 else before, sent.hex() or "-", error,
              ",".join(map(str, rejected)) or "-", "-" if kept is None else kept.hex())


main()
