//! Outputs against receivers that are really there: they fail, hang, die and come back.

use super::told::Told;
use super::words::Words;
use super::{Origin, Output, Outputs, SINKS};
use crate::alert::{Alert, Status};
use crate::base::{Text, Timestamp};
use crate::detect::Severity;
use crate::output::{claims, escape, samples};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The `n`th alert, saying `words`.
fn alert(n: usize, words: &str) -> Alert {
    let mut alert = samples::alert();
    alert.finding.id = format!("a{n:04}").into();
    alert.finding.explanation = Text::verbatim(words);
    alert.finding.severity = Severity::High;
    alert
}

fn origin() -> Origin {
    Origin { sensor: "hq-core".to_owned(), now: || Timestamp::from_secs(1_700_000_000) }
}

/// An output as a configuration would make it; `keys` is an inline table.
fn output(name: &str, kind: &str, keys: &str) -> Output {
    let found = SINKS.iter().find(|sink| sink.name == kind).unwrap();
    let settings = (found.settings)(toml::de::ValueDeserializer::parse(keys).unwrap()).unwrap();
    Output { name: name.into(), kind: found.name, least: Severity::Low, settings, text: keys.into() }
}

fn start(folder: &Path, outputs: &[Output]) -> Outputs {
    Outputs::start(Some(&folder.join("outbox")), 16 << 20, outputs, origin()).unwrap()
}

/// Asks until it is so; a minute is for loaded machines.
#[track_caller]
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if so() {
            return;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

/// One request a receiver got.
#[derive(Debug)]
struct Request {
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn key(&self) -> String {
        self.headers["idempotency-key"].clone()
    }
}

/// An HTTP receiver that answers with `status`, 0 for never. It lives as long as the process, its port with it.
fn receiver(listener: TcpListener, status: Arc<Mutex<u16>>) -> Receiver<Request> {
    let (tell, told) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (tell, status) = (tell.clone(), Arc::clone(&status));
            thread::spawn(move || while serve(stream.as_ref().unwrap(), &tell, &status).is_some() {});
        }
    });
    told
}

fn serve(mut stream: &TcpStream, tell: &Sender<Request>, status: &Mutex<u16>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let code = *status.lock().unwrap();
    if code == 0 {
        thread::park();
    }
    if code < 300 || code == 400 {
        let _ = tell.send(Request { path, headers, body });
    }
    write!(stream, "HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n").ok()
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

fn next<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn a_webhook_gets_each_alert_once_signed_and_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "correct horse\n".replace(' ', "-")).unwrap();
    let (listener, at) = listener();
    let got = receiver(listener, Arc::new(Mutex::new(200)));
    let keys = format!("{{ url = \"http://{at}/hook\", secret_file = {:?} }}", folder.path().join("secret"));
    let outputs = start(folder.path(), &[output("chat", "webhook", &keys)]);
    for n in 0..5 {
        outputs.tell(alert(n, "one"));
    }
    outputs.tell(alert(3, "one"));
    outputs.tell(alert(3, "another"));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"correct-horse");
    let mut keys = Vec::new();
    for _ in 0..6 {
        let request = next(&got);
        let signature = hex::decode(request.headers["x-yukue-signature"].strip_prefix("sha256=").unwrap()).unwrap();
        ring::hmac::verify(&key, &request.body, &signature).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(format!("{}:{}", told["id"].as_str().unwrap(), told["update"]), request.key());
        assert_eq!((&*request.path, &*request.headers["x-yukue-sensor"]), ("/hook", "hq-core"));
        keys.push(request.key());
    }
    assert_eq!(keys, ["a0000:1", "a0001:1", "a0002:1", "a0003:1", "a0004:1", "a0003:2"]);
    outputs.stop(Duration::from_secs(20));
    assert!(got.try_recv().is_err(), "what was said twice in the same words was delivered twice");
}

#[test]
fn nothing_is_lost_or_doubled_by_an_outage_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (gone, at) = listener();
    drop(gone); // The port answers with a reset.
    let made = || [output("chat", "webhook", &format!("{{ url = \"http://{at}/\" }}"))];
    let outputs = start(folder.path(), &made());
    for n in 0..100 {
        outputs.tell(alert(n, "first"));
    }
    eventually("trouble is told", || outputs.status()[0].trouble.is_some());
    eventually("all is in the outbox", || outputs.status()[0].waiting == 100);
    outputs.stop(Duration::from_millis(1));
    // Restarted; everything is said again, as analysis does from its saved state, and some more.
    let outputs = start(folder.path(), &made());
    for n in 0..150 {
        outputs.tell(alert(n, if n == 7 { "changed" } else { "first" }));
    }
    let got = receiver(TcpListener::bind(at).unwrap(), Arc::new(Mutex::new(200)));
    let mut keys: Vec<String> = (0..151).map(|_| next(&got).key()).collect();
    keys.sort();
    let mut expected: Vec<String> = (0..150).map(|n| format!("a{n:04}:1")).collect();
    expected.insert(8, "a0007:2".to_owned());
    assert_eq!(keys, expected);
    eventually("the outbox is empty", || outputs.status()[0].waiting == 0);
    let status = outputs.status().remove(0);
    assert_eq!((status.ok, status.dropped, status.trouble), (151, 0, None));
    assert!(status.last_success.is_some());
    outputs.stop(Duration::from_secs(20));
    assert!(got.try_recv().is_err());
}

#[test]
fn beyond_its_limit_the_outbox_drops_the_oldest_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let (gone, at) = listener();
    drop(gone);
    let made = || [output("chat", "webhook", &format!("{{ url = \"http://{at}/\" }}"))];
    let small = || Outputs::start(Some(&folder.path().join("outbox")), 0, &made(), origin()).unwrap();
    let outputs = small();
    let words = "x".repeat(1000);
    for n in 0..500 {
        outputs.tell(alert(n, &words));
        if n % 100 == 99 {
            eventually("the queue is empty", || outputs.queue().0 == 0);
        }
    }
    assert_eq!(outputs.queue(), (0, 0, 0));
    let bytes: u64 = fs::read_dir(folder.path().join("outbox"))
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().extension().is_some_and(|e| e == "jsonl"))
        .map(|e| e.metadata().unwrap().len())
        .sum();
    assert!(bytes <= 2 * (64 << 10), "{bytes} bytes in the outbox");
    outputs.stop(Duration::from_millis(1)); // Memory holds more than the disk; the restart shows the disk.
    let outputs = small();
    let got = receiver(TcpListener::bind(at).unwrap(), Arc::new(Mutex::new(200)));
    eventually("the rest is delivered", || outputs.status()[0].waiting == 0);
    let (status, arrived) = (outputs.status().remove(0), got.try_iter().count());
    assert_eq!(status.ok + status.dropped, 500, "{status:?}");
    assert_eq!((status.ok, status.dropped > 0), (u64::try_from(arrived).unwrap(), true), "{status:?}");
}

#[test]
fn a_receiver_that_hangs_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, at) = listener();
    let _got = receiver(listener, Arc::new(Mutex::new(0)));
    let file = folder.path().join("alerts.jsonl");
    let outputs = start(
        folder.path(),
        &[
            output("hangs", "webhook", &format!("{{ url = \"http://{at}/\" }}")),
            output("file", "jsonl", &format!("{{ path = {file:?} }}")),
        ],
    );
    for n in 0..200 {
        outputs.tell(alert(n, "words"));
    }
    eventually("the file has all", || fs::read_to_string(&file).unwrap().lines().count() == 200);
    assert_eq!((outputs.status()[0].ok, outputs.status()[1].ok), (0, 200));
    let before = fs::read_to_string(&file).unwrap();
    outputs.stop(Duration::from_millis(1));
    // As after a crash that came between the write and its note.
    fs::write(folder.path().join("outbox/file.place"), "190").unwrap();
    let outputs = start(folder.path(), &[output("file", "jsonl", &format!("{{ path = {file:?} }}"))]);
    eventually("it is read again", || outputs.status()[0].waiting == 0);
    outputs.stop(Duration::from_secs(20));
    assert_eq!(fs::read_to_string(&file).unwrap(), before, "lines are doubled");
    // As after a power cut that left the note empty.
    fs::write(folder.path().join("outbox/hangs.place"), "").unwrap();
    let outputs = start(folder.path(), &[output("hangs", "webhook", &format!("{{ url = \"http://{at}/\" }}"))]);
    assert_eq!(outputs.status()[0].waiting, 200, "what waited waits still");
    outputs.stop(Duration::from_millis(1));
}

#[test]
fn a_refused_alert_is_dropped_and_counted_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, at) = listener();
    let status = Arc::new(Mutex::new(400));
    let got = receiver(listener, Arc::clone(&status));
    let outputs = start(folder.path(), &[output("chat", "webhook", &format!("{{ url = \"http://{at}/\" }}"))]);
    outputs.tell(alert(1, "words"));
    next(&got);
    eventually("it is counted", || outputs.status()[0].dropped == 1);
    *status.lock().unwrap() = 200;
    outputs.tell(alert(2, "words"));
    assert_eq!(next(&got).key(), "a0002:1");
}

#[test]
fn outputs_change_while_running_and_less_severe_alerts_stay() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let made = |name: &str| output(name, "jsonl", &format!("{{ path = {:?} }}", file(name)));
    let mut outputs = start(folder.path(), &[made("a"), made("b")]);
    outputs.tell(alert(1, "words"));
    eventually("both have it", || ["a", "b"].iter().all(|n| fs::read_to_string(file(n)).unwrap().lines().count() == 1));
    let loud = Output { least: Severity::Critical, ..made("c") };
    outputs.replace(&[made("a"), loud]).unwrap();
    outputs.tell(alert(2, "words"));
    eventually("a has it", || fs::read_to_string(file("a")).unwrap().lines().count() == 2);
    eventually("c is past it", || outputs.status()[1].waiting == 0);
    assert_eq!(
        (fs::read_to_string(file("b")).unwrap().lines().count(), fs::read_to_string(file("c")).unwrap()),
        (1, String::new())
    );
    let wrong = output("d", "jsonl", "{ path = \"/nowhere/at/all\" }");
    assert!(outputs.replace(&[wrong]).unwrap_err().to_string().contains("/nowhere/at/all"));
    assert_eq!(outputs.status().len(), 2, "a wrong change changes nothing");
}

/// Octet-counted messages of one connection, until it ends or `most` were read.
fn frames(stream: impl Read, most: usize, tell: &Sender<Vec<u8>>) {
    let mut reader = BufReader::new(stream);
    for _ in 0..most {
        let mut len = Vec::new();
        if reader.read_until(b' ', &mut len).unwrap_or(0) == 0 {
            return;
        }
        let mut message = vec![0; String::from_utf8(len).unwrap().trim().parse().unwrap()];
        if reader.read_exact(&mut message).is_err() {
            return;
        }
        tell.send(message).unwrap();
    }
}

/// RFC 5424: header fields and the message.
fn read5424(message: &[u8]) -> (Vec<String>, String) {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let mut parts = text.splitn(7, ' ').map(str::to_owned).collect::<Vec<_>>();
    let rest = parts.pop().unwrap();
    let body = match rest.strip_prefix("- ") {
        Some(body) => body.to_owned(),
        None => rest.split_once("\"] ").unwrap().1.to_owned(),
    };
    (parts, body)
}

#[test]
fn syslog_over_tcp_survives_a_receiver_that_restarts_mid_way() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, at) = listener();
    let (tell, got) = channel();
    let first = tell.clone();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        frames(stream, 1, &first); // Then it dies, with what it has not read.
    });
    let outputs = start(
        folder.path(),
        &[output("siem", "syslog", &format!("{{ address = \"tcp://{at}\", enterprise_id = 32473 }}"))],
    );
    for n in 0..300 {
        outputs.tell(alert(n, "words"));
    }
    server.join().unwrap();
    let again = TcpListener::bind(at).unwrap();
    thread::spawn(move || again.incoming().for_each(|stream| frames(stream.unwrap(), usize::MAX, &tell)));
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    while times.len() < 300 {
        let (head, body) = read5424(&next(&got));
        assert_eq!(
            (head[0].as_str(), head[2].as_str(), head[3].as_str(), head[5].as_str()),
            ("<131>1", "hq-core", "yukue", "alert")
        );
        let told: serde_json::Value = serde_json::from_str(&body).unwrap();
        *times.entry(format!("{}:{}", told["id"], told["update"])).or_default() += 1;
    }
    outputs.stop(Duration::from_secs(20));
}

#[test]
fn syslog_over_tls_reaches_who_has_the_certificate_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    for (name, cert) in [("right.pem", &made), ("wrong.pem", &other)] {
        fs::write(folder.path().join(name), cert.cert.pem()).unwrap();
    }
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (listener, at) = listener();
    let (tell, got) = channel();
    thread::spawn(move || {
        let config = Arc::new(config);
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let (tell, stream) = (tell.clone(), stream.unwrap());
            thread::spawn(move || frames(rustls::StreamOwned::new(session, stream), usize::MAX, &tell));
        }
    });
    let siem = |name: &str, ca: &str| {
        let ca = folder.path().join(ca);
        output(
            name,
            "syslog",
            &format!(
                "{{ address = \"tls://localhost:{}\", format = \"cef\", tls = {{ ca_file = {ca:?} }} }}",
                at.port()
            ),
        )
    };
    let outputs = start(folder.path(), &[siem("right", "right.pem"), siem("wrong", "wrong.pem")]);
    outputs.tell(alert(1, "words"));
    let (_, body) = read5424(&next(&got));
    assert!(body.starts_with("CEF:0|yukue|yukue|"), "{body}");
    eventually("the wrong one is refused", || {
        outputs.status()[1].trouble.as_ref().is_some_and(|t| t.contains("certificate"))
    });
    assert!(got.try_recv().is_err());
}

#[test]
fn alertmanager_gets_labels_times_and_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, at) = listener();
    let got = receiver(listener, Arc::new(Mutex::new(200)));
    let outputs =
        start(folder.path(), &[output("am", "alertmanager", &format!("{{ url = \"http://{at}/am/\", hold_h = 1 }}"))]);
    let body = |told: Alert| {
        outputs.tell(told);
        let request = next(&got);
        assert_eq!(request.path, "/am/api/v2/alerts");
        serde_json::from_slice::<serde_json::Value>(&request.body).unwrap()
    };
    let first = body(alert(1, "words"));
    assert_eq!(
        (first[0]["labels"]["severity"].as_str(), first[0]["labels"]["alert_id"].as_str()),
        (Some("high"), Some("a0001"))
    );
    assert_eq!(first[0]["startsAt"], "2020-09-20T06:57:46.123456Z");
    assert_eq!(first[0]["endsAt"], "2020-09-20T07:57:48.123456Z");
    let mut louder = alert(1, "words");
    louder.finding.severity = Severity::Critical;
    let second = body(louder.clone());
    let severities: Vec<_> = second
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["labels"]["severity"].as_str().unwrap(), a["endsAt"].as_str().unwrap()))
        .collect();
    assert_eq!(severities, [("high", "2020-09-20T06:57:48.123456Z"), ("critical", "2020-09-20T07:57:48.123456Z")]);
    louder.status = Status::Absorbed;
    assert_eq!(body(louder)[0]["endsAt"], "2020-09-20T06:57:48.123456Z");
}

#[test]
fn no_output_lets_a_control_character_through() {
    let folder = tempfile::tempdir().unwrap();
    let (udp, udp_at) = UdpSocket::bind("127.0.0.1:0")
        .map(|s| {
            let at = s.local_addr().unwrap();
            (s, at)
        })
        .unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (listener, at) = listener();
    let got = receiver(listener, Arc::new(Mutex::new(200)));
    let file = folder.path().join("alerts.jsonl");
    let outputs = [
        output("file", "jsonl", &format!("{{ path = {file:?} }}")),
        output("hook", "webhook", &format!("{{ url = \"http://{at}/hook\" }}")),
        output("am", "alertmanager", &format!("{{ url = \"http://{at}\" }}")),
        output("siem", "syslog", &format!("{{ address = \"udp://{udp_at}\", max_bytes = 60000 }}")),
    ];
    let kinds: std::collections::BTreeSet<_> = outputs.iter().map(|o| o.kind).collect();
    assert_eq!(kinds, SINKS.iter().map(|sink| sink.name).collect(), "every kind is tried");
    let outputs = start(folder.path(), &outputs);
    let mut hostile = alert(1, samples::HOSTILE);
    hostile.finding.title = Text::verbatim(samples::HOSTILE);
    outputs.tell(hostile);
    let mut bodies = vec![next(&got).body, next(&got).body];
    let mut datagram = vec![0; 65_536];
    let len = udp.recv(&mut datagram).unwrap();
    bodies.push(datagram[..len].to_vec());
    eventually("the file has it", || fs::read_to_string(&file).unwrap().ends_with('\n'));
    bodies.push(fs::read_to_string(&file).unwrap().trim_end().as_bytes().to_vec());
    for body in bodies {
        let text = String::from_utf8(body).unwrap();
        assert!(text.contains("行方") && !text.chars().any(escape::is_deceptive), "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_wording_of_any_text_is_one_harmless_line(
        text in prop::collection::vec(any::<char>(), 1..40), most in 200_usize..4000,
    ) {
        let text: String = text.into_iter().collect();
        let mut hostile = alert(1, &text);
        hostile.finding.title = Text::verbatim(&text);
        hostile.finding.entities.iter_mut().for_each(|e| e.name = Some(text.as_str().into()));
        let told = Told::read(&claims::with_update(&claims::alert_line(&hostile), 3)).unwrap();
        for words in [Words::Json, Words::Cef, Words::Leef] {
            let line = String::from_utf8(words.of(&told, most)).unwrap();
            prop_assert!(!line.chars().any(escape::is_deceptive), "{:?}: {:?}", words, line);
        }
        let cef = String::from_utf8(Words::Cef.of(&told, usize::MAX)).unwrap();
        let bars = cef.replace(r"\\", "").replace(r"\|", "").matches('|').count();
        let pipes = text.matches('|').count();
        prop_assert!(bars >= 7 && bars <= 7 + pipes * 4, "the header has its seven fields: {}", cef);
        prop_assert_eq!(claims::without_update(&told.line).unwrap(), claims::alert_line(&hostile));
        prop_assert!(cef.contains("cs6=ask who worked on the server") && cef.contains("cs6Label=nextStep"), "{}", cef);
        let leef = String::from_utf8(Words::Leef.of(&told, usize::MAX)).unwrap();
        prop_assert!(leef.contains("^nextStep=ask who worked on the server"), "{}", leef);
        let short: serde_json::Value = serde_json::from_slice(&told.shortened()).unwrap();
        prop_assert_eq!(short["next_steps"].as_array().unwrap().len(), 1);
        prop_assert_eq!(short["explanation"].as_str().unwrap_or_default(), &text);
    }
}
