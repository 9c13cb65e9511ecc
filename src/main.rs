//! The program: builds tokio's runtime, opens the log of events, and hands over to the command line.

use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use vltava::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_events();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(cli.run());
            // A thread may still wait for standard input, which nobody is interested in any more.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("vltava: the operating system gives no threads or event queue: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Events go to standard error, one line each: as text on a terminal, as JSON elsewhere. `RUST_LOG` chooses
/// levels.
fn log_events() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.init();
    } else {
        builder.json().flatten_event(true).init();
    }
}
