//! The threads between analysis and receivers, and what is counted on the way.

use super::ledger::Ledger;
use super::outbox::{Batch, Outbox};
use super::told::Told;
use super::{Failed, Failure, Origin, Output, Sink, SinkError};
use crate::alert::Alert;
use crate::output::claims;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// All outputs of a running sensor.
#[derive(Debug)]
pub(crate) struct Outputs {
    queue: Option<SyncSender<Alert>>,
    outbox: Arc<Outbox>,
    origin: Origin,
    counts: Arc<Counts>,
    running: Vec<Running>,
    /// Hears from every thread that ends.
    ended: (std::sync::mpsc::Sender<()>, Mutex<Receiver<()>>),
}

/// One output, running.
#[derive(Debug)]
struct Running {
    output: Output,
    stop: Arc<AtomicBool>,
    state: Arc<State>,
}

/// Counters of what comes before any output.
#[derive(Debug, Default)]
struct Counts {
    queued: AtomicU64,
    dropped: AtomicU64,
}

/// Counters of one output.
#[derive(Debug)]
struct State {
    taken: AtomicU64,
    retried: AtomicU64,
    dropped: AtomicU64,
    /// Nanoseconds since the epoch; the least value when it never worked.
    last_success: AtomicI64,
    trouble: Mutex<Option<String>>,
}

/// How an output does, for metrics and people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputStatus {
    pub(crate) name: Box<str>,
    pub(crate) kind: &'static str,
    /// Tellings the receiver took.
    pub(crate) ok: u64,
    /// Deliveries that failed and were, or will be, tried again.
    pub(crate) retry: u64,
    /// Tellings that will never arrive: refused by the receiver, damaged, or older than the outbox holds.
    pub(crate) dropped: u64,
    /// Tellings that wait.
    pub(crate) waiting: u64,
    /// When the receiver last took something.
    pub(crate) last_success: Option<crate::base::Timestamp>,
    /// Why it does not work now.
    pub(crate) trouble: Option<String>,
}

impl Outputs {
    /// Opens the outbox in `folder` (none: in memory only) and starts `outputs`.
    pub(crate) fn start(
        folder: Option<&Path>,
        limit: u64,
        outputs: &[Output],
        origin: Origin,
    ) -> Result<Self, SinkError> {
        let wrong = |error: std::io::Error| SinkError::File {
            path: folder.map(|folder| folder.display().to_string()).unwrap_or_default(),
            message: error.to_string(),
        };
        let outbox = Arc::new(Outbox::open(folder, limit).map_err(wrong)?);
        let ledger = Ledger::open(folder.map(|folder| folder.join("told")));
        for name in outbox.known() {
            if !outputs.iter().any(|output| *output.name == *name) {
                outbox.leave(&name);
            }
        }
        let (queue, alerts) = sync_channel(QUEUE);
        let (last, gone) = channel();
        let mut all = Self {
            queue: Some(queue),
            outbox: Arc::clone(&outbox),
            origin,
            counts: Arc::default(),
            running: Vec::new(),
            ended: (last, Mutex::new(gone)),
        };
        all.replace(outputs)?;
        let (counts, ended) = (Arc::clone(&all.counts), all.ended.0.clone());
        spawn("outbox", ended, move || keep(&alerts, ledger, &outbox, &counts))?;
        Ok(all)
    }

    /// Tells an alert: new, changed or absorbed. Never waits; what finds the queue full is dropped and counted.
    pub(crate) fn tell(&self, alert: Alert) {
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        let full = match &self.queue {
            Some(queue) => matches!(queue.try_send(alert), Err(TrySendError::Full(_) | TrySendError::Disconnected(_))),
            None => true,
        };
        if full {
            self.counts.queued.fetch_sub(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes `outputs` the ones that run: those that did not change go on, new ones begin with the next telling. When one
    /// cannot be made ready nothing changes.
    pub(crate) fn replace(&mut self, outputs: &[Output]) -> Result<(), SinkError> {
        let same =
            |running: &Running| outputs.iter().any(|o| o.name == running.output.name && o.text == running.output.text);
        let fresh: Vec<&Output> = outputs
            .iter()
            .filter(|output| !self.running.iter().any(|r| r.output.name == output.name && r.output.text == output.text))
            .collect();
        let opened: Result<Vec<Box<dyn Sink>>, SinkError> =
            fresh.iter().map(|output| output.settings.open(&self.origin)).collect();
        let opened = opened?;
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running).into_iter().partition(same);
        self.running = stay;
        for running in go {
            running.stop.store(true, Ordering::Relaxed);
            if !outputs.iter().any(|output| output.name == running.output.name) {
                self.outbox.leave(&running.output.name);
            }
        }
        self.outbox.wake();
        for (output, sink) in fresh.into_iter().zip(opened) {
            self.begin(output.clone(), sink)?;
        }
        Ok(())
    }

    fn begin(&mut self, output: Output, sink: Box<dyn Sink>) -> Result<(), SinkError> {
        self.outbox.join(&output.name);
        let (stop, state) = (Arc::new(AtomicBool::new(false)), Arc::new(State::new()));
        let work = Delivery {
            outbox: Arc::clone(&self.outbox),
            output: output.clone(),
            stop: Arc::clone(&stop),
            state: Arc::clone(&state),
            now: self.origin.now,
            sink,
        };
        let name = format!("out-{}", output.name);
        spawn(&name, self.ended.0.clone(), move || work.run())?;
        self.running.push(Running { output, stop, state });
        Ok(())
    }

    /// How every output does.
    pub(crate) fn status(&self) -> Vec<OutputStatus> {
        self.running.iter().map(|running| running.status(&self.outbox)).collect()
    }

    /// Tellings in the queue before the outbox, dropped because it was full, and not on disk because that was full.
    pub(crate) fn queue(&self) -> (u64, u64, u64) {
        let counts = &self.counts;
        (counts.queued.load(Ordering::Relaxed), counts.dropped.load(Ordering::Relaxed), self.outbox.unsaved())
    }

    /// Waits until every output has taken, or for `patience`.
    pub(crate) fn settle(&self, patience: Duration) {
        let tries = patience.as_millis() / GLANCE.as_millis();
        for _ in 0..tries {
            let busy = self.counts.queued.load(Ordering::Relaxed) > 0
                || self.running.iter().any(|running| self.outbox.waiting(&running.output.name) > 0);
            if !busy {
                return;
            }
            thread::park_timeout(GLANCE);
        }
    }

    /// Ends: what was told goes into the outbox, outputs get `grace` to deliver; the rest is delivered after the next
    /// start.
    pub(crate) fn stop(mut self, grace: Duration) {
        drop(self.queue.take());
        let ended = self.ended.1.lock().unwrap_or_else(PoisonError::into_inner);
        let end = |most: usize, wait| (0..most).take_while(|_| ended.recv_timeout(wait).is_ok()).count();
        // One thread for the outbox, one for each output.
        let threads = self.running.len().saturating_add(1);
        let gone = end(threads, grace);
        self.running.iter().for_each(|running| running.stop.store(true, Ordering::Relaxed));
        self.outbox.end();
        // Who only waited to try again ends at once, and must be gone before another delivers from this outbox. A receiver
        // that hangs is not waited for.
        end(threads.saturating_sub(gone), AT_ONCE);
    }
}

/// A thread that says when it has ended, even by a panic.
fn spawn(
    name: &str,
    ended: std::sync::mpsc::Sender<()>,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), SinkError> {
    struct Last(std::sync::mpsc::Sender<()>);
    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.0.send(()); // Nobody listening is fine.
        }
    }
    let guarded = move || {
        let _last = Last(ended);
        work();
    };
    let wrong = |error: std::io::Error| SinkError::Unusable(format!("no thread for an output: {error}"));
    thread::Builder::new().name(name.to_owned()).spawn(guarded).map(drop).map_err(wrong)
}

/// The outbox's thread: numbers tellings and writes them down.
fn keep(alerts: &Receiver<Alert>, mut ledger: Ledger, outbox: &Outbox, counts: &Counts) {
    for line in outbox.newest() {
        // The crash may have come between the two writes.
        if let Some(told) = Told::read(&line)
            && let Some(record) = claims::without_update(&line)
            && ledger.number(&told.id, &record) == Some(told.update)
        {
            ledger.note(&told.id, told.update, &record);
        }
    }
    while let Ok(first) = alerts.recv() {
        let batch: Vec<Alert> = std::iter::once(first).chain(alerts.try_iter().take(TOGETHER)).collect();
        let (mut lines, mut news) = (Vec::new(), Vec::new());
        for alert in &batch {
            let id = &alert.finding.id;
            let record = claims::alert_line(alert);
            if let Some(update) = ledger.number(id, &record) {
                lines.push(claims::with_update(&record, update));
                ledger.remember(id, update, &record);
                news.push((id, update, record));
            }
        }
        outbox.add(&lines);
        for (id, update, record) in news {
            ledger.note(id, update, &record);
        }
        counts.queued.fetch_sub(u64::try_from(batch.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
    outbox.end();
}

/// One output's thread.
struct Delivery {
    outbox: Arc<Outbox>,
    output: Output,
    stop: Arc<AtomicBool>,
    state: Arc<State>,
    now: fn() -> crate::base::Timestamp,
    sink: Box<dyn Sink>,
}

impl Delivery {
    fn run(mut self) {
        let stop = Arc::clone(&self.stop);
        let stopped = move || stop.load(Ordering::Relaxed);
        while let Some(Batch { lines, missed }) = self.outbox.wait(&self.output.name, &stopped) {
            if missed > 0 {
                self.state.dropped.fetch_add(missed, Ordering::Relaxed);
                tracing::warn!(output = &*self.output.name, missed, "older than the outbox holds, never delivered");
            }
            let end = lines.last().map(|(number, _)| number.saturating_add(1));
            let mut waiting: Vec<(u64, Told)> = Vec::new();
            for (number, line) in lines {
                match Told::read(&line) {
                    Some(told) if told.severity >= self.output.least => waiting.push((number, told)),
                    Some(_) => {}
                    None => {
                        self.state.dropped.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(output = &*self.output.name, number, "a damaged line in the outbox");
                    }
                }
            }
            if !self.deliver(waiting, &stopped) {
                return;
            }
            if let Some(end) = end {
                self.outbox.done(&self.output.name, end);
            }
        }
    }

    /// Until the receiver has taken or refused all of it; false when there is no time left for that.
    fn deliver(&mut self, waiting: Vec<(u64, Told)>, stopped: &impl Fn() -> bool) -> bool {
        let (numbers, tellings): (Vec<u64>, Vec<Told>) = waiting.into_iter().unzip();
        let (mut from, mut pause) = (0_usize, FIRST_PAUSE);
        while let Some(batch) = tellings.get(from..).filter(|batch| !batch.is_empty()) {
            if stopped() {
                return false;
            }
            match self.sink.send(batch) {
                Ok(()) => {
                    self.taken(batch.len());
                    return true;
                }
                Err(Failed { taken, why }) => {
                    self.taken(taken);
                    from = from.saturating_add(taken);
                    pause = if taken > 0 { FIRST_PAUSE } else { pause };
                    match why {
                        Failure::Refused(message) => {
                            self.state.dropped.fetch_add(1, Ordering::Relaxed);
                            let key = tellings.get(from).map(Told::key).unwrap_or_default();
                            tracing::warn!(output = &*self.output.name, key, message, "the receiver refused an alert");
                            from = from.saturating_add(1);
                        }
                        Failure::Later { message, after } => {
                            self.trouble(message);
                            if let Some(place) = numbers.get(from).filter(|_| taken > 0) {
                                self.outbox.done(&self.output.name, *place);
                            }
                            if self.outbox.has_ended() {
                                return false; // The next start tries again.
                            }
                            self.outbox.rest(after.unwrap_or(pause).min(LONGEST_PAUSE), stopped);
                            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                        }
                    }
                }
            }
        }
        true
    }

    fn taken(&self, count: usize) {
        if count == 0 {
            return;
        }
        self.state.taken.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.state.last_success.store((self.now)().0, Ordering::Relaxed);
        if self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!(output = &*self.output.name, "the receiver takes alerts again");
        }
    }

    fn trouble(&self, message: String) {
        self.state.retried.fetch_add(1, Ordering::Relaxed);
        let mut trouble = self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none() {
            tracing::warn!(output = &*self.output.name, message, "the receiver takes no alerts; trying again");
        }
        *trouble = Some(message);
    }
}

impl State {
    fn new() -> Self {
        Self {
            taken: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            last_success: AtomicI64::new(i64::MIN),
            trouble: Mutex::new(None),
        }
    }
}

impl Running {
    fn status(&self, outbox: &Outbox) -> OutputStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last = self.state.last_success.load(Ordering::Relaxed);
        OutputStatus {
            name: self.output.name.clone(),
            kind: self.output.kind,
            ok: read(&self.state.taken),
            retry: read(&self.state.retried),
            dropped: read(&self.state.dropped),
            waiting: outbox.waiting(&self.output.name),
            last_success: (last > i64::MIN).then_some(crate::base::Timestamp(last)),
            trouble: self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Alerts that may wait for the outbox; it needs milliseconds for each.
const QUEUE: usize = 1024;
/// Alerts that are synced to disk together.
const TOGETHER: usize = 63;
/// What a thread that does nothing but wait needs to end, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Between looks at whether all is delivered.
const GLANCE: Duration = Duration::from_millis(20);
/// Waits after a failure double from the first to the longest, however long a receiver asks.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
