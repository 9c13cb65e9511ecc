//! The files of a node that are no log, with any bytes in them: `meta.properties`, `server.properties`,
//! `quorum-state`, and the snapshots and batches of the metadata log. The first byte chooses the file.

use bytes::Bytes;
use std::io;
use std::path::Path;
use vltava::config::{BrokerConfig, properties};
use vltava::metadata::{
    BatchContent, MetaProperties, MetadataChanges, MetadataImage, MetadataVersion, RecordsError, Snapshot,
    decode_batch, encode_control, read_snapshot, write_snapshot,
};
use vltava::protocol::metadata_records::MetadataRecord;
use vltava::protocol::records::batches;
use vltava::raft::quorum_state;
use vltava::types::{LeaderEpoch, Timestamp};

const CHOICES: u8 = 5;

/// Fails where reading a file breaks a promise.
pub fn check(data: &[u8]) {
    let [choice, bytes @ ..] = data else { return };
    match choice % CHOICES {
        0 => meta_properties(bytes),
        1 => server_properties(bytes),
        2 => election(bytes),
        3 => snapshot(&Bytes::copy_from_slice(bytes)),
        _ => metadata_batches(&Bytes::copy_from_slice(bytes)),
    }
}

fn meta_properties(bytes: &[u8]) {
    let path = Path::new("meta.properties");
    let read = |text: &str| MetaProperties::decode(path, text);
    let Ok(found) = read(&String::from_utf8_lossy(bytes)) else { return };
    assert_eq!(read(&found.encode()).expect("it was written here"), found);
}

fn server_properties(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(found) = properties::parse(text) else { return };
    // In a key every space is escaped, not only the first.
    let escaped = |key: &str| key.chars().map(|c| properties::escape(&c.to_string())).collect::<String>();
    let line = |(key, value): (&String, &String)| format!("{}={}\n", escaped(key), properties::escape(value));
    let written: String = found.iter().map(line).collect();
    assert_eq!(properties::parse(&written).expect("it was written here"), found, "{written:?}");
    // Reading a value of a configuration that was accepted cannot fail.
    if let Ok(config) = BrokerConfig::new(Some(found), []) {
        config.node_id();
        config.log_dirs();
        config.metadata_log_dir();
        config.controller_listener();
        config.long("log.retention.hours");
    }
}

fn election(bytes: &[u8]) {
    let Ok(state) = quorum_state::decode(bytes) else { return };
    let written = quorum_state::encode(&state, None);
    assert_eq!(quorum_state::decode(&written).expect("it was written here"), state);
}

/// A snapshot that is accepted is an image, and the image written and read again is the same.
fn snapshot(bytes: &Bytes) {
    let Ok((image, frame)) = load(bytes) else { return };
    let mut records = Vec::new();
    image.write(&mut |record| records.push(record));
    let written = store(&frame, records);
    let (again, frame_again) = load(&written).expect("it was written here");
    assert_eq!((again, frame_again), (image, frame));
}

fn load(bytes: &Bytes) -> Result<(MetadataImage, Snapshot), vltava::metadata::SnapshotError> {
    let (mut image, mut changes) = (MetadataImage::default(), MetadataChanges::default());
    let mut replay =
        |record: MetadataRecord| -> Result<(), RecordsError> { image.replay(&record, &mut changes) };
    let frame = read_snapshot(bytes, &mut replay)?;
    Ok((image, frame))
}

fn store(frame: &Snapshot, records: Vec<MetadataRecord>) -> Bytes {
    let mut written = Vec::new();
    let mut sink = |bytes: Bytes| -> io::Result<()> {
        written.extend_from_slice(&bytes);
        Ok(())
    };
    let version = MetadataVersion::LATEST;
    write_snapshot(LeaderEpoch(0), Timestamp(0), frame, version, records, &mut sink).expect("they were read");
    written.into()
}

/// What the metadata log holds: a record that cannot be replayed is refused, and nothing panics.
fn metadata_batches(bytes: &Bytes) {
    let (mut image, mut changes) = (MetadataImage::default(), MetadataChanges::default());
    for batch in batches(bytes) {
        let Ok(batch) = batch else { return };
        match decode_batch(&batch) {
            Err(_) => return,
            Ok(BatchContent::Data(records)) => {
                for (_, record) in records {
                    if image.replay(&record, &mut changes).is_err() {
                        return;
                    }
                }
            }
            Ok(BatchContent::Control(records)) => {
                let records: Vec<_> = records.into_iter().map(|(_, record)| record).collect();
                let header = batch.header();
                let (base, epoch) = (header.base_offset, header.partition_leader_epoch);
                let _ = encode_control(base, epoch, header.max_timestamp, &records);
            }
        }
    }
}
