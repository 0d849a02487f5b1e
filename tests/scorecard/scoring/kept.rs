//! Where a long trial stands, in a folder: it may be broken off and taken up again at the latest night that was saved.
//!
//! The right side is saved as a stopped sensor saves it and goes on as a started one does; the fleet is told again from
//! the first day, which costs a twentieth, and what was told of it by then is read back. What is under way at three in the
//! morning is lost, as it is with a sensor that is stopped then.

use crate::fleet::{DAY, HOUR, Ns};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use yukue::testing::Right;

/// A folder of one trial and one program.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    program: String,
    /// The fleet's time of the latest save.
    until: Ns,
    /// What was told by then: the end of its quarter of an hour, the moment, the alert or finding.
    told: VecDeque<(Ns, Ns, Value)>,
    /// Seconds of CPU up to then, of all processes, and most memory of any, MiB.
    pub(crate) cpu_s: f64,
    pub(crate) peak_mib: i64,
    pub(crate) resumed: u32,
    journal: Option<File>,
}

impl Kept {
    /// What lies in `folder` from this very program, or nothing yet.
    pub(crate) fn open(folder: &Path, program: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut kept = Self::read(folder).filter(|kept| kept.program == program).unwrap_or_else(|| Self {
            folder: folder.to_owned(),
            program: program.to_owned(),
            until: Ns::MIN,
            told: VecDeque::new(),
            cpu_s: 0.0,
            peak_mib: 0,
            resumed: 0,
            journal: None,
        });
        kept.resumed += u32::from(kept.until != Ns::MIN);
        // What came after the save is told again.
        let mut journal = File::create(folder.join(JOURNAL)).unwrap();
        kept.told.iter().for_each(|(slice, at, alert)| writeln!(journal, "{}", json!([slice, at, alert])).unwrap());
        kept.journal = Some(journal);
        kept
    }

    /// What lies in `folder` from whatever program, to look at only.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let state: Value = serde_json::from_slice(&fs::read(folder.join(STATE)).ok()?).ok()?;
        let until = state["until"].as_i64()?;
        let entries = BufReader::new(File::open(folder.join(JOURNAL)).ok()?).lines().map_while(|line| {
            let entry: Value = serde_json::from_str(&line.ok()?).ok()?;
            Some((entry[0].as_i64()?, entry[1].as_i64()?, entry[2].clone()))
        });
        Some(Self {
            folder: folder.to_owned(),
            program: state["program"].as_str()?.to_owned(),
            until,
            told: entries.take_while(|(slice, ..)| *slice <= until).collect(),
            cpu_s: state["cpu_s"].as_f64()?,
            peak_mib: state["peak_mib"].as_i64()?,
            resumed: u32::try_from(state["resumed"].as_u64()?).ok()?,
            journal: None,
        })
    }

    /// The right side as it was saved, when it was.
    pub(crate) fn resume(&self, right: &mut Right) -> Result<(), String> {
        if self.until == Ns::MIN { Ok(()) } else { right.resume(&self.state_path(self.until)) }
    }

    /// Whether what the fleet tells before `now` was taken in before.
    pub(crate) const fn knows(&self, now: Ns) -> bool {
        now < self.until
    }

    /// What was told in the quarter of an hour that ended at `now`.
    pub(crate) fn told(&mut self, now: Ns) -> Vec<(Ns, Value)> {
        let mut told = Vec::new();
        while let Some((_, at, alert)) = self.told.pop_front_if(|(slice, ..)| *slice <= now) {
            told.push((at, alert));
        }
        told
    }

    /// Notes what was told in the quarter of an hour that ended at `now`.
    pub(crate) fn note(&mut self, now: Ns, told: &[(Ns, Value)]) {
        let mut journal = self.journal.as_ref().unwrap();
        told.iter().for_each(|(at, alert)| writeln!(journal, "{}", json!([now, at, alert])).unwrap());
    }

    /// Saves every other night at three in the morning at headquarters, when the fleet sleeps. `used`: seconds of CPU and
    /// most MiB of this process.
    pub(crate) fn night(&mut self, now: Ns, right: &mut Right, used: (f64, i64)) -> Result<(), String> {
        if now.rem_euclid(2 * DAY) != 18 * HOUR {
            return Ok(());
        }
        let path = self.state_path(now);
        let _ = fs::remove_file(&path);
        right.save(&path)?;
        let (cpu_s, peak_mib) = (self.cpu_s + used.0, self.peak_mib.max(used.1));
        let state = json!({
            "program": self.program, "until": now, "cpu_s": cpu_s, "peak_mib": peak_mib, "resumed": self.resumed,
        });
        let unfinished = self.folder.join("state.part");
        fs::write(&unfinished, state.to_string()).unwrap();
        fs::rename(&unfinished, self.folder.join(STATE)).unwrap();
        if self.until != Ns::MIN && self.until != now {
            let _ = fs::remove_file(self.state_path(self.until));
        }
        self.until = now;
        Ok(())
    }

    fn state_path(&self, until: Ns) -> PathBuf {
        self.folder.join(format!("{}.redb", until / HOUR))
    }
}

/// How far it is, who made it and what it took.
const STATE: &str = "state.json";
/// Alerts, a line each.
const JOURNAL: &str = "alerts.jsonl";
