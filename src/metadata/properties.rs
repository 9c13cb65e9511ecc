//! `meta.properties`: who a log directory belongs to. A file of Java properties, version 1 (KIP-785,
//! KIP-858).

use crate::config::properties;
use crate::runtime::Disk;
use crate::types::{NodeId, Str, Uuid};
use std::io;
use std::path::{Path, PathBuf};

/// The file's name in every log directory.
pub const META_PROPERTIES: &str = "meta.properties";
/// The largest file that is read.
const PROPERTIES_MAX_BYTES: u64 = 64 * 1024;

/// What a `meta.properties` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster.
    pub cluster_id: Str,
    /// The node.
    pub node_id: NodeId,
    /// The directory; `None` in files from before 3.7.
    pub directory_id: Option<Uuid>,
}

/// Why a directory does not say whose it is.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    /// The file cannot be read or written.
    #[error("{} cannot be read or written: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    /// A line cannot be read.
    #[error("{}, {error}", path.display())]
    Malformed { path: PathBuf, error: properties::PropertiesError },
    /// The file lacks something.
    #[error("{} has no valid {field}; restore the file, or format the directory anew", path.display())]
    Field { path: PathBuf, field: &'static str },
    /// It was written by a release before KRaft, or by a newer one.
    #[error("{} has version {version}, but only 1 can be used; upgrade it with Kafka 3.9", path.display())]
    Version { path: PathBuf, version: i64 },
    /// No directory is formatted.
    #[error("none of the log directories is formatted ({directories}); format them first")]
    NotFormatted { directories: String },
    /// The metadata directory is not formatted, but others are.
    #[error("{} is for the metadata log, but only others are formatted: is a disk missing?", path.display())]
    NoMetadataDirectory { path: PathBuf },
    /// Directories of different clusters or nodes are mixed.
    #[error("{} says {what} {found}, not {expected}; it is the directory of another node", path.display())]
    Mixed { path: PathBuf, what: &'static str, found: String, expected: String },
    /// Two directories are the same.
    #[error("{} has the directory.id {id} of another directory; remove the copy", path.display())]
    DuplicateDirectory { path: PathBuf, id: Uuid },
}

impl MetaProperties {
    /// Reads the text of a `meta.properties`.
    pub fn decode(path: &Path, text: &str) -> Result<MetaProperties, PropertiesError> {
        let values = properties::parse(text)
            .map_err(|error| PropertiesError::Malformed { path: path.to_owned(), error })?;
        let field = |field| PropertiesError::Field { path: path.to_owned(), field };
        let version: i64 = match values.get("version") {
            None => 0,
            Some(version) => version.parse().map_err(|_| field("version"))?,
        };
        if version != 1 {
            return Err(PropertiesError::Version { path: path.to_owned(), version });
        }
        let cluster_id = values.get("cluster.id").filter(|id| !id.is_empty()).ok_or(field("cluster.id"))?;
        let node_id = values.get("node.id").and_then(|id| id.parse().ok()).filter(|id: &i32| *id >= 0);
        let directory_id = match values.get("directory.id") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| field("directory.id"))?),
        };
        Ok(MetaProperties {
            cluster_id: cluster_id.as_str().into(),
            node_id: NodeId(node_id.ok_or(field("node.id"))?),
            directory_id,
        })
    }

    /// The text of the file, in the order in which Kafka writes it.
    pub fn encode(&self) -> String {
        let mut text = String::from("#\n");
        text.push_str(&format!("node.id={}\n", self.node_id));
        if let Some(id) = self.directory_id {
            text.push_str(&format!("directory.id={id}\n"));
        }
        text.push_str(&format!("version=1\ncluster.id={}\n", properties::escape(&self.cluster_id)));
        text
    }

    /// Reads the file of `directory`; `None` where there is none.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<MetaProperties>, PropertiesError> {
        let path = directory.join(META_PROPERTIES);
        let bytes = match disk.read(&path, PROPERTIES_MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PropertiesError::Io { path, error }),
        };
        MetaProperties::decode(&path, &String::from_utf8_lossy(&bytes)).map(Some)
    }

    /// Writes the file of `directory`, which survives a crash as a whole or not at all.
    pub fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<(), PropertiesError> {
        let path = directory.join(META_PROPERTIES);
        let written = disk.replace(&path, self.encode().as_bytes());
        written.map_err(|error| PropertiesError::Io { path, error })
    }
}

/// The log directories of a node, after all of them said the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirectories {
    /// The cluster.
    pub cluster_id: Str,
    /// The node: what the configuration says, else what the directories say.
    pub node_id: NodeId,
    /// Each directory with its id, in the order of the configuration.
    pub directories: Vec<(PathBuf, Uuid)>,
}

impl LogDirectories {
    /// Reads all `directories`; the first of them is `metadata_directory` or not, but it is among them or
    /// added by the caller. A directory without the file is new and gets one, as Kafka does; so does one
    /// without an id.
    pub fn load(
        disk: &dyn Disk,
        directories: &[PathBuf],
        metadata_directory: &Path,
        configured: Option<NodeId>,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Result<LogDirectories, PropertiesError> {
        let mut found: Vec<(PathBuf, Option<MetaProperties>)> = Vec::new();
        for directory in directories {
            found.push((directory.clone(), MetaProperties::read(disk, directory)?));
        }
        let Some(first) = found.iter().find_map(|(_, properties)| properties.clone()) else {
            let names: Vec<String> = directories.iter().map(|path| path.display().to_string()).collect();
            return Err(PropertiesError::NotFormatted { directories: names.join(", ") });
        };
        if found.iter().any(|(path, properties)| path == metadata_directory && properties.is_none()) {
            return Err(PropertiesError::NoMetadataDirectory { path: metadata_directory.to_owned() });
        }
        let node_id = configured.unwrap_or(first.node_id);
        let cluster_id = first.cluster_id.clone();
        let mut loaded = LogDirectories { cluster_id, node_id, directories: Vec::new() };
        for (path, properties) in found {
            let known = properties.as_ref().and_then(|properties| properties.directory_id);
            if let Some(properties) = &properties {
                loaded.check(&path, properties)?;
            }
            let id = known.unwrap_or_else(&mut *new_id);
            if loaded.directories.iter().any(|(_, other)| *other == id) {
                return Err(PropertiesError::DuplicateDirectory { path, id });
            }
            if known.is_none() {
                let cluster_id = loaded.cluster_id.clone();
                disk.create_dir_all(&path)
                    .map_err(|error| PropertiesError::Io { path: path.clone(), error })?;
                MetaProperties { cluster_id, node_id, directory_id: Some(id) }.write(disk, &path)?;
            }
            loaded.directories.push((path, id));
        }
        Ok(loaded)
    }

    fn check(&self, path: &Path, properties: &MetaProperties) -> Result<(), PropertiesError> {
        let mixed = |what, found: String, expected: String| PropertiesError::Mixed {
            path: path.to_owned(),
            what,
            found,
            expected,
        };
        if properties.cluster_id != self.cluster_id {
            let (found, expected) = (properties.cluster_id.to_string(), self.cluster_id.to_string());
            return Err(mixed("cluster.id", found, expected));
        }
        if properties.node_id != self.node_id {
            let (found, expected) = (properties.node_id.to_string(), self.node_id.to_string());
            return Err(mixed("node.id", found, expected));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(text: &str) -> Result<MetaProperties, PropertiesError> {
        MetaProperties::decode(Path::new("meta.properties"), text)
    }

    #[test]
    fn reads_what_kafka_writes() {
        let text = "#\n#Sat Nov 21 13:07:48 UTC 2026\nnode.id=1\ndirectory.id=lj6T7KXBQWKUpY6UHhYvtQ\n\
                    version=1\ncluster.id=AyuiT2acRv69yDfZg_EpIA\n";
        let properties = decode(text).expect("valid");
        assert_eq!(properties.node_id, NodeId(1));
        assert_eq!(properties.cluster_id, "AyuiT2acRv69yDfZg_EpIA");
        assert_eq!(properties.directory_id.map(|id| id.to_string()), Some("lj6T7KXBQWKUpY6UHhYvtQ".into()));
    }

    #[test]
    fn java_properties_have_many_forms() {
        let text = "! old\n  version : 1\nnode.id 7\ncluster.id = a\\\n   b\\u0041\\=c\n";
        let properties = decode(text).expect("valid");
        assert_eq!((properties.node_id, &*properties.cluster_id), (NodeId(7), "abA=c"));
    }

    #[test]
    fn refuses_versions_and_fields_that_it_cannot_use() {
        assert!(matches!(decode("broker.id=1\n"), Err(PropertiesError::Version { version: 0, .. })));
        assert!(matches!(decode("version=2\n"), Err(PropertiesError::Version { version: 2, .. })));
        let no_node = decode("version=1\ncluster.id=x\n");
        assert!(matches!(no_node, Err(PropertiesError::Field { field: "node.id", .. })));
    }

    proptest! {
        #[test]
        fn round_trips(id in "\\PC{1,30}", node in 0..i32::MAX, directory: [u8; 16]) {
            let cluster_id: Str = id.trim().into();
            prop_assume!(!cluster_id.is_empty());
            let directory_id = Some(Uuid(directory));
            let properties = MetaProperties { cluster_id, node_id: NodeId(node), directory_id };
            prop_assert_eq!(decode(&properties.encode()).expect("valid"), properties);
        }

        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,200}") {
            let _ = decode(&text);
        }
    }
}
