//! A combined node's controller on a real disk: what it writes, answers and finds again.

use super::*;
use crate::metadata::{
    BatchContent, ConfigResource, FormatOptions, FormatVoters, LogDirectories, decode_batch, format,
};
use crate::protocol::api::allocate_producer_ids::AllocateProducerIdsRequest;
use crate::protocol::api::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::protocol::api::broker_registration::{BrokerRegistrationRequest, Feature, Listener};
use crate::protocol::api::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::protocol::control_records::QuorumRecord;
use crate::protocol::records::batches;
use crate::runtime::RealRuntime;
use crate::types::{ErrorCode, LeaderEpoch, Offset};

/// A node's directories, formatted once; each start is another run of the process.
struct Node {
    runtime: Runtime,
    root: PathBuf,
    options: ControllerOptions,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.runtime.disk().remove_dir_all(&self.root);
    }
}

impl Node {
    fn format(overrides: &[(&str, &str)]) -> Node {
        let runtime = Runtime::Real(RealRuntime::new(1000));
        let root = std::env::temp_dir().join(format!("vltava-controller-{}", runtime.random_uuid()));
        let directory = root.join("data");
        let listener: Str = "CONTROLLER".into();
        let voters =
            FormatVoters::Standalone { listener: listener.clone(), host: "127.0.0.1".into(), port: 9093 };
        let format_options = FormatOptions {
            cluster_id: "AyuiT2acRv69yDfZg_EpIA".into(),
            node_id: None,
            log_dirs: vec![directory.clone()],
            metadata_log_dir: directory.clone(),
            metadata_version: MetadataVersion::LATEST,
            features: Vec::new(),
            voters,
            ignore_formatted: false,
        };
        format(&runtime, &format_options).expect("an empty directory is formatted");
        let disk = runtime.disk();
        let loaded =
            LogDirectories::load(&*disk, std::slice::from_ref(&directory), &directory, None, &mut || {
                unreachable!("it has an id")
            });
        let loaded = loaded.expect("it was formatted");
        let overrides = overrides.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let endpoint =
            ListenerEndpoint { name: listener, host: "127.0.0.1".into(), port: 9093, security_protocol: 0 };
        let options = ControllerOptions {
            node_id: loaded.node_id,
            cluster_id: loaded.cluster_id,
            metadata_log_dir: directory,
            metadata_directory_id: loaded.directories[0].1,
            locked_directories: vec![loaded.directories[0].1],
            endpoints: vec![endpoint],
            config: Arc::new(BrokerConfig::new(None, overrides).expect("valid")),
        };
        Node { runtime, root, options }
    }

    async fn start(&self) -> ControllerHandle {
        Controller::start(&self.runtime, self.options.clone()).await.expect("it starts")
    }

    async fn ask(&self, handle: &ControllerHandle, request: Request) -> Response {
        for _ in 0..500 {
            match handle.request(request.clone()).await {
                Ok(response) => return response,
                Err(ControllerError::Host(HostError::NotLeader | HostError::Loading)) => {
                    self.runtime.sleep(Duration::from_millis(2)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("nobody leads");
    }

    async fn register(&self, handle: &ControllerHandle, previous_epoch: i64) -> i64 {
        let listener =
            Listener { name: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: 9092, ..Default::default() };
        let feature = |f: &crate::metadata::SupportedFeature| Feature {
            name: f.name.into(),
            min_supported_version: f.min,
            max_supported_version: f.max,
            ..Default::default()
        };
        let request = BrokerRegistrationRequest {
            broker_id: 1,
            cluster_id: self.options.cluster_id.clone(),
            incarnation_id: self.runtime.random_uuid(),
            listeners: vec![listener],
            features: crate::metadata::SUPPORTED_FEATURES.iter().map(feature).collect(),
            rack: None,
            log_dirs: self.options.locked_directories.clone(),
            previous_broker_epoch: previous_epoch,
            ..Default::default()
        };
        match self.ask(handle, Request::BrokerRegistration(request)).await {
            Response::BrokerRegistration(response) => {
                assert_eq!(response.error_code, 0);
                response.broker_epoch
            }
            other => panic!("{other:?}"),
        }
    }

    async fn heartbeat(&self, handle: &ControllerHandle, epoch: i64, stop: bool) -> BrokerHeartbeatResponse {
        let request = BrokerHeartbeatRequest {
            broker_id: 1,
            broker_epoch: epoch,
            current_metadata_offset: handle.images().get().offset.0.max(epoch),
            want_shut_down: stop,
            cordoned_log_dirs: Some(Vec::new()),
            ..Default::default()
        };
        match self.ask(handle, Request::BrokerHeartbeat(request)).await {
            Response::BrokerHeartbeat(response) => response,
            other => panic!("{other:?}"),
        }
    }

    async fn stop(&self, handle: &ControllerHandle, epoch: i64) {
        while !self.heartbeat(handle, epoch, true).await.should_shut_down {}
        handle.shutdown().await.expect("it closes");
    }

    async fn create(&self, handle: &ControllerHandle, topics: Vec<CreatableTopic>) -> CreateTopicsResponse {
        let request = CreateTopicsRequest { topics, ..Default::default() };
        match self.ask(handle, Request::CreateTopics(request)).await {
            Response::CreateTopics(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// The log as short words, NoOps left out.
    fn log(&self) -> Vec<String> {
        let directory = self.options.metadata_log_dir.join(METADATA_DIRECTORY);
        let path = directory.join("00000000000000000000.log");
        let bytes = self.runtime.disk().read(&path, 64 << 20).expect("it is there").into();
        let mut words = Vec::new();
        for batch in batches(&bytes) {
            match decode_batch(&batch.expect("whole")).expect("readable") {
                BatchContent::Data(records) => {
                    words.push(records.iter().map(|(_, record)| word(record)).collect::<Vec<_>>().join(" "))
                }
                BatchContent::Control(records) => words.push(
                    records.iter().map(|(_, r)| control_word(r).to_owned()).collect::<Vec<_>>().join(" "),
                ),
            }
        }
        words.retain(|word| word != "NoOp");
        words
    }
}

impl ControllerHandle {
    /// Ends the run without a goodbye, as a kill does.
    async fn kill(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.lock().expect("no test panics with it"));
        for task in tasks {
            task.abort();
            task.join().await.expect("it did not panic");
        }
    }
}

fn control_word(record: &QuorumRecord) -> &'static str {
    match record {
        QuorumRecord::LeaderChange(_) => "LeaderChange",
        QuorumRecord::KRaftVersion(_) => "KRaftVersion",
        QuorumRecord::KRaftVoters(_) => "KRaftVoters",
        QuorumRecord::SnapshotHeader(_) | QuorumRecord::SnapshotFooter(_) => "Snapshot",
    }
}

fn word(record: &MetadataRecord) -> String {
    match record {
        MetadataRecord::NoOp(_) => "NoOp".to_owned(),
        MetadataRecord::FeatureLevel(r) => format!("{}={}", r.name, r.feature_level),
        MetadataRecord::Config(r) => format!("{}={}", r.name, r.value.as_deref().unwrap_or("-")),
        MetadataRecord::BrokerRegistrationChange(r) => match (&r.cordoned_log_dirs, r.fenced) {
            (Some(_), 0) => "cordoned".to_owned(),
            (None, 1) => "fenced".to_owned(),
            (None, -1) => "unfenced".to_owned(),
            _ if r.in_controlled_shutdown == 1 => "shutdown".to_owned(),
            _ => format!("{r:?}"),
        },
        MetadataRecord::PartitionChange(r) => {
            let list = |list: &Option<Vec<i32>>| list.as_ref().map_or("~".to_owned(), |l| format!("{l:?}"));
            let (isr, elr) = (list(&r.isr), list(&r.eligible_leader_replicas));
            let (leader, last, state) = (r.leader, list(&r.last_known_elr), r.leader_recovery_state);
            format!("change(isr {isr} leader {leader} elr {elr} last {last} recovery {state})")
        }
        other => other.name().trim_end_matches("Record").to_owned(),
    }
}

fn topic(name: &str, partitions: i32) -> CreatableTopic {
    let name = name.into();
    CreatableTopic { name, num_partitions: partitions, replication_factor: 1, ..Default::default() }
}

#[tokio::test]
async fn the_log_of_a_node_is_what_kafka_writes() {
    let node = Node::format(&[]);
    let handle = node.start().await;
    let epoch = node.register(&handle, -1).await;
    node.heartbeat(&handle, epoch, false).await;
    let config =
        CreatableTopicConfig { name: "retention.ms".into(), value: Some("5".into()), ..Default::default() };
    let alpha = CreatableTopic { configs: vec![config], ..topic("alpha", 2) };
    let created = node.create(&handle, vec![alpha]).await;
    assert_eq!((created.topics[0].error_code, created.topics[0].num_partitions), (0, 2));
    node.stop(&handle, epoch).await;
    let second = node.start().await;
    let second_epoch = node.register(&second, epoch).await;
    node.heartbeat(&second, second_epoch, false).await;
    second.kill().await;
    let third = node.start().await;
    let third_epoch = node.register(&third, -1).await;
    node.heartbeat(&third, third_epoch, false).await;
    third.shutdown().await.expect("it closes");
    let stop = "change(isr [] leader -1 elr [1] last [1] recovery -1)";
    let start = "change(isr [1] leader 1 elr [] last [] recovery -1)";
    let lost = "change(isr ~ leader -2 elr [] last ~ recovery -1)";
    let recovering = "change(isr [1] leader 1 elr ~ last [] recovery 1)";
    let expected = [
        "LeaderChange KRaftVersion KRaftVoters",
        "BeginTransaction metadata.version=30 eligible.leader.replicas.version=1 group.version=1 \
         share.version=1 streams.version=1 transaction.version=2 min.insync.replicas=1 EndTransaction",
        "RegisterController",
        "RegisterBroker",
        "unfenced cordoned",
        "Topic retention.ms=5 Partition Partition",
        &format!("shutdown {stop} {stop}"),
        "fenced",
        "LeaderChange",
        "RegisterController",
        "RegisterBroker",
        &format!("unfenced {start} {start} cordoned"),
        "LeaderChange",
        &format!("{stop} {stop} fenced"),
        "RegisterController",
        &format!("{lost} {lost} RegisterBroker"),
        &format!("unfenced {recovering} {recovering} cordoned"),
    ];
    assert_eq!(node.log(), expected);
}

#[tokio::test]
async fn a_restart_finds_everything_again() {
    let node = Node::format(&[]);
    let handle = node.start().await;
    let epoch = node.register(&handle, -1).await;
    node.heartbeat(&handle, epoch, false).await;
    let mut updates = handle.updates();
    let began = node.runtime.now();
    let created = node.create(&handle, vec![topic("many", 2000)]).await;
    let took = node.runtime.now().since(began);
    assert_eq!(created.topics[0].error_code, 0);
    assert!(took < Duration::from_secs(5), "2,000 partitions took {took:?}");
    let mut partitions = 0;
    while partitions < 2000 {
        let update = updates.next().await.expect("it runs");
        partitions += update.changes.topics.values().map(|topic| topic.partitions.len()).sum::<usize>();
    }
    let blocks = [0, 1000, 2000];
    for expected in blocks {
        let request = AllocateProducerIdsRequest { broker_id: 1, broker_epoch: epoch, ..Default::default() };
        match node.ask(&handle, Request::AllocateProducerIds(request)).await {
            Response::AllocateProducerIds(response) => assert_eq!(response.producer_id_start, expected),
            other => panic!("{other:?}"),
        }
    }
    let before = handle.images().get();
    handle.kill().await;
    let handle = node.start().await;
    let again = handle.images().wait_for(|image| image.offset > before.offset).await.expect("it runs");
    assert_eq!(
        again.topics.by_name("many").map(|topic| topic.id),
        before.topics.by_name("many").map(|t| t.id)
    );
    assert_eq!(again.next_producer_id, before.next_producer_id);
    assert_eq!(again.configs, before.configs);
    assert_eq!(handle.leader().epoch, LeaderEpoch(2));
    let info = handle.describe_quorum().expect("it leads");
    assert_eq!((info.voters.len(), info.observers.len()), (1, 0));
    assert!(info.high_watermark > Offset::ZERO);
    handle.shutdown().await.expect("it closes");
}

#[tokio::test]
async fn snapshots_replace_the_front_of_the_log_and_a_restart_reads_them() {
    let node = Node::format(&[
        ("metadata.log.max.record.bytes.between.snapshots", "4000"),
        ("internal.metadata.log.segment.bytes", "3000"),
        ("metadata.max.retention.bytes", "1"),
    ]);
    let names = || {
        let directory = node.options.metadata_log_dir.join(METADATA_DIRECTORY);
        let entries = node.runtime.disk().read_dir(&directory).expect("it is there");
        entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
    };
    let mut handle = node.start().await;
    let epoch = node.register(&handle, -1).await;
    node.heartbeat(&handle, epoch, false).await;
    for number in 0..60 {
        let created = node.create(&handle, vec![topic(&format!("topic-{number}"), 3)]).await;
        assert_eq!(created.topics[0].error_code, 0);
        if number == 40 {
            handle.kill().await;
            handle = node.start().await;
            let epoch = node.register(&handle, -1).await;
            node.heartbeat(&handle, epoch, false).await;
        }
    }
    let is_snapshot =
        |name: &String| name.ends_with(".checkpoint") && !name.starts_with("00000000000000000000-");
    while !names().iter().any(is_snapshot) || names().contains(&"00000000000000000000.log".to_owned()) {
        node.runtime.sleep(Duration::from_millis(2)).await;
    }
    let before = handle.images().get();
    handle.shutdown().await.expect("it closes");
    assert_eq!(names().iter().filter(|name| name.ends_with(".checkpoint")).count(), 1, "{:?}", names());
    let handle = node.start().await;
    let again = handle.images().wait_for(|image| image.offset > before.offset).await.expect("it runs");
    assert_eq!(again.topics, before.topics);
    assert_eq!(again.cluster.broker(NodeId(1)), before.cluster.broker(NodeId(1)));
    assert_eq!(handle.describe_quorum().expect("it leads").voters.len(), 1);
    handle.shutdown().await.expect("it closes");
}

#[tokio::test]
async fn topics_are_refused_as_kafka_refuses_them() {
    let node = Node::format(&[]);
    let handle = node.start().await;
    let epoch = node.register(&handle, -1).await;
    node.heartbeat(&handle, epoch, false).await;
    assert_eq!(node.create(&handle, vec![topic("a.b", 1)]).await.topics[0].error_code, 0);
    let config = |name: &str, value: &str| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let cases = [
        (topic("a.b", 1), ErrorCode::TopicAlreadyExists),
        (topic("a_b", 1), ErrorCode::InvalidTopicException),
        (topic("no/slash", 1), ErrorCode::InvalidTopicException),
        (topic("", 1), ErrorCode::InvalidTopicException),
        (topic("__cluster_metadata", 1), ErrorCode::InvalidRequest),
        (CreatableTopic { replication_factor: 3, ..topic("r3", 1) }, ErrorCode::InvalidReplicationFactor),
        (CreatableTopic { replication_factor: 0, ..topic("r0", 1) }, ErrorCode::InvalidReplicationFactor),
        (topic("p0", 0), ErrorCode::InvalidPartitions),
        (
            CreatableTopic { configs: vec![config("retention.ms", "soon")], ..topic("bad", 1) },
            ErrorCode::InvalidConfig,
        ),
        (
            CreatableTopic { configs: vec![config("colour", "1")], ..topic("bad", 1) },
            ErrorCode::InvalidConfig,
        ),
        (topic("huge", 10_001), ErrorCode::PolicyViolation),
    ];
    for (asked, expected) in cases {
        let name = asked.name.clone();
        let answer = node.create(&handle, vec![asked]).await;
        assert_eq!(ErrorCode::from_i16(answer.topics[0].error_code), expected, "{name}");
        assert!(answer.topics[0].error_message.as_deref().is_some_and(|text| !text.is_empty()));
    }
    let twice = node.create(&handle, vec![topic("twice", 1), topic("twice", 1)]).await;
    assert_eq!((twice.topics.len(), twice.topics[0].error_code), (1, 42));
    let good = node.create(&handle, vec![topic("good", -1)]).await;
    assert_eq!(good.topics[0].configs.as_ref().map(Vec::len), Some(33));
    let image = handle.images().get();
    assert!(image.topics.by_name("twice").is_none() && image.topics.by_name("good").is_some());
    assert_eq!(image.configs.of(&ConfigResource::topic("good")).len(), 0);
    handle.shutdown().await.expect("it closes");
}
