//! A bar while files are read: bytes, packets a second, time left. Only on a terminal, on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far reading has come. Hidden where standard error is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `total` bytes as stored; without a total (a pipe) a spinner.
    pub(crate) fn new(total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND));
        let template = if total.is_some() { BAR } else { SPINNER };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar }
    }

    /// Bytes (as stored) and packets read so far. Call it every few thousand packets, not for each.
    pub(crate) fn tick(&self, bytes: u64, packets: u64) {
        if self.bar.is_hidden() {
            return;
        }
        let nanos = self.bar.elapsed().as_nanos().max(1);
        let rate = u128::from(packets).saturating_mul(1_000_000_000) / nanos;
        self.bar.set_message(format!("{}/s", super::layout::thousands(u64::try_from(rate).unwrap_or(u64::MAX))));
        self.bar.set_position(bytes);
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

const BAR: &str = "{wide_bar} {bytes}/{total_bytes}  packets {msg}  {eta} left";
const SPINNER: &str = "{spinner} {bytes}  packets {msg}";
const REDRAWS_PER_SECOND: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_understood() {
        for template in [BAR, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        let progress = Progress::new(Some(10));
        progress.tick(5, 1);
        progress.finish();
    }
}
