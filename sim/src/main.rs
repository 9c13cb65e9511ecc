//! `cargo sim`: runs seeds, side by side, and replays one.

#[cfg(madsim)]
mod campaign;

#[cfg(madsim)]
fn main() -> std::process::ExitCode {
    campaign::main()
}

#[cfg(not(madsim))]
fn main() {}
