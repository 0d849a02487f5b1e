//! A detector that panics at whatever it is asked: to see that the others go on. Debug builds only.

use super::memory::Memory;
use super::{Detector, RuleError, Said, Which};
use crate::base::{Table, Timestamp};
use crate::profile::{Activity, Profiles};

/// Judges nothing.
#[derive(Debug)]
pub(super) struct Broken;

#[expect(clippy::panic, reason = "that is what it is for; never in a release")]
impl Detector for Broken {
    fn observe(&mut self, _: &Activity, _: &Profiles, _: &mut Said) {
        panic!("as meant");
    }

    fn say(&mut self, _: Which, _: Timestamp, _: &Profiles, _: &mut Said) {
        panic!("as meant");
    }

    fn follow(&mut self, _: &str) -> Result<(), RuleError> {
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        Vec::new()
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        Vec::new()
    }
}
