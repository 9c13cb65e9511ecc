"""The same requests to Apache Kafka 4.3.1 and to Vltava, both fresh: every field of the answers is equal.

Requests go out and answers come in by Kafka's own classes (tests/peer/Ask.java). Ids, ports and times are
replaced by names; what else may differ stands in EXCUSED, with its reason.
"""

import json
import re
import subprocess

from requests_to_compare import REQUESTS
from support import LIBS, ROOT, SMALL_JVM, Broker, check, figure, main, scratch

# Where answers may differ: API, a part of the request, a part of the path to the field, and why.
EXCUSED = [
    ("DescribeLogDirs", "", "usableBytes", "others write to the file system"),
    ("DescribeQuorum", "", "logEndOffset", "the metadata log counts no-ops, which come with time"),
    ("DescribeQuorum", "", "highWatermark", "the metadata log counts no-ops, which come with time"),
    ("DescribeQuorum", "", "replicaDirectoryId", "it is drawn when a directory is formatted"),
    ("IncrementalAlterConfigs", '"configOperation": 9', "", "Kafka answers UNKNOWN_SERVER_ERROR"),
    ("ApiVersions", "", "finalizedFeaturesEpoch", "the metadata log counts no-ops, which come with time"),
    ("Metadata", '"made"', "topics", "a topic that a request creates is there when the request is answered"),
    ("ApiVersions", "", "apiKeys", "what is not served yet is not advertised"),
    ("Produce", "", "errorMessage", "Kafka leaves it null for some errors; a sentence helps"),
]


# COORDINATOR_LOAD_IN_PROGRESS, which Kafka answers until it has its first block of producer ids.
LOADING = 14


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
        self.names = {
            str(self.broker.port): "<port>",
            str(self.broker.port + 1): "<controller port>",
            str(self.broker.data): "<data>",
        }

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
                value = value.replace(own if len(own) > 8 else f":{own}", name)
        return value

    @staticmethod
    def order(value):
        if not isinstance(value, dict):
            return json.dumps(value)
        named = [
            key
            for key in (
                "name",
                "resourceName",
                "resourceType",
                "topicName",
                "topic",
                "partitionIndex",
                "partition",
                "index",
                "apiKey",
            )
            if key in value
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
