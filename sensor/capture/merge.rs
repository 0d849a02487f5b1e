//! Many captures as one: the frame that comes next is the earliest of every input's next frame; equal ones come in
//! the order the inputs were given, and a file's own frames stay in the file's order.
//!
//! A file is opened when the merge reaches its first packet and closed after its last, so memory and file descriptors
//! follow how many captures overlap in time, not how many there are. Where too many overlap, the one whose next packet
//! is furthest off is closed and taken up again later; a compressed one cannot be, its decompressor would start anew.

use super::filter::Filter;
use super::inputs::{self, Found, Input};
use super::reader::Capture;
use super::stream::{BLOCK, Layers};
use super::{CaptureError, Frame, InputReport, Progress, Source};
use crate::base::Timestamp;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::path::{Path, PathBuf};

/// All inputs as one [`Source`].
pub(crate) struct Files {
    inputs: Vec<Merged>,
    skipped: Vec<PathBuf>,
    filter: Option<Filter>,
    /// When each input's next frame comes, of those that have one and are not `current`.
    waiting: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Whose frame was handed out last.
    current: Option<usize>,
    open: usize,
    block: usize,
    filtered: u64,
    read_of_finished: u64,
    packets_of_finished: u64,
}

struct Merged {
    input: Input,
    state: State,
}

enum State {
    Unopened,
    Open(Box<Capture<Layers>>),
    Finished(Box<InputReport>),
}

/// Opens files, folders (walked in name order) and `-`, with an optional BPF expression over their packets.
pub(crate) fn open(paths: &[PathBuf], filter: Option<&str>) -> Result<Files, CaptureError> {
    let Found { inputs, skipped } = inputs::find(paths)?;
    let mut filter = filter.map(Filter::new).transpose()?;
    if let Some(filter) = &mut filter {
        for (_, link) in inputs.iter().filter_map(|input| input.first) {
            filter.prepare(link)?;
        }
    }
    let block = if inputs.len() > FEW { BLOCK_OF_MANY } else { BLOCK };
    // Inputs whose beginning is not known are opened first.
    let begin = |input: &Input| input.first.map_or(Timestamp::MIN, |(ts, _)| ts);
    let waiting = inputs.iter().enumerate().map(|(i, input)| Reverse((begin(input), i))).collect();
    let inputs = inputs.into_iter().map(|input| Merged { input, state: State::Unopened }).collect();
    Ok(Files {
        inputs,
        skipped,
        filter,
        waiting,
        current: None,
        open: 0,
        block,
        filtered: 0,
        read_of_finished: 0,
        packets_of_finished: 0,
    })
}

impl Files {
    /// One report an input, in the order given; whole once the source has ended.
    pub(crate) fn reports(&self) -> Vec<InputReport> {
        let report = |merged: &Merged| match &merged.state {
            State::Unopened => InputReport { path: merged.input.name.clone(), ..InputReport::default() },
            State::Open(capture) => InputReport {
                path: merged.input.name.clone(),
                bytes: capture.source().stored().bytes(),
                ..capture.report().clone()
            },
            State::Finished(report) => InputReport::clone(report),
        };
        self.inputs.iter().map(report).collect()
    }

    /// Files within the given folders that are no captures.
    pub(crate) fn skipped(&self) -> &[PathBuf] {
        &self.skipped
    }

    /// Packets that the filter kept back.
    pub(crate) const fn filtered(&self) -> u64 {
        self.filtered
    }

    /// How far the reading is.
    pub(crate) fn progress(&self) -> Progress {
        let mut progress = Progress { read: self.read_of_finished, total: Some(0), packets: self.packets_of_finished };
        for Merged { input, state } in &self.inputs {
            progress.total = progress.total.zip(input.size).map(|(total, size)| total.saturating_add(size));
            if let State::Open(capture) = state {
                progress.read = progress.read.saturating_add(capture.source().stored().bytes());
                progress.packets = progress.packets.saturating_add(capture.report().packets);
            }
        }
        progress
    }

    /// Goes to the next frame of all; whose it is.
    #[inline]
    fn step(&mut self) -> Result<Option<usize>, CaptureError> {
        let mut next = match self.current.take() {
            Some(current) => self.advance(current)?.map(|ts| (ts, current)),
            None => None,
        };
        loop {
            let earlier = match (next, self.waiting.peek()) {
                (Some(next), Some(Reverse(first))) if *first < next => true,
                (Some((_, current)), _) => {
                    self.current = Some(current);
                    return Ok(Some(current));
                }
                (None, Some(_)) => false,
                (None, None) => return Ok(None),
            };
            let Some(Reverse((ts, i))) = self.waiting.pop() else { return Ok(None) };
            if earlier && let Some(next) = next {
                self.waiting.push(Reverse(next));
            }
            next = self.ready(i, ts)?.map(|ts| (ts, i));
        }
    }

    /// Opens or takes up the input whose turn comes at `ts`; when its next packet really comes, if there is one.
    fn ready(&mut self, i: usize, ts: Timestamp) -> Result<Option<Timestamp>, CaptureError> {
        self.make_room();
        let block = self.block;
        let Some(Merged { input, state }) = self.inputs.get_mut(i) else { return Ok(None) };
        match state {
            State::Finished(_) => Ok(None),
            State::Unopened => {
                let number = u32::try_from(i).unwrap_or(u32::MAX);
                let capture =
                    input.open(number, block)?.ok_or_else(|| CaptureError::NotACapture { path: input.name.clone() })?;
                *state = State::Open(Box::new(capture));
                self.open = self.open.saturating_add(1);
                self.advance(i)
            }
            State::Open(capture) if capture.source().is_put_aside() => {
                let source = input.open_at(capture.position())?;
                capture.source_mut().take_up(source);
                self.open = self.open.saturating_add(1);
                let again = capture.reload().and_then(|there| match there {
                    true => Ok(Some(ts)),
                    false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "became shorter while it was read")),
                });
                again.map_err(|e| inputs::failed(Path::new(&input.name), e))
            }
            State::Open(_) => Ok(Some(ts)),
        }
    }

    /// With too many files open, closes the one whose next packet is furthest off.
    fn make_room(&mut self) {
        if self.open < MAX_OPEN {
            return;
        }
        let can_go = |i: usize| match self.inputs.get(i) {
            Some(Merged { input, state: State::Open(capture) }) => {
                input.size.is_some() && capture.source().can_be_put_aside()
            }
            _ => false,
        };
        let furthest = self.waiting.iter().filter(|Reverse((_, i))| can_go(*i)).map(|Reverse(at)| *at).max();
        let furthest = furthest.and_then(|(_, i)| self.inputs.get_mut(i));
        if let Some(Merged { state: State::Open(capture), .. }) = furthest {
            let position = capture.release();
            capture.source_mut().put_aside(position);
            self.open = self.open.saturating_sub(1);
        }
    }

    #[inline]
    fn advance(&mut self, i: usize) -> Result<Option<Timestamp>, CaptureError> {
        let Some(Merged { input, state: State::Open(capture) }) = self.inputs.get_mut(i) else { return Ok(None) };
        match capture.advance() {
            Ok(Some(ts)) => Ok(Some(ts)),
            Ok(None) => self.finish(i).map(|()| None),
            Err(error) => Err(inputs::failed(Path::new(&input.name), error)),
        }
    }

    /// Reads the stored rest for the digest and closes the file.
    #[cold]
    fn finish(&mut self, i: usize) -> Result<(), CaptureError> {
        let Some(Merged { input, state }) = self.inputs.get_mut(i) else { return Ok(()) };
        let State::Open(capture) = std::mem::replace(state, State::Unopened) else { return Ok(()) };
        let (layers, report) = capture.into_parts();
        let (sha256, bytes) = layers.finish().map_err(|e| inputs::failed(Path::new(&input.name), e))?;
        self.open = self.open.saturating_sub(1);
        self.read_of_finished = self.read_of_finished.saturating_add(bytes);
        self.packets_of_finished = self.packets_of_finished.saturating_add(report.packets);
        *state = State::Finished(Box::new(InputReport { path: input.name.clone(), sha256, bytes, ..report }));
        Ok(())
    }

    fn frame_of(&self, i: usize) -> Option<Frame<'_>> {
        match &self.inputs.get(i)?.state {
            State::Open(capture) => Some(capture.frame()),
            State::Unopened | State::Finished(_) => None,
        }
    }

    fn passes(&mut self, i: usize) -> Result<bool, CaptureError> {
        let Some(filter) = &mut self.filter else { return Ok(true) };
        let Some(State::Open(capture)) = self.inputs.get(i).map(|merged| &merged.state) else { return Ok(true) };
        filter.passes(&capture.frame())
    }
}

impl Source for Files {
    fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        loop {
            let Some(i) = self.step()? else { return Ok(None) };
            if self.passes(i)? {
                return Ok(self.frame_of(i));
            }
            self.filtered = self.filtered.saturating_add(1);
        }
    }
}

/// Files open at once; half of what systems allow a process by default is left to the rest of it.
const MAX_OPEN: usize = 256;
/// Up to so many inputs get blocks of full size.
const FEW: usize = 16;
/// With more, memory stays under `MAX_OPEN` times this and reading is as fast (measured).
const BLOCK_OF_MANY: usize = 64 * 1024;
