"""The requests whose answers are compared, in their order: API, version, and the fields that are given."""

# Types of resources that have configurations.
TOPIC, BROKER, METRICS, GROUP = 2, 4, 16, 32


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


def pages(*names, limit, **fields):
    topics = [{"name": name} for name in names]
    return ("DescribeTopicPartitions", 0, {"topics": topics, "responsePartitionLimit": limit, **fields})


def partitions(*counts, validate_only=False):
    topics = [{"name": name, "count": count, "assignments": None} for name, count in counts]
    return ("CreatePartitions", 3, {"topics": topics, "timeoutMs": 5_000, "validateOnly": validate_only})


def quorum(name, version=2):
    topics = [{"topicName": name, "partitions": [{"partitionIndex": 0}]}]
    return ("DescribeQuorum", version, {"topics": topics})


def quotas(*components):
    filters = [{"entityType": kind, "matchType": how, "match": name} for kind, how, name in components]
    return ("DescribeClientQuotas", 1, {"components": filters, "strict": False})


def features(*levels, version=2, **fields):
    updates = [{"feature": name, "maxVersionLevel": level, "upgradeType": how} for name, level, how in levels]
    return ("UpdateFeatures", version, {"timeoutMs": 5_000, "featureUpdates": updates, **fields})


def incremental(*resources, **fields):
    asked = [
        {
            "resourceType": kind,
            "resourceName": name,
            "configs": [{"name": key, "configOperation": how, "value": value} for key, how, value in changes],
        }
        for kind, name, *changes in resources
    ]
    return ("IncrementalAlterConfigs", 1, {"resources": asked, **fields})


def describe(*resources, version=4, configurationKeys=None, includeSynonyms=True):
    asked = [
        {"resourceType": kind, "resourceName": name, "configurationKeys": configurationKeys}
        for kind, name in resources
    ]
    return ("DescribeConfigs", version, {"resources": asked, "includeSynonyms": includeSynonyms})


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
    ("DescribeCluster", 2, {"includeClusterAuthorizedOperations": True, "endpointType": 1}),
    ("DescribeCluster", 2, {"endpointType": 2}),
    ("DescribeCluster", 2, {"endpointType": 3}),
    ("DescribeCluster", 0, {}),
    pages("a", "missing", "ba d", limit=2_000),
    pages("a", limit=1),
    pages("a", limit=1, cursor={"topicName": "a", "partitionIndex": 1}),
    pages("a", limit=0),
    pages("a", limit=1, cursor={"topicName": "a", "partitionIndex": -1}),
    pages(limit=4),
    partitions(("a", 5), ("missing", 3)),
    partitions(("a", 5)),
    partitions(("a", 1)),
    partitions(("a", 7), validate_only=True),
    partitions(("a", 0)),
    partitions(("a", 6), ("a", 7)),
    (
        "CreatePartitions",
        3,
        {"topics": [{"name": "a", "count": 6, "assignments": [{"brokerIds": [9]}]}], "timeoutMs": 3000},
    ),
    ("CreatePartitions", 3, {"topics": [{"name": "a", "count": 6, "assignments": []}], "timeoutMs": 3000}),
    (
        "CreatePartitions",
        3,
        {"topics": [{"name": "a", "count": 6, "assignments": [{"brokerIds": [1]}]}], "timeoutMs": 3000},
    ),
    ("DescribeLogDirs", 4, {"topics": [{"topic": "a", "partitions": [0, 1, 77]}]}),
    ("DescribeLogDirs", 4, {"topics": [{"topic": "missing", "partitions": [7]}]}),
    ("DescribeLogDirs", 1, {"topics": [{"topic": "a", "partitions": [2]}]}),
    (
        "DescribeProducers",
        0,
        {
            "topics": [
                {"name": "a", "partitionIndexes": [0, 99]},
                {"name": "missing", "partitionIndexes": [0]},
            ]
        },
    ),
    quorum("__cluster_metadata"),
    quorum("__cluster_metadata", version=0),
    quorum("a"),
    ("ListConfigResources", 1, {"resourceTypes": []}),
    ("ListConfigResources", 1, {"resourceTypes": [2, 4]}),
    ("ListConfigResources", 1, {"resourceTypes": [99]}),
    ("ListConfigResources", 0, {}),
    ("ListPartitionReassignments", 0, {"timeoutMs": 1000, "topics": None}),
    (
        "ListPartitionReassignments",
        0,
        {"timeoutMs": 1000, "topics": [{"name": "missing", "partitionIndexes": [0]}]},
    ),
    quotas(),
    quotas(("user", 0, "x")),
    quotas(("planet", 0, "x")),
    quotas(("", 0, "x")),
    quotas(("user", 0, "x"), ("user", 1, None)),
    quotas(("user", 0, None)),
    quotas(("user", 1, "x")),
    quotas(("user", 7, None)),
    ("DescribeUserScramCredentials", 0, {"users": None}),
    ("DescribeUserScramCredentials", 0, {"users": [{"name": "x"}]}),
    ("DescribeUserScramCredentials", 0, {"users": [{"name": "x"}, {"name": "x"}]}),
    features(("metadata.version", 29, 1), validateOnly=True),
    features(("metadata.version", 29, 2), validateOnly=True),
    features(("nosuch", 1, 1)),
    features(("group.version", 0, 1)),
    features(("group.version", 7, 1), version=1),
    features(("group.version", 0, 2), validateOnly=True),
    features(("group.version", 1, 1), ("share.version", 1, 1)),
    features(("group.version", 1, 9)),
    features(("kraft.version", 1, 1)),
    features(("kraft.version", 0, 2)),
    incremental((TOPIC, "a", ("retention.ms", 0, "5000"), ("cleanup.policy", 2, "compact"))),
    incremental((TOPIC, "missing", ("retention.ms", 0, "5000"))),
    incremental((TOPIC, "a", ("retention.ms", 0, "x")), (TOPIC, "a", ("retention.ms", 0, "5"))),
    incremental((TOPIC, "a", ("retention.ms", 0, "5"), ("retention.ms", 0, "6"))),
    incremental((TOPIC, "a", ("retention.ms", 0, "x"))),
    incremental((TOPIC, "a", ("retention.ms", 0, None))),
    incremental((TOPIC, "a", ("retention.ms", 2, "5"))),
    incremental((TOPIC, "a", ("retention.ms", 9, "5"))),
    incremental((TOPIC, "a", ("nonsense", 0, "5"))),
    incremental((TOPIC, "a", ("nonsense", 1, None))),
    incremental((TOPIC, "a", ("cleanup.policy", 3, "compact"))),
    incremental((TOPIC, "a", ("segment.bytes", 0, "2000000")), validateOnly=True),
    incremental((TOPIC, "", ("segment.bytes", 0, "2000000"))),
    incremental((BROKER, "1", ("log.retention.ms", 0, "5000"))),
    incremental((BROKER, "", ("log.retention.bytes", 0, "5000"))),
    incremental((BROKER, "2", ("log.retention.bytes", 0, "5000"))),
    incremental((BROKER, "x", ("log.retention.bytes", 0, "5000"))),
    incremental((BROKER, "1", ("log.dirs", 0, "/x"))),
    incremental((BROKER, "1", ("log.retention.ms", 0, "soon"))),
    incremental((BROKER, "", ("nonsense", 0, "x")), validateOnly=True),
    incremental((BROKER, "", ("listeners", 0, "PLAINTEXT://127.0.0.1:1"))),
    incremental((BROKER, "1", ("min.insync.replicas", 0, "2"))),
    incremental((BROKER, "", ("min.insync.replicas", 1, None))),
    incremental((METRICS, "m", ("interval.ms", 0, "5000"))),
    incremental((METRICS, "m", ("nonsense", 0, "5000"))),
    incremental((METRICS, "", ("interval.ms", 0, "5000"))),
    incremental((GROUP, "g", ("consumer.session.timeout.ms", 0, "50000"))),
    incremental((GROUP, "g", ("consumer.session.timeout.ms", 0, "1"))),
    incremental((GROUP, "g", ("nonsense", 0, "1"))),
    incremental((GROUP, "", ("consumer.session.timeout.ms", 0, "50000"))),
    incremental((99, "g", ("x", 0, "1"))),
    (
        "AlterConfigs",
        2,
        {
            "resources": [
                {
                    "resourceType": TOPIC,
                    "resourceName": "strict",
                    "configs": [{"name": "retention.ms", "value": "6000"}],
                }
            ]
        },
    ),
    (
        "AlterConfigs",
        2,
        {
            "resources": [
                {
                    "resourceType": TOPIC,
                    "resourceName": "strict",
                    "configs": [{"name": "retention.ms", "value": "x"}],
                }
            ]
        },
    ),
    (
        "AlterConfigs",
        0,
        {
            "resources": [
                {
                    "resourceType": BROKER,
                    "resourceName": "7",
                    "configs": [{"name": "log.retention.ms", "value": "6000"}],
                }
            ]
        },
    ),
    describe((TOPIC, "a"), (TOPIC, "missing"), (TOPIC, "ba d"), (TOPIC, "strict"), (TOPIC, "c13")),
    describe((TOPIC, "a"), includeSynonyms=False, version=3),
    describe((TOPIC, "a"), version=1),
    describe((TOPIC, "a"), configurationKeys=["retention.ms", "nonsense"]),
    describe((BROKER, "1")),
    describe((BROKER, "")),
    describe((BROKER, "7")),
    describe((BROKER, "x")),
    describe((METRICS, "m"), (METRICS, "none"), (GROUP, "g"), (GROUP, "other")),
    describe((METRICS, ""), (GROUP, "")),
    describe((99, "x")),
    incremental((BROKER, "", ("log.retention.bytes", 1, None))),
    describe((BROKER, "")),
    ("DeleteTopics", 6, {"topics": [{"name": "b"}, {"name": "missing"}], "timeoutMs": 5000}),
    ("DeleteTopics", 6, {"topics": [{"name": None, "topicId": "AAAAAAAAAAAAAAAAAAAAEg"}], "timeoutMs": 5000}),
    ("DeleteTopics", 6, {"topics": [{"name": "v5"}, {"name": "v5"}], "timeoutMs": 5000}),
    ("DeleteTopics", 6, {"topics": [{"name": None, "topicId": "<v2>"}], "timeoutMs": 5000}),
    ("DeleteTopics", 5, {"topicNames": ["defaults", "missing", "defaults"], "timeoutMs": 5000}),
    ("DeleteTopics", 1, {"topicNames": ["__cluster_metadata", "made"], "timeoutMs": 5000}),
    metadata(),
]
