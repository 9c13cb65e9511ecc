"""The same requests to Apache Kafka 4.3.1 and to Vltava, both fresh: every field of the answers is equal.

Requests go out and answers come in by Kafka's own classes (tests/peer/Ask.java). Ids, ports and times are
replaced by names; what else may differ stands in EXCUSED, with its reason.
"""

import json
import re
import subprocess

from support import LIBS, ROOT, SMALL_JVM, Broker, check, figure, main, scratch

# Where answers may differ: API, a part of the request, a part of the path to the field, and why.
EXCUSED = [
    ("ApiVersions", "", "finalizedFeaturesEpoch", "the metadata log counts no-ops, which come with time"),
    ("Metadata", '"made"', "topics", "a topic that a request creates is there when the request is answered"),
    ("ApiVersions", "", "apiKeys", "what is not served yet is not advertised"),
    ("Produce", "", "errorMessage", "Kafka leaves it null for some errors; a sentence helps"),
]


# COORDINATOR_LOAD_IN_PROGRESS, which Kafka answers until it has its first block of producer ids.
LOADING = 14


def topic(name, partitions=1, replicas=1, **configs):
    listed = [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()]
    return {"name": name, "numPartitions": partitions, "replicationFactor": replicas, "configs": listed}


def create(*topics, version=7, **fields):
    return ("CreateTopics", version, {"topics": list(topics), "timeoutMs": 10_000, **fields})


def produce(name, partition=0, version=11, records="a line", acks=-1):
    places = [{"index": partition, "records": records}]
    data = (
        [{"name": name, "partitionData": places}]
        if version < 13
        else [{"topicId": f"<{name}>", "partitionData": places}]
    )
    return ("Produce", version, {"acks": acks, "timeoutMs": 5_000, "topicData": data})


def fetch(name, version=12, partition=0, offset=0, **fields):
    place = {"partition": partition, "fetchOffset": offset, "partitionMaxBytes": 1_000_000}
    place |= {key: fields.pop(key) for key in ("currentLeaderEpoch", "lastFetchedEpoch") if key in fields}
    key = "topic" if version < 13 else "topicId"
    named = name if version < 13 else f"<{name}>"
    topics = [{key: named, "partitions": [place]}]
    return ("Fetch", version, {"maxWaitMs": 50, "minBytes": 1, "topics": topics, **fields})


def offsets(name, timestamp, version=10, partition=0, **place):
    place = {"partitionIndex": partition, "timestamp": timestamp, **place}
    return ("ListOffsets", version, {"replicaId": -1, "topics": [{"name": name, "partitions": [place]}]})


def metadata(*names, version=13, create=False):
    topics = [{"name": name} for name in names] if names else None
    return ("Metadata", version, {"topics": topics, "allowAutoTopicCreation": create or version < 4})


def epoch(name, asked, partition=0, current=-1):
    place = {"partition": partition, "leaderEpoch": asked, "currentLeaderEpoch": current}
    return ("OffsetForLeaderEpoch", 4, {"replicaId": -1, "topics": [{"topic": name, "partitions": [place]}]})


def delete_records(name, offset, partition=0):
    place = {"partitionIndex": partition, "offset": offset}
    return ("DeleteRecords", 2, {"timeoutMs": 5_000, "topics": [{"name": name, "partitions": [place]}]})


REQUESTS = [
    ("ApiVersions", 4, {"clientSoftwareName": "ask", "clientSoftwareVersion": "1"}),
    ("ApiVersions", 3, {"clientSoftwareName": "not valid!", "clientSoftwareVersion": "1"}),
    ("ApiVersions", 0, {}),
    create(topic("a", 3), topic("b", retention_ms="60000", cleanup_policy="compact")),
    create(topic("v5"), version=5),
    create(topic("v2"), version=2),
    create(topic("dry", 2), validateOnly=True),
    create(topic("defaults", -1, -1)),
    create(
        {
            "name": "placed",
            "numPartitions": -1,
            "replicationFactor": -1,
            "assignments": [{"partitionIndex": 0, "brokerIds": [1]}, {"partitionIndex": 1, "brokerIds": [1]}],
        }
    ),
    create(
        {
            "name": "nowhere",
            "numPartitions": -1,
            "replicationFactor": -1,
            "assignments": [{"partitionIndex": 0, "brokerIds": [7]}],
        }
    ),
    create(
        {
            "name": "gaps",
            "numPartitions": -1,
            "replicationFactor": -1,
            "assignments": [{"partitionIndex": 1, "brokerIds": [1]}],
        }
    ),
    create(
        {
            "name": "both",
            "numPartitions": 2,
            "replicationFactor": 1,
            "assignments": [{"partitionIndex": 0, "brokerIds": [1]}],
        }
    ),
    create(
        {
            "name": "same",
            "numPartitions": -1,
            "replicationFactor": -1,
            "assignments": [{"partitionIndex": 0, "brokerIds": [1, 1]}],
        }
    ),
    create(
        {
            "name": "none",
            "numPartitions": -1,
            "replicationFactor": -1,
            "assignments": [{"partitionIndex": 0, "brokerIds": []}],
        }
    ),
    create(topic("a")),
    create(topic("twice"), topic("twice", 2)),
    create(topic("no/slash")),
    create(topic("")),
    create(topic(".")),
    create(topic("x" * 250)),
    create(topic("under_score")),
    create(topic("under.score")),
    create(topic("__cluster_metadata")),
    create(topic("r3", 1, 3)),
    create(topic("r0", 1, 0)),
    create(topic("p0", 0)),
    create(topic("p-5", -5)),
    create(topic("huge", 10_001)),
    create(topic("c1", colour="red")),
    create(topic("c2", retention_ms="soon")),
    create(topic("c3", min_insync_replicas="0")),
    create(topic("c4", cleanup_policy="shred")),
    create(topic("c5", compression_type="rar")),
    create(topic("c6", segment_bytes="1")),
    create(topic("c7", max_message_bytes=None)),
    create(topic("c8", message_timestamp_type="Later")),
    create(topic("c9", unclean_leader_election_enable="maybe")),
    create(topic("c10", retention_ms="")),
    create(topic("c11", min_cleanable_dirty_ratio="2")),
    create(topic("c12", remote_storage_enable="true")),
    create(
        topic("strict", message_timestamp_before_max_ms="1000"),
        topic("stamped", message_timestamp_type="LogAppendTime"),
    ),
    create(topic("c13", cleanup_policy="compact,delete", segment_ms="1000", flush_messages="1")),
    metadata(),
    metadata("a", "b"),
    metadata("missing"),
    metadata("bad/name"),
    metadata("made", create=True),
    metadata("bad/name", create=True),
    metadata("a", version=9),
    metadata("a", version=5),
    metadata("a", version=1),
    ("Metadata", 12, {"topics": [{"topicId": "AAAAAAAAAAAAAAAAAAAAEg", "name": None}]}),
    ("Metadata", 12, {"topics": [{"topicId": "<a>", "name": None}]}),
    ("Metadata", 10, {"topics": [{"topicId": "<a>", "name": None}]}),
    ("Metadata", 4, {"topics": []}),
    ("Metadata", 0, {"topics": []}),
    produce("a"),
    produce("a", version=3, records="second"),
    produce("a", version=13, records="third"),
    produce("a", partition=9),
    produce("a", acks=2),
    produce("a", acks=1, version=9, records="fourth"),
    produce("missing"),
    produce("b"),
    produce("strict", records="5@too old"),
    produce("strict", records="9000000000000@too young"),
    produce("stamped", records="5@stamped"),
    (
        "Produce",
        13,
        {
            "acks": -1,
            "timeoutMs": 5000,
            "topicData": [
                {"topicId": "AAAAAAAAAAAAAAAAAAAAEg", "partitionData": [{"index": 0, "records": "x"}]}
            ],
        },
    ),
    ("Produce", 11, {"acks": -1, "timeoutMs": 5000, "topicData": []}),
    (
        "Produce",
        11,
        {
            "acks": -1,
            "timeoutMs": 5000,
            "transactionalId": "t",
            "topicData": [{"name": "a", "partitionData": [{"index": 1, "records": "x"}]}],
        },
    ),
    fetch("a"),
    fetch("a", version=4),
    fetch("a", version=11),
    fetch("a", version=17),
    fetch("a", version=18, offset=2),
    fetch("a", offset=99),
    fetch("a", offset=-1),
    fetch("a", partition=9),
    fetch("missing"),
    fetch("a", currentLeaderEpoch=9),
    fetch("a", currentLeaderEpoch=0),
    fetch("a", offset=2, lastFetchedEpoch=0),
    fetch("a", offset=2, lastFetchedEpoch=5),
    fetch("a", sessionId=12345, sessionEpoch=3),
    fetch("a", isolationLevel=1),
    fetch("a", version=13, sessionId=0, sessionEpoch=-1),
    (
        "Fetch",
        13,
        {
            "maxWaitMs": 50,
            "minBytes": 1,
            "topics": [
                {
                    "topicId": "AAAAAAAAAAAAAAAAAAAAEg",
                    "partitions": [{"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 100}],
                }
            ],
        },
    ),
    offsets("a", -1),
    offsets("a", -2),
    offsets("a", -3),
    offsets("a", -4),
    offsets("a", -5),
    offsets("a", -6),
    offsets("a", -7),
    offsets("a", 0),
    offsets("a", 9_000_000_000_000),
    offsets("a", -3, partition=1),
    offsets("a", -1, version=1),
    offsets("a", -3, version=6),
    offsets("a", -1, partition=9),
    offsets("missing", -1),
    offsets("a", -1, currentLeaderEpoch=5),
    epoch("a", 0),
    epoch("a", 5),
    epoch("a", 0, current=7),
    epoch("a", 0, partition=9),
    epoch("missing", 0),
    ("InitProducerId", 5, {"transactionalId": None, "transactionTimeoutMs": 1000}),
    ("InitProducerId", 2, {"transactionalId": None, "transactionTimeoutMs": 1000}),
    (
        "InitProducerId",
        5,
        {"transactionalId": None, "transactionTimeoutMs": 1000, "producerId": 0, "producerEpoch": 0},
    ),
    ("InitProducerId", 3, {"transactionalId": "", "transactionTimeoutMs": 1000}),
    delete_records("a", 2),
    delete_records("a", 1),
    delete_records("a", 99),
    delete_records("a", -5),
    delete_records("a", -1),
    delete_records("a", 1, partition=9),
    delete_records("b", 1),
    delete_records("missing", 1),
    offsets("a", -2),
    fetch("a"),
    ("DeleteTopics", 6, {"topics": [{"name": "b"}, {"name": "missing"}], "timeoutMs": 5000}),
    ("DeleteTopics", 6, {"topics": [{"name": None, "topicId": "AAAAAAAAAAAAAAAAAAAAEg"}], "timeoutMs": 5000}),
    ("DeleteTopics", 6, {"topics": [{"name": "v5"}, {"name": "v5"}], "timeoutMs": 5000}),
    ("DeleteTopics", 6, {"topics": [{"name": None, "topicId": "<v2>"}], "timeoutMs": 5000}),
    ("DeleteTopics", 5, {"topicNames": ["defaults", "missing", "defaults"], "timeoutMs": 5000}),
    ("DeleteTopics", 1, {"topicNames": ["__cluster_metadata", "made"], "timeoutMs": 5000}),
    metadata(),
]


class Asker:
    """One process with Kafka's classes that asks both brokers."""

    def __init__(self, folder):
        source = ROOT / "tests" / "peer" / "Ask.java"
        compiled = subprocess.run(
            ["javac", "-nowarn", "-cp", f"{LIBS}/*", "-d", folder, source], capture_output=True, text=True
        )
        check(compiled.returncode == 0, compiled.stderr)
        command = ["java", *SMALL_JVM, "-cp", f"{folder}:{LIBS}/*", "Ask"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, port, api, version, body):
        self.process.stdin.write(f"{port} {api} {version} {json.dumps(body)}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        check(line, f"Kafka's classes refuse to write {api} {version} {body}")
        return json.loads(line)


class Side:
    """One broker, and the names of what only its own answers call by other names."""

    def __init__(self, folder, kind, asker):
        self.broker = Broker(folder, kind)
        self.broker.start()
        self.asker, self.ids = asker, {}
        self.names = {str(self.broker.port): "<port>"}

    def answer(self, api, version, body):
        """What is answered once the broker has what it needs."""
        while True:
            answer = self.answer_once(api, version, body)
            if api != "InitProducerId" or answer["errorCode"] != LOADING:
                return answer

    def answer_once(self, api, version, body):
        written = json.dumps(body)
        for name, id in self.ids.items():
            written = written.replace(f"<{name}>", id)
        answer = self.asker.ask(self.broker.port, api, version, json.loads(written))
        self.learn(answer)
        return self.told(answer)

    def learn(self, answer):
        for topic in answer.get("topics") or []:
            if isinstance(topic, dict) and topic.get("name") and set(topic.get("topicId", "A")) != {"A"}:
                self.ids[topic["name"]] = topic["topicId"]
                self.names[topic["topicId"]] = f"<{topic['name']}>"
        if answer.get("clusterId"):
            self.names[answer["clusterId"]] = "<cluster>"

    def told(self, value):
        """The answer with names for what differs from run to run; sets in one order."""
        if isinstance(value, dict):
            return {key: self.told(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return sorted((self.told(inner) for inner in value), key=self.order)
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and 1_600_000_000_000 < value < 3_000_000_000_000
        ):
            return "<time>"
        if isinstance(value, (int, str)) and str(value) in self.names and not isinstance(value, bool):
            return self.names[str(value)]
        if isinstance(value, str):
            value = re.sub(r"\b1[6-9]\d{11}\b", "<time>", value)
            for own, name in self.names.items():
                value = value.replace(own, name) if len(own) > 8 else value
        return value

    @staticmethod
    def order(value):
        if not isinstance(value, dict):
            return json.dumps(value)
        named = [
            key for key in ("name", "topic", "partitionIndex", "partition", "index", "apiKey") if key in value
        ]
        return json.dumps([value[key] for key in named] or value, sort_keys=True)


def differences(left, right, path=""):
    """Each place where two answers differ: its path and both values."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from differences(left.get(key, "-"), right.get(key, "-"), f"{path}.{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, pair in enumerate(zip(left, right)):
            yield from differences(*pair, f"{path}[{index}]")
    elif left != right:
        yield path, left, right


def excuse(api, body, path):
    """Why an answer may differ at this place; None when it may not."""
    asked = json.dumps(body)
    found = (why for name, said, at, why in EXCUSED if name == api and said in asked and at in path)
    return next(found, None)


def part():
    folder = scratch("answers")
    asker = Asker(folder)
    sides = [Side(folder / kind, kind, asker) for kind in ("kafka", "vltava")]
    wrong, excused = [], {}
    for api, version, body in REQUESTS:
        kafka, ours = (side.answer(api, version, body) for side in sides)
        for path, theirs, mine in differences(kafka, ours):
            reason = excuse(api, body, path)
            if reason:
                excused[reason] = excused.get(reason, 0) + 1
            else:
                wrong.append(
                    f"{api} {version} {json.dumps(body)[:150]}\n   {path}: Kafka {theirs!r}, Vltava {mine!r}"
                )
    figure("requests whose answers were compared", len(REQUESTS), "requests")
    for reason, count in excused.items():
        print(f"{count} differences are excused: {reason}")
    print("\n".join(wrong))
    check(not wrong, f"{len(wrong)} fields differ from what Kafka answers")


if __name__ == "__main__":
    main(part)
