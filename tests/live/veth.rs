//! A private network with two ends, a sender and a sensor under test.

use pcap::{Active, Capture, Precision};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The end that packets are sent into.
pub(crate) const TX: &str = "ytx0";
/// The end that the sensor listens on.
pub(crate) const RX: &str = "yrx0";

/// Runs `body` within a network namespace of its own, by starting this test again inside one. One at a time: packets are
/// to be lost only where a test wants it.
pub(crate) fn within(test: &str, body: impl Fn()) {
    if std::env::var_os(INSIDE).is_some() {
        link();
        body();
        return;
    }
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(flags) = ways().into_iter().find(|flags| can(flags).is_ok()) else {
        let why: Vec<String> = ways().iter().filter_map(|flags| can(flags).err()).collect();
        println!("SKIPPED {test}: no network namespaces here: {}", why.join("; "));
        return;
    };
    let output = Command::new("unshare")
        .args(flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "inside the namespace:\n{said}");
    assert!(said.contains("1 passed"), "the test of this name did not run inside:\n{said}");
    println!("{said}");
}

/// As root, or as somebody who may become it within a namespace.
fn ways() -> [&'static [&'static str]; 2] {
    [&["--net", "--mount"], &["--user", "--map-root-user", "--net", "--mount"]]
}

fn can(flags: &[&str]) -> Result<(), String> {
    let made = Command::new("unshare").args(flags).args(["sh", "-c", "ip link add a0 type veth peer name a1"]).output();
    match made {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("unshare: {error}")),
    }
}

/// Makes the pair, without addresses or anything that would speak by itself.
fn link() {
    shell(&format!(
        "mount -t sysfs none /sys 2>/dev/null; ip link add {TX} type veth peer name {RX} && for i in {TX} {RX}; do \
         echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; ip link set $i mtu 65535 arp off up; done"
    ));
}

/// Runs a shell command that must work.
pub(crate) fn shell(command: &str) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits; nothing else can be waited for.
pub(crate) fn pause(time: Duration) {
    let _ = nix::poll::poll(&mut [], nix::poll::PollTimeout::try_from(time).unwrap());
}

/// A clock that only goes forward.
pub(crate) struct Watch(std::time::Instant);

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "a sender has to keep time")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "a sender has to keep time")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A frame and when it is sent, from the beginning.
pub(crate) struct Sent {
    pub(crate) after: Duration,
    pub(crate) bytes: Vec<u8>,
}

/// The frames of shipped captures, each from its own beginning, together in order of time.
pub(crate) fn frames(captures: &[&str]) -> Vec<Sent> {
    let mut all = Vec::new();
    for name in captures {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps").join(name);
        let mut file = Capture::from_file_with_precision(path, Precision::Nano).unwrap();
        assert_eq!(file.get_datalink().0, 1, "{name} is no Ethernet capture");
        let mut first = None;
        while let Ok(packet) = file.next_packet() {
            let ns = packet.header.ts.tv_sec * 1_000_000_000 + packet.header.ts.tv_usec;
            let first = *first.get_or_insert(ns);
            let after = Duration::from_nanos(u64::try_from(ns - first).unwrap_or(0));
            all.push(Sent { after, bytes: packet.data.to_vec() });
        }
    }
    all.sort_by_key(|sent| sent.after);
    all
}

/// The frames of these seconds, from the beginning of the first.
pub(crate) fn cut(frames: Vec<Sent>, seconds: std::ops::Range<u64>) -> Vec<Sent> {
    let (from, to) = (Duration::from_secs(seconds.start), Duration::from_secs(seconds.end));
    let within = frames.into_iter().filter(|sent| (from..to).contains(&sent.after));
    within.map(|sent| Sent { after: sent.after - from, ..sent }).collect()
}

/// Our end of the pair.
pub(crate) fn sender() -> Capture<Active> {
    Capture::from_device(TX).unwrap().open().unwrap()
}

/// Sends frames at `speed` times the pace they were captured at.
pub(crate) fn replay(frames: &[Sent], speed: u32) {
    let mut to = sender();
    let watch = Watch::start();
    for sent in frames {
        let due = sent.after / speed;
        let now = watch.elapsed();
        if due > now {
            pause(due - now);
        }
        to.sendpacket(sent.bytes.as_slice()).unwrap();
    }
}

/// A running sensor and its folder.
pub(crate) struct Sensor {
    child: Child,
    pub(crate) log: PathBuf,
}

impl Sensor {
    /// Starts `yukue live` on the receiving end and waits until it captures.
    pub(crate) fn start(log: &Path, flags: &[&str]) -> Self {
        Self::run(log, &[&["-i", RX], flags].concat())
    }

    /// Starts `yukue live` with these flags and waits until it captures.
    pub(crate) fn run(log: &Path, flags: &[&str]) -> Self {
        let _ = fs::remove_file(log.join("status.json"));
        Self::exec(log, &[&["--log-dir", log.to_str().unwrap()], flags].concat())
    }

    /// Starts `yukue live` with just these flags, its log being in `log`, and waits until it captures.
    fn exec(log: &Path, flags: &[&str]) -> Self {
        let child =
            Command::new(env!("CARGO_BIN_EXE_yukue")).arg("live").args(flags).stderr(Stdio::piped()).spawn().unwrap();
        let mut sensor = Self { child, log: log.to_owned() };
        sensor.until("it captures", |status| status["phase"] == "capturing");
        sensor
    }

    /// What it says of itself now.
    pub(crate) fn status(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&fs::read(self.log.join("status.json")).ok()?).ok()
    }

    /// Waits until its status says what is expected; the status.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        self.until_within(PATIENCE, what, holds)
    }

    /// The same, with so much patience.
    pub(crate) fn until_within(
        &mut self,
        patience: Duration,
        what: &str,
        holds: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let watch = Watch::start();
        loop {
            let status = self.status();
            if let Some(status) = &status
                && holds(status)
            {
                return status.clone();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the sensor ended before {what}: {}", self.said());
            assert!(watch.elapsed() < patience, "waited in vain until {what}: {status:?}");
            pause(Duration::from_millis(20));
        }
    }

    /// Waits until so many packets were taken off the ring.
    pub(crate) fn until_received(&mut self, packets: usize) {
        self.until(&format!("{packets} packets came"), |status| {
            sum(status, &["received", "kernel_dropped"]) >= packets as u64
        });
    }

    /// Of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        shell(&format!("kill -{name} {}", self.child.id()));
    }

    /// Stops it as a service manager does; how it ended, how long that took, and what it had said.
    pub(crate) fn stop(mut self) -> (ExitStatus, Duration, String) {
        let watch = Watch::start();
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        (status, watch.elapsed(), self.said())
    }

    /// Waits for it to end by itself.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        let watch = Watch::start();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.said());
            }
            assert!(watch.elapsed() < PATIENCE, "it does not end");
            pause(Duration::from_millis(20));
        }
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = std::io::Read::read_to_string(stderr, &mut said);
        }
        said
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with a configuration of the receiving end, rules, intelligence, state and log; metrics and API listen.
pub(crate) struct Configured {
    folder: tempfile::TempDir,
}

impl Configured {
    /// Writes it; `more` is put at the end of the configuration.
    pub(crate) fn new(more: &str) -> Self {
        shell("ip link set lo up");
        let site = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["etc/rules", "intel/feeds", "state", "log"] {
            fs::create_dir_all(site.at(name)).unwrap();
        }
        std::os::unix::fs::symlink("etc/rules", site.at("rules")).unwrap();
        let here = |name: &str| site.at(name).display().to_string();
        let (intel, state, log) = (here("intel"), here("state"), here("log"));
        let paths = format!("rules = \"rules\"\nintel = \"{intel}\"\nstate = \"{state}\"\nlog = \"{log}\"\n");
        let text = format!("[[capture]]\ninterface = \"{RX}\"\n[paths]\n{paths}[web]\nlisten = \"{WEB}\"\n{more}");
        fs::write(site.at("etc/yukue.toml"), text).unwrap();
        // Short tables: the shipped ones take seconds to read in a debug build. Those that are compiled in may not differ.
        let compiled = ["dcerpc_operations.csv", "destination_classes.csv", "remote_exec_artifacts.csv"];
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules/intel")).unwrap() {
            let path = entry.unwrap().path();
            let is_table = path.extension().is_some_and(|end| end == "csv" || end == "dat");
            if is_table && !compiled.iter().any(|name| path.ends_with(name)) {
                let head: String = fs::read_to_string(&path).unwrap().split_inclusive('\n').take(60).collect();
                fs::write(site.at("intel").join(path.file_name().unwrap()), head).unwrap();
            }
        }
        site
    }

    /// A path in the folder.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.at("log")
    }

    /// Starts `yukue live --config` and waits until it captures.
    pub(crate) fn start(&self) -> Sensor {
        self.start_with(&[])
    }

    /// The same with more flags.
    pub(crate) fn start_with(&self, flags: &[&str]) -> Sensor {
        let _ = fs::remove_file(self.log().join("status.json"));
        let config = self.at("etc/yukue.toml");
        Sensor::exec(&self.log(), &[&["--config", config.to_str().unwrap()], flags].concat())
    }

    /// Says in a site file what is inside.
    pub(crate) fn inside(&self, prefix: &str) {
        fs::write(self.at("etc/site.toml"), format!("inside = [\"{prefix}\"]\n")).unwrap();
        let path = self.at("etc/yukue.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("\nrules = ", "\nsite = \"site.toml\"\nrules = ", 1)).unwrap();
    }

    /// A metric's value, the first of those that begin so; without the prefix.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let all = self.get("/metrics");
        let line = all.lines().find(|line| line.strip_prefix("yukue_").is_some_and(|rest| rest.starts_with(series)));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no {series} in:\n{all}"))
    }

    /// Asks until the answer holds these words.
    pub(crate) fn wait_for(&self, path: &str, words: &str) -> String {
        let watch = Watch::start();
        loop {
            let answer = self.get(path);
            if answer.contains(words) {
                return answer;
            }
            assert!(watch.elapsed() < PATIENCE, "{path} never said {words}: {answer}");
            pause(Duration::from_millis(100));
        }
    }

    /// What the web side answers, head and body.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(WEB).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {WEB}\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        answer
    }
}

/// The sum of an interface's counts.
pub(crate) fn sum(status: &serde_json::Value, names: &[&str]) -> u64 {
    names.iter().map(|name| status["interfaces"][0][name].as_u64().unwrap()).sum()
}

/// A file's text; empty when there is none.
pub(crate) fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// Lines as values.
pub(crate) fn values(lines: &str) -> Vec<serde_json::Value> {
    lines.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// `analyze` of a capture into `out`.
pub(crate) fn analyze(capture: &Path, out: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_yukue"))
        .args(["--quiet", "analyze", capture.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// The four records that a live run and `analyze` on its recording must agree on, byte for byte.
pub(crate) fn assert_equal_records(what: &str, live: &Path, offline: &Path) {
    for name in ["flows.jsonl", "facts.jsonl", "findings.jsonl", "alerts.jsonl"] {
        let (ours, theirs) = (text(live, name), text(offline, name));
        if ours != theirs {
            let differs = ours.lines().zip(theirs.lines()).position(|(a, b)| a != b);
            let at = differs.unwrap_or_else(|| ours.lines().count().min(theirs.lines().count()));
            let line = |text: &str| text.lines().nth(at).unwrap_or("(none)").to_owned();
            panic!("{what}: {name} differs at line {at}:\nlive:    {}\noffline: {}", line(&ours), line(&theirs));
        }
    }
}

/// Where metrics and API listen; nobody else is in the namespace.
pub(crate) const WEB: &str = "127.0.0.1:9477";
/// Set inside the namespace.
const INSIDE: &str = "YUKUE_TEST_INSIDE_NETNS";
/// Longest wait for anything; machines that test may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
