//! A small write-ahead log over the doors, to test the simulator itself: a server writes what a client sends
//! to a file, syncs and acknowledges. With everything in place no acknowledged value is lost; without a sync,
//! some seed loses one.

use super::fault::{Faults, Targets};
use crate::clock::SECOND;
use crate::node::Crash;
use crate::world::World;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vltava::runtime::{Connection, Disk, File, OpenOptions, Runtime};
use vltava::types::crc32c;

/// What the server does for durability.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Syncs the file before it acknowledges.
    pub sync_data: bool,
    /// Syncs the directory when it has created the file.
    pub sync_dir: bool,
    /// Values that the client sends.
    pub values: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { sync_data: true, sync_dir: true, values: 50 }
    }
}

const PATH: &str = "/data/journal";
const PORT: u16 = 7000;
/// Bytes of a record: the value and its checksum.
const RECORD: u64 = 12;

/// One server, one client, faults; then the power is lost and the file must hold what was acknowledged.
pub async fn run(world: World, options: Options) -> Result<(), String> {
    let acknowledged: Arc<Mutex<BTreeSet<u64>>> = Arc::default();
    let done = Arc::new(AtomicBool::new(false));
    let server = world.node("server", move |runtime| async move {
        // An error of the disk ends the process, as it would for a log that has one file.
        let _ = serve(runtime, options).await;
    });
    let (noted, finished) = (acknowledged.clone(), done.clone());
    let client = world.node("client", move |runtime| {
        let (noted, finished) = (noted.clone(), finished.clone());
        async move {
            send(&runtime, options.values, |value| {
                noted.lock().unwrap_or_else(PoisonError::into_inner).insert(value);
            })
            .await;
            finished.store(true, Ordering::Relaxed);
        }
    });
    let mut faults = Faults::draw(&world, |_| true);
    let all = [server, client];
    faults.strike(&world, Targets { servers: &all[..1], all: &all }, &done).await;
    if faults.lose_power() {
        world.crash(server, Crash::Power);
    }
    let bytes = world.disk(server).read(Path::new(PATH)).unwrap_or_default();
    let kept: BTreeSet<u64> = records(&bytes).collect();
    let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match acknowledged.difference(&kept).next() {
        Some(lost) => Err(format!("value {lost} was acknowledged and is lost")),
        None => Ok(()),
    }
}

async fn serve(runtime: Runtime, options: Options) -> io::Result<()> {
    let disk = runtime.disk();
    let file = runtime.offload("recover", move || recover(&*disk, options)).await?;
    let listener = runtime.bind("server", PORT).await?;
    loop {
        let connection = listener.accept().await?;
        let (file, handle) = (file.clone(), runtime.clone());
        runtime.spawn("connection", async move {
            let _ = answer(&handle, connection, file, options).await;
        });
    }
}

fn recover(disk: &dyn Disk, options: Options) -> io::Result<File> {
    let path = Path::new(PATH);
    if options.sync_dir {
        disk.create_dir_all(Path::new("/data"))?;
    } else if !disk.exists(Path::new("/data"))? {
        disk.create_dir(Path::new("/data"))?;
    }
    let file = disk.open(path, OpenOptions::CREATE)?;
    if options.sync_dir {
        disk.sync_dir(Path::new("/data"))?;
    }
    let bytes = disk.read(path, u64::MAX)?;
    let valid = records(&bytes).count() as u64 * RECORD;
    file.set_len(valid)?;
    if options.sync_data {
        file.sync_data()?;
    }
    Ok(file)
}

/// The values up to the first damage.
fn records(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let record = |bytes: &[u8]| {
        let value = bytes[..8].try_into().ok()?;
        let sum = u32::from_be_bytes(bytes[8..].try_into().ok()?);
        (crc32c(&bytes[..8]) == sum && sum != 0).then(|| u64::from_be_bytes(value))
    };
    bytes.chunks_exact(RECORD as usize).map_while(record)
}

async fn answer(
    runtime: &Runtime,
    mut connection: Connection,
    file: File,
    options: Options,
) -> io::Result<()> {
    loop {
        let value = connection.read_u64().await?;
        let mut record = value.to_be_bytes().to_vec();
        record.extend(crc32c(&record).to_be_bytes());
        file.write_at(&record, file.len()?)?;
        if options.sync_data {
            let file = file.clone();
            runtime.offload("sync", move || file.sync_data()).await?;
        }
        connection.write_u64(value).await?;
    }
}

/// Sends values from 1 on, each until it is acknowledged once.
async fn send(runtime: &Runtime, values: u64, mut acknowledged: impl FnMut(u64)) {
    let mut connection = None;
    let mut value = 1;
    while value <= values {
        let exchange = async {
            if connection.is_none() {
                connection = Some(runtime.connect("server", PORT).await?);
            }
            let Some(connection) = &mut connection else { return Err(io::ErrorKind::NotConnected.into()) };
            connection.write_u64(value).await?;
            connection.read_u64().await
        };
        match runtime.timeout(Duration::from_secs(3), exchange).await {
            Some(Ok(answer)) if answer == value => {
                acknowledged(value);
                value += 1;
            }
            _ => {
                connection = None;
                runtime.sleep(Duration::from_nanos(SECOND / 10)).await;
            }
        }
    }
}
