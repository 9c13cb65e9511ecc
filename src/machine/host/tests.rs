//! A counter over a log that commits when the test says so.

use super::*;
use crate::machine::LoadError;
use crate::runtime::{BoxFuture, RealRuntime};
use std::task::{Context, Poll};

/// Adds what it is asked to add; 0 is refused, negative numbers are answered when the sum is next even.
#[derive(Default)]
struct Sum {
    total: i64,
    parked: Vec<ReplyKey>,
    loads: usize,
}

impl StateMachine for Sum {
    type Request = i64;
    type Response = i64;
    type Record = i64;
    type Timer = u8;

    fn handle(&mut self, at: Moment, input: Input<i64, u8>) -> Outcome<i64, i64, u8> {
        match input {
            Input::Loaded => {
                self.loads += 1;
                Outcome::default()
            }
            Input::Request(key, 0) => Outcome::reply(key, self.total),
            Input::Request(key, amount) if amount < 0 => {
                self.parked.push(key);
                let timers = vec![(1, Some(at.now + Duration::from_millis(1)))];
                Outcome { timers, ..Outcome::default() }
            }
            Input::Request(key, amount) => Outcome::records(vec![amount], key, self.total + amount),
            Input::Timer(_) => {
                let replies = self.parked.drain(..).map(|key| (key, -1)).collect();
                Outcome { replies, ..Outcome::default() }
            }
            Input::Committed(_) => Outcome::default(),
        }
    }

    fn replay(&mut self, record: &i64) {
        self.total += record;
    }
}

struct TestLog {
    records: Mutex<Vec<i64>>,
    state: watch::Sender<LogState>,
}

impl ReplicatedLog for TestLog {
    type Record = i64;

    fn append(&self, epoch: LeaderEpoch, at: Offset, records: &[i64]) -> Result<Offset, AppendError> {
        if self.state.get().leads != Some(epoch) {
            return Err(AppendError::NotLeader(epoch));
        }
        let mut log = self.records.lock().expect("no test panics with it");
        assert_eq!(log.len() as i64, at.0);
        log.extend_from_slice(records);
        Ok(Offset(log.len() as i64))
    }

    fn next_offset(&self) -> Offset {
        Offset(self.records.lock().expect("no test panics with it").len() as i64)
    }

    fn state(&self) -> watch::Receiver<LogState> {
        self.state.subscribe()
    }

    fn load<'a>(
        &'a self,
        replay: &'a mut (dyn FnMut(&i64) + Send),
    ) -> BoxFuture<'a, Result<Offset, LoadError>> {
        Box::pin(async move {
            let log = self.records.lock().expect("no test panics with it");
            log.iter().for_each(replay);
            Ok(Offset(log.len() as i64))
        })
    }
}

/// Lets the other tasks have twenty turns.
async fn settle() {
    let mut turns = 20;
    let turn = |context: &mut Context<'_>| {
        turns -= 1;
        context.waker().wake_by_ref();
        if turns == 0 { Poll::Ready(()) } else { Poll::Pending }
    };
    std::future::poll_fn(turn).await;
}

fn start() -> (Host<Sum, TestLog>, Arc<TestLog>) {
    let (state, _) = watch::channel(LogState { leads: None, committed: Offset::ZERO });
    let log = Arc::new(TestLog { records: Mutex::default(), state });
    let runtime = Runtime::Real(RealRuntime::new(1));
    let host: Host<Sum, TestLog> = Host::new(runtime.clone(), log.clone());
    runtime.spawn("host", host.clone().run(Sum::default));
    (host, log)
}

fn leads(log: &TestLog, epoch: Option<i32>, committed: i64) {
    log.state.send(LogState { leads: epoch.map(LeaderEpoch), committed: Offset(committed) });
}

#[tokio::test]
async fn answers_wait_for_commits_and_reads_for_what_was_replayed_before() {
    let (host, log) = start();
    assert_eq!(host.request(1).await, Err(HostError::NotLeader));
    leads(&log, Some(1), 0);
    settle().await;
    let mut add = Box::pin(host.request(5));
    let mut read = Box::pin(host.request(0));
    settle().await;
    let waiting = race(&mut add, race(&mut read, async {})).await;
    assert_eq!(waiting, Either::Right(Either::Right(())), "neither may leave before the commit");
    leads(&log, Some(1), 1);
    assert_eq!((add.await, read.await), (Ok(5), Ok(5)));
    assert_eq!(host.request(0).await, Ok(5), "nothing is uncommitted");
}

#[tokio::test]
async fn lost_leadership_forgets_and_reloads() {
    let (host, log) = start();
    leads(&log, Some(1), 0);
    settle().await;
    let pending = host.request(7);
    leads(&log, None, 0);
    assert_eq!(pending.await, Err(HostError::NotLeader));
    log.records.lock().expect("free").clear(); // Another leader never had it.
    leads(&log, Some(3), 0);
    settle().await;
    assert_eq!(host.request(0).await, Ok(0));
    assert_eq!(host.with_machine(|sum| sum.loads), Some(1), "a new machine");
}

#[tokio::test]
async fn refused_appends_change_nothing_and_timers_answer_parked_requests() {
    let (host, log) = start();
    leads(&log, Some(1), 0);
    settle().await;
    let set_quietly = |epoch| {
        log.state.update(|state| {
            state.leads = Some(LeaderEpoch(epoch));
            false // The host is not told.
        });
    };
    set_quietly(2);
    let refused = host.request(3);
    assert_eq!(refused.await, Err(HostError::Append(AppendError::NotLeader(LeaderEpoch(1)))));
    set_quietly(1);
    assert_eq!(host.with_machine(|sum| sum.total), Some(0));
    assert_eq!(host.request(-1).await, Ok(-1));
}
