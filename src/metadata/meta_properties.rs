//! `meta.properties`: to which node of which cluster a log directory belongs (KIP-631, KIP-858).

use crate::config::properties;
use crate::runtime::Disk;
use crate::types::{NodeId, Uuid};
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "meta.properties";
/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// What a formatted directory says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster.
    pub cluster_id: String,
    /// The node.
    pub node_id: NodeId,
    /// The directory; versions before 3.7 wrote none.
    pub directory_id: Option<Uuid>,
}

/// A `meta.properties` that does not say whose the directory is.
#[derive(Debug, thiserror::Error)]
pub enum MetaPropertiesError {
    /// The disk.
    #[error("{path} cannot be read or written: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        error: io::Error,
    },
    /// Its text.
    #[error("{path} is malformed: {reason}; restore it, or it cannot be told whose directory this is")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl MetaProperties {
    /// Reads the file in `directory`; `None` if it was never formatted.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<MetaProperties>, MetaPropertiesError> {
        let path = directory.join(FILE);
        let bytes = match disk.read(&path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(MetaPropertiesError::Io { path, error }),
        };
        match MetaProperties::parse(&bytes) {
            Ok(properties) => Ok(Some(properties)),
            Err(reason) => Err(MetaPropertiesError::Malformed { path, reason }),
        }
    }

    /// Writes the file in `directory`, durably.
    pub fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<(), MetaPropertiesError> {
        let path = directory.join(FILE);
        disk.replace(&path, self.to_text().as_bytes())
            .map_err(|error| MetaPropertiesError::Io { path, error })
    }

    /// Reads the text of the file, or says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<MetaProperties, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let properties = properties::parse(text).map_err(|error| error.to_string())?;
        let get = |key: &str| properties.get(key).ok_or(format!("it has no {key}"));
        match get("version")?.as_str() {
            "1" => {}
            other => return Err(format!("it has version {other}, and 1 was expected")),
        }
        let node_id = get("node.id")?;
        let node_id = node_id.parse().ok().filter(|id| *id >= 0);
        let directory_id = properties.get("directory.id").map(|id| id.parse::<Uuid>());
        Ok(MetaProperties {
            cluster_id: get("cluster.id")?.clone(),
            node_id: NodeId(node_id.ok_or("its node.id is no number from 0 on")?),
            directory_id: directory_id.transpose().map_err(|error| error.to_string())?,
        })
    }

    fn to_text(&self) -> String {
        let mut text = format!("#\nnode.id={}\nversion=1\n", self.node_id);
        if let Some(id) = self.directory_id {
            text += &format!("directory.id={id}\n");
        }
        text + &format!("cluster.id={}\n", properties::escape(&self.cluster_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nonsense_is_named() {
        let properties = MetaProperties {
            cluster_id: "aHhO:1".to_owned(),
            node_id: NodeId(3),
            directory_id: Some(Uuid::from_random(1, 2)),
        };
        assert_eq!(MetaProperties::parse(properties.to_text().as_bytes()), Ok(properties));
        let reason = |text: &str| MetaProperties::parse(text.as_bytes()).unwrap_err();
        assert_eq!(reason("version=1\ncluster.id=x\n"), "it has no node.id");
        assert_eq!(reason("version=0\n"), "it has version 0, and 1 was expected");
        assert_eq!(reason("version=1\nnode.id=-1\ncluster.id=x"), "its node.id is no number from 0 on");
        assert!(reason("version=1\nnode.id=1\ncluster.id=x\ndirectory.id=y").contains("not an id"));
    }
}
