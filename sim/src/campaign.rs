//! The command line of the simulator.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vltava_sim::scenario;
use vltava_sim::world::Outcome;

const USAGE: &str = "\
Usage: cargo sim run --seeds N [--start N] [--jobs N] [--hashes]
       cargo sim replay SEED [--trace]

run     runs seeds side by side, one for each core unless --jobs says otherwise, and prints a summary.
        --hashes prints one line for each seed instead, in order: the seed and the hash of its trace.
replay  runs one seed; --trace prints what happened in it.
Exits with 1 when a seed fails.";

/// What was asked for.
enum Command {
    Run { seeds: u64, start: u64, jobs: u64, hashes: bool },
    Replay { seed: u64, trace: bool },
}

/// Does what the arguments ask for.
pub fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Command::Run { seeds, start, jobs, hashes }) => Campaign::new(start, seeds, hashes).run(jobs),
        Ok(Command::Replay { seed, trace }) => replay(seed, trace),
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let command = arguments.next().ok_or("A command is missing.")?;
    let number = |text: Option<String>, name: &str| {
        let text = text.ok_or_else(|| format!("{name} needs a number."))?;
        text.parse::<u64>().map_err(|_| format!("{name} needs a number, not {text}."))
    };
    match command.as_str() {
        "run" => {
            let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
            let (mut seeds, mut start, mut jobs, mut hashes) = (None, 0, cores, false);
            while let Some(option) = arguments.next() {
                match option.as_str() {
                    "--seeds" => seeds = Some(number(arguments.next(), "--seeds")?),
                    "--start" => start = number(arguments.next(), "--start")?,
                    "--jobs" => jobs = number(arguments.next(), "--jobs")?.max(1),
                    "--hashes" => hashes = true,
                    other => return Err(format!("There is no option {other}.")),
                }
            }
            let seeds = seeds.ok_or("--seeds is missing.")?;
            Ok(Command::Run { seeds, start, jobs, hashes })
        }
        "replay" => {
            let seed = number(arguments.next(), "replay")?;
            match arguments.next().as_deref() {
                None => Ok(Command::Replay { seed, trace: false }),
                Some("--trace") => Ok(Command::Replay { seed, trace: true }),
                Some(other) => Err(format!("There is no option {other}.")),
            }
        }
        other => Err(format!("There is no command {other}.")),
    }
}

fn replay(seed: u64, trace: bool) -> ExitCode {
    let outcome = scenario::run(seed, trace);
    print!("{}", outcome.trace.text.unwrap_or_default());
    let seconds = outcome.nanos as f64 / 1e9;
    println!(
        "seed {seed}: hash {:016x}, {} events, {seconds:.3} s",
        outcome.trace.hash, outcome.trace.events
    );
    match outcome.result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("seed {seed} failed: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Seeds that are run side by side and reported in order.
struct Campaign {
    start: u64,
    end: u64,
    hashes: bool,
    next: AtomicU64,
    report: Mutex<Report>,
}

/// What the campaign found so far.
#[derive(Default)]
struct Report {
    /// Outcomes of seeds that wait for an earlier one.
    waiting: BTreeMap<u64, Outcome<()>>,
    printed: u64,
    failed: u64,
    events: u64,
    nanos: u64,
    sometimes: BTreeMap<&'static str, u64>,
}

impl Campaign {
    fn new(start: u64, seeds: u64, hashes: bool) -> Campaign {
        let report = Mutex::new(Report { printed: start, ..Report::default() });
        Campaign { start, end: start.saturating_add(seeds), hashes, next: AtomicU64::new(start), report }
    }

    fn run(&self, jobs: u64) -> ExitCode {
        #[expect(clippy::disallowed_methods, reason = "seeds are independent and each has its own world")]
        std::thread::scope(|threads| {
            for _ in 0..jobs {
                threads.spawn(|| self.work());
            }
        });
        let report = self.report();
        if !self.hashes {
            println!(
                "{} seeds, {} failed; {:.0} simulated seconds, {} events",
                self.end - self.start,
                report.failed,
                report.nanos as f64 / 1e9,
                report.events
            );
            for (name, count) in &report.sometimes {
                println!("sometimes {name}: {count}");
            }
        }
        if report.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn work(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return;
            }
            let outcome = scenario::run(seed, false);
            self.report().add(seed, outcome, self.hashes);
        }
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn add(&mut self, seed: u64, outcome: Outcome<()>, hashes: bool) {
        self.waiting.insert(seed, outcome);
        while let Some(outcome) = self.waiting.remove(&self.printed) {
            let seed = self.printed;
            self.printed += 1;
            self.events += outcome.trace.events;
            self.nanos += outcome.nanos;
            for (name, count) in outcome.sometimes {
                *self.sometimes.entry(name).or_default() += count;
            }
            if hashes {
                println!("{seed} {:016x}", outcome.trace.hash);
            }
            if let Err(reason) = outcome.result {
                self.failed += 1;
                eprintln!("seed {seed} failed: {reason}; replay it with: cargo sim replay {seed} --trace");
            }
        }
    }
}
