//! The real program as a child process on a free port, with its data in a directory of its own, and a raw
//! connection to it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it is a client from outside, on real sockets"
)]

use bytes::{Bytes, BytesMut};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use vltava::protocol::api::Api;
use vltava::protocol::{ApiKey, Message, RequestHeader, ResponseHeader, Writer};

/// How long a test waits for an answer before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that is removed in the end.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vltava-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running broker. Dropping it kills it.
pub struct Server {
    child: Child,
    pub port: u16,
}

/// A broker that is being started: what it says, and how it ends if it does not serve.
pub fn command(data: &Path, overrides: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vltava"));
    command.arg("serve");
    let data = format!("log.dirs={}", data.display());
    let listeners = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
    for setting in [data.as_str(), listeners].iter().chain(overrides) {
        command.args(["--override", setting]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Server {
    pub fn start(data: &Path, overrides: &[&str]) -> Server {
        let mut child = command(data, overrides).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let port = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the broker did not serve:\n{said}") };
            said += &line;
            said.push('\n');
            if let Some((_, address)) = line.split_once("listening on PLAINTEXT://127.0.0.1:") {
                let digits: String = address.chars().take_while(char::is_ascii_digit).collect();
                break digits.parse().unwrap();
            }
        };
        // Somebody has to read what it says, or it stops at a full pipe.
        std::thread::spawn(move || for _ in lines {});
        Server { child, port }
    }

    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream, correlation_id: 0 }
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection, and what travels on it.
pub struct Connection {
    pub stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// Sends a request and reads its response.
    pub fn call<A: Api>(&mut self, version: i16, request: &A::Request) -> A::Response {
        self.send::<A>(version, request);
        self.receive::<A>(version)
    }

    /// Sends a request.
    pub fn send<A: Api>(&mut self, version: i16, request: &A::Request) {
        let mut body = Writer::new();
        request.encode(version, &mut body).unwrap();
        self.send_body(A::KEY, version, &body.finish().into_bytes());
    }

    /// Sends a request whose body may be anything.
    pub fn send_body(&mut self, key: ApiKey, version: i16, body: &[u8]) {
        self.correlation_id += 1;
        let header = RequestHeader {
            api_key: key,
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("it".into()),
            unknown_tags: Default::default(),
        };
        let mut writer = Writer::new();
        header.encode(&mut writer);
        let header = writer.finish().into_bytes();
        let size = (header.len() + body.len()) as i32;
        self.send_raw(&[&size.to_be_bytes()[..], &header, body].concat());
    }

    /// Sends bytes.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads one response.
    pub fn receive<A: Api>(&mut self, version: i16) -> A::Response {
        let frame = self.receive_frame().expect("the broker closed the connection");
        let (_, body) = ResponseHeader::decode(&frame, A::KEY.response_header_version(version)).unwrap();
        A::Response::decode_exact(&body, version).unwrap()
    }

    /// Reads one frame; `None` when the broker closed the connection.
    pub fn receive_frame(&mut self) -> Option<Bytes> {
        let mut size = [0; 4];
        match self.stream.read_exact(&mut size) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no answer in {PATIENCE:?}")
            }
            Err(_) => return None,
        }
        let mut frame = BytesMut::zeroed(i32::from_be_bytes(size) as usize);
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame.freeze())
    }
}
