//! The command line of the simulator.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vltava_sim::scenario::{self, Scenario};
use vltava_sim::world::Outcome;

const USAGE: &str = "\
Usage: cargo sim run --seeds N [--start N] [--jobs N] [--hashes] [--scenario NAME]
       cargo sim replay SEED [--trace] [--scenario NAME]

run     runs seeds side by side, one for each core unless --jobs says otherwise, and prints a summary.
        --hashes prints one line for each seed instead, in order: the seed and the hash of its trace.
replay  runs one seed; --trace prints what happened in it.
Exits with 1 when a seed fails, or when ten thousand seeds or more never reach a situation that they must
reach.";

/// A campaign of so many seeds must have reached every situation of its scenario.
const LARGE: u64 = 10_000;

/// What was asked for.
struct Request {
    scenario: &'static Scenario,
    command: Command,
}

enum Command {
    Run { seeds: u64, start: u64, jobs: u64, hashes: bool },
    Replay { seed: u64, trace: bool },
}

/// Does what the arguments ask for.
pub fn main() -> ExitCode {
    let request = match parse(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(problem) => {
            let names: Vec<&str> = scenario::ALL.iter().map(|scenario| scenario.name).collect();
            eprintln!("{problem}\n\n{USAGE}\nScenarios: {}.", names.join(", "));
            return ExitCode::from(2);
        }
    };
    match request.command {
        Command::Run { seeds, start, jobs, hashes } => {
            Campaign::new(request.scenario, start, seeds, hashes).run(jobs)
        }
        Command::Replay { seed, trace } => replay(request.scenario, seed, trace),
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let command = arguments.next().ok_or("A command is missing.")?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let (mut scenario, mut trace, mut hashes) = (&scenario::ALL[0], false, false);
    let (mut seeds, mut start, mut jobs) = (None, 0, cores);
    let seed = if command == "replay" { Some(number(arguments.next(), "replay")?) } else { None };
    while let Some(option) = arguments.next() {
        match (command.as_str(), option.as_str()) {
            (_, "--scenario") => {
                let name = arguments.next().unwrap_or_default();
                scenario = Scenario::named(&name).ok_or_else(|| format!("There is no scenario {name:?}."))?;
            }
            ("run", "--seeds") => seeds = Some(number(arguments.next(), "--seeds")?),
            ("run", "--start") => start = number(arguments.next(), "--start")?,
            ("run", "--jobs") => jobs = number(arguments.next(), "--jobs")?.max(1),
            ("run", "--hashes") => hashes = true,
            ("replay", "--trace") => trace = true,
            (_, other) => return Err(format!("There is no option {other}.")),
        }
    }
    let command = match (command.as_str(), seed) {
        ("run", _) => Command::Run { seeds: seeds.ok_or("--seeds is missing.")?, start, jobs, hashes },
        (_, Some(seed)) => Command::Replay { seed, trace },
        (other, None) => return Err(format!("There is no command {other}.")),
    };
    Ok(Request { scenario, command })
}

fn number(text: Option<String>, name: &str) -> Result<u64, String> {
    let text = text.ok_or_else(|| format!("{name} needs a number."))?;
    text.parse().map_err(|_| format!("{name} needs a number, not {text}."))
}

fn replay(scenario: &Scenario, seed: u64, trace: bool) -> ExitCode {
    let outcome = scenario.run(seed, trace);
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
    scenario: &'static Scenario,
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
    /// In how many seeds each situation was reached, and how often in all.
    sometimes: BTreeMap<&'static str, (u64, u64)>,
}

impl Campaign {
    fn new(scenario: &'static Scenario, start: u64, seeds: u64, hashes: bool) -> Campaign {
        let report = Mutex::new(Report { printed: start, ..Report::default() });
        let (end, next) = (start.saturating_add(seeds), AtomicU64::new(start));
        Campaign { scenario, start, end, hashes, next, report }
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
            for (name, (seeds, times)) in &report.sometimes {
                println!("sometimes {name}: in {seeds} seeds, {times} times");
            }
        }
        let is_large = self.end - self.start >= LARGE;
        let missed = |name: &&&str| is_large && !report.sometimes.contains_key(**name);
        let missed: Vec<&&str> = self.scenario.situations.iter().filter(missed).collect();
        for name in &missed {
            eprintln!("never {name}: the scenario does not test what it says any more");
        }
        if report.failed > 0 || !missed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn work(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return;
            }
            let outcome = self.scenario.run(seed, false);
            self.report().add(self.scenario, seed, outcome, self.hashes);
        }
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn add(&mut self, scenario: &Scenario, seed: u64, outcome: Outcome<()>, hashes: bool) {
        self.waiting.insert(seed, outcome);
        while let Some(outcome) = self.waiting.remove(&self.printed) {
            let seed = self.printed;
            self.printed += 1;
            self.events += outcome.trace.events;
            self.nanos += outcome.nanos;
            for (name, count) in outcome.sometimes {
                let (seeds, times) = self.sometimes.entry(name).or_default();
                (*seeds, *times) = (*seeds + 1, *times + count);
            }
            if hashes {
                println!("{seed} {:016x}", outcome.trace.hash);
            }
            if let Err(reason) = outcome.result {
                self.failed += 1;
                let name = scenario.name;
                eprintln!(
                    "seed {seed} failed: {reason}; replay it with: \
                     cargo sim replay {seed} --trace --scenario {name}"
                );
            }
        }
    }
}
