//! Runs what libpcap's compiler makes of a filter expression: classic BPF, McCanne and Jacobson 1993 §3.
//!
//! The `pcap` crate's own call runs a program over bytes alone, so that `len` and `greater` would see a cut frame as a
//! short one, and it wants one slice, where a frame looked at without its VLAN tags is two.

use super::CaptureError;
use pcap::BpfProgram;

/// A program, checked once so that it can run without checks.
#[derive(Debug)]
pub(super) struct Program(Vec<Op>);

/// A frame as a program sees it: `head`, then `rest`, of a frame that was `wire_len` long.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) head: &'a [u8],
    pub(super) rest: &'a [u8],
    pub(super) wire_len: u32,
}

/// One instruction; A is the accumulator, X the index register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Load(Register, Value),
    Store(Register, usize),
    Alu(u16, Operand),
    /// Compares A; how many instructions to pass over when it holds and when not.
    Jump(u16, Operand, usize, usize),
    Goto(usize),
    Return(Operand),
    AToX,
    XToA,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    A,
    X,
}

/// What a load loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Constant(u32),
    Memory(usize),
    WireLength,
    /// So many bytes from an offset.
    Packet(usize, u32),
    /// So many bytes from X plus an offset.
    Indexed(usize, u32),
    /// Four times the low nibble at an offset: an IPv4 header's length.
    HeaderLength(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    Constant(u32),
    A,
    X,
}

impl Program {
    /// Takes over a compiled program; the crate shows instructions only as text.
    pub(super) fn new(program: &BpfProgram) -> Result<Self, CaptureError> {
        let instructions = program.get_instructions();
        let ops: Option<Vec<_>> = instructions
            .iter()
            .enumerate()
            .map(|(at, instruction)| {
                let text = instruction.to_string();
                let mut numbers = text.split(' ').map(|n| n.parse::<u32>().ok());
                let [code, jt, jf, k] = [numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()??];
                let op = decode(u16::try_from(code).ok()?, usize::try_from(jt).ok()?, usize::try_from(jf).ok()?, k)?;
                // All jumps go forward, so a program ends; it must not leave its instructions either.
                let furthest = match op {
                    Op::Jump(_, _, jt, jf) => jt.max(jf),
                    Op::Goto(by) => by,
                    Op::Return(_) => return Some(op),
                    _ => 0,
                };
                (at.checked_add(furthest)?.checked_add(1)? < instructions.len()).then_some(op)
            })
            .collect();
        ops.map(Self)
            .ok_or_else(|| CaptureError::Filter { message: "it needs a program that loops (protochain)".to_owned() })
    }

    /// Whether the frame passes; one too short for what the program reads does not.
    pub(super) fn passes(&self, frame: View<'_>) -> bool {
        self.run(frame).unwrap_or(0) != 0
    }

    fn run(&self, frame: View<'_>) -> Option<u32> {
        let (mut a, mut x) = (0_u32, 0_u32);
        let mut memory = [0_u32; SLOTS];
        let mut at = 0_usize;
        // Ends: every turn goes forward in the program.
        while let Some(op) = self.0.get(at) {
            at = at.saturating_add(1);
            let operand = |operand| match operand {
                Operand::Constant(k) => k,
                Operand::A => a,
                Operand::X => x,
            };
            match *op {
                Op::Load(register, value) => {
                    let value = match value {
                        Value::Constant(k) => k,
                        Value::Memory(slot) => memory.get(slot).copied()?,
                        Value::WireLength => frame.wire_len,
                        Value::Packet(size, k) => frame.load(k, size)?,
                        Value::Indexed(size, k) => frame.load(x.checked_add(k)?, size)?,
                        Value::HeaderLength(k) => (frame.load(k, 1)? & 0xf) << 2,
                    };
                    match register {
                        Register::A => a = value,
                        Register::X => x = value,
                    }
                }
                Op::Store(Register::A, slot) => *memory.get_mut(slot)? = a,
                Op::Store(Register::X, slot) => *memory.get_mut(slot)? = x,
                Op::Alu(kind, by) => a = compute(kind, a, operand(by))?,
                Op::Jump(kind, with, jt, jf) => {
                    at = at.saturating_add(if holds(kind, a, operand(with)) { jt } else { jf });
                }
                Op::Goto(by) => at = at.saturating_add(by),
                Op::Return(value) => return Some(operand(value)),
                Op::AToX => x = a,
                Op::XToA => a = x,
            }
        }
        None
    }
}

impl View<'_> {
    /// `size` bytes, at most 4, in network order.
    fn load(&self, offset: u32, size: usize) -> Option<u32> {
        let offset = usize::try_from(offset).ok()?;
        let end = offset.checked_add(size)?;
        let byte = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        let split = self.head.len();
        if offset >= split {
            return Some(self.rest.get(offset.checked_sub(split)?..end.checked_sub(split)?)?.iter().fold(0, byte));
        }
        let head = self.head.get(offset..end.min(split))?.iter().fold(0, byte);
        Some(self.rest.get(..end.saturating_sub(split))?.iter().fold(head, byte))
    }
}

/// By class (three low bits), size and mode or operation, and operand source: `net/bpf.h`.
fn decode(code: u16, jt: usize, jf: usize, k: u32) -> Option<Op> {
    let source = if code & 0x08 == 0 { Operand::Constant(k) } else { Operand::X };
    let slot = || usize::try_from(k).ok().filter(|slot| *slot < SLOTS);
    let size = || match code & 0x18 {
        0x00 => Some(4),
        0x08 => Some(2),
        0x10 => Some(1),
        _ => None,
    };
    Some(match (code & 0x07, code & 0xe0) {
        (0, 0x00) => Op::Load(Register::A, Value::Constant(k)),
        (0, 0x20) => Op::Load(Register::A, Value::Packet(size()?, k)),
        (0, 0x40) => Op::Load(Register::A, Value::Indexed(size()?, k)),
        (0, 0x60) => Op::Load(Register::A, Value::Memory(slot()?)),
        (0, 0x80) => Op::Load(Register::A, Value::WireLength),
        (1, 0x00) => Op::Load(Register::X, Value::Constant(k)),
        (1, 0x60) => Op::Load(Register::X, Value::Memory(slot()?)),
        (1, 0x80) => Op::Load(Register::X, Value::WireLength),
        (1, 0xa0) => Op::Load(Register::X, Value::HeaderLength(k)),
        (2, _) => Op::Store(Register::A, slot()?),
        (3, _) => Op::Store(Register::X, slot()?),
        (4, _) => Op::Alu(known(code & 0xf0, NEGATE.max(XOR))?, source),
        (5, _) if code & 0xf0 == 0 => Op::Goto(usize::try_from(k).ok()?),
        (5, _) => Op::Jump(known(code & 0xf0, ANY_SET)?, source, jt, jf),
        (6, _) => Op::Return(if code & 0x18 == 0x10 { Operand::A } else { Operand::Constant(k) }),
        (7, _) => match code & 0xf8 {
            0x00 => Op::AToX,
            0x80 => Op::XToA,
            _ => return None,
        },
        _ => return None,
    })
}

fn known(operation: u16, last: u16) -> Option<u16> {
    (operation <= last).then_some(operation)
}

/// Arithmetic on A; a division by zero rejects the frame.
fn compute(operation: u16, a: u32, by: u32) -> Option<u32> {
    Some(match operation {
        0x00 => a.wrapping_add(by),
        0x10 => a.wrapping_sub(by),
        0x20 => a.wrapping_mul(by),
        0x30 => a.checked_div(by)?,
        0x40 => a | by,
        0x50 => a & by,
        0x60 => a.checked_shl(by).unwrap_or(0),
        0x70 => a.checked_shr(by).unwrap_or(0),
        NEGATE => a.wrapping_neg(),
        0x90 => a.checked_rem(by)?,
        _ => a ^ by,
    })
}

const fn holds(operation: u16, a: u32, with: u32) -> bool {
    match operation {
        0x10 => a == with,
        0x20 => a > with,
        0x30 => a >= with,
        _ => a & with != 0,
    }
}

const NEGATE: u16 = 0x80;
const XOR: u16 = 0xa0;
const ANY_SET: u16 = 0x40;
/// BPF_MEMWORDS.
const SLOTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use pcap::{Capture, Linktype};
    use proptest::prelude::*;

    const EXPRESSIONS: &[&str] = &[
        "tcp port 80 or udp port 53",
        "ip host 10.0.0.1 and not icmp",
        "net 10.0.0.0/8 and tcp[13] & 2 != 0",
        "ip[6:2] & 0x1fff = 0 and udp[4:2] > 30",
        "ip6 and tcp portrange 1000-2000",
        "vlan 7 and ip",
        "less 60 or greater 100",
        "ether host 02:00:00:00:00:01",
        "tcp[(tcp[12] >> 2) & 0x3c:4] = 0x47455420",
        "ip[0] & 0xf * 4 > ip[8] % 7 + 3 - ip[9] / 2",
        "ip and ((ip[2:2] - ((ip[0] & 0xf) << 2)) - ((tcp[12] & 0xf0) >> 2)) != 0",
        "mpls 3",
        "broadcast or multicast",
    ];

    #[test]
    fn a_program_that_loops_is_refused() {
        let compiled = Capture::dead(Linktype(1)).unwrap().compile("ip protochain 6", true).unwrap();
        assert!(Program::new(&compiled).is_err());
    }

    proptest! {
        #[test]
        fn programs_run_as_libpcap_runs_them(
            which in 0..EXPRESSIONS.len(),
            ethertype in prop::sample::select(vec![[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00], [0x88, 0x47]]),
            protocol in prop::sample::select(vec![1_u8, 6, 17, 58]),
            mut bytes in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 7, 10, 53, 80, 0x45, 0x50, 0xff]), 0..120),
            split in any::<prop::sample::Index>(),
        ) {
            if bytes.len() > 24 {
                bytes[12..14].copy_from_slice(&ethertype);
                bytes[14] = if ethertype == [0x86, 0xdd] { 0x60 } else { 0x45 };
                bytes[if ethertype == [0x86, 0xdd] { 20 } else { 23 }] = protocol;
            }
            let compiled = Capture::dead(Linktype(1)).unwrap().compile(EXPRESSIONS[which], true).unwrap();
            let program = Program::new(&compiled).unwrap();
            let (head, rest) = bytes.split_at(split.index(bytes.len() + 1));
            let view = View { head, rest, wire_len: u32::try_from(bytes.len()).unwrap() };
            prop_assert_eq!(program.passes(view), compiled.filter(&bytes), "{}", EXPRESSIONS[which]);
        }
    }
}
