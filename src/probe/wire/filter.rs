//! The kernel's part of the choice: a program of the classic packet filter that lets through what TCP
//! connections of the run's endpoints say, and nothing else.
//!
//! Bare acknowledgements stay outside: half of all packets, and none of them tells anything here. So does
//! one of the two copies that the loopback shows of each packet: the one that leaves; what counts is when
//! a packet arrives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::watch::Watch;

/// One instruction, in the kernel's terms: operation, jumps if it holds and if not, operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub code: u16,
    pub jump_true: u8,
    pub jump_false: u8,
    pub operand: u32,
}

/// Most instructions that the kernel takes.
const MOST: usize = 4096;
/// Bytes of a packet that are wanted: all.
const WHOLE: u32 = 0x0004_0000;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_BYTE_INDEXED: u16 = 0x50;
const LOAD_LENGTH: u16 = 0x80;
const INDEX: u16 = 0x01;
const INDEX_OF_IPV4_PAYLOAD: u16 = 0xb1;
const INDEX_FROM_VALUE: u16 = 0x07;
const ADD_INDEX: u16 = 0x0c;
const AND: u16 = 0x54;
const SHIFT_RIGHT: u16 = 0x74;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_THAN_INDEX: u16 = 0x2d;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// What the kernel knows of a packet besides its bytes stands at addresses from here on.
const ASIDE: u32 = 0xffff_f000;
const PROTOCOL: u32 = ASIDE;
const PACKET_TYPE: u32 = ASIDE + 4;
const HARDWARE_TYPE: u32 = ASIDE + 28;
const OUTGOING: u32 = 4;
const LOOPBACK: u32 = 772;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const TCP: u32 = 6;
const IPV6_HEADER: u32 = 40;
const FIN_SYN_RST: u32 = 0b111;

/// The program for these servers. Where it would be too long, it lets their ports through at any address.
pub(super) fn program(watches: &[Watch]) -> Vec<Instruction> {
    let exact = assemble(watches);
    if exact.len() <= MOST {
        return exact;
    }
    let mut ports: Vec<u16> = watches.iter().map(|watch| watch.port).collect();
    ports.sort_unstable();
    ports.dedup();
    let anywhere: Vec<Watch> =
        ports.into_iter().map(|port| Watch { address: None, port }).collect();
    assemble(&anywhere)
}

/// A jump to where the rest of the packet is looked at, whose distance is not known yet, or anything else.
enum Step {
    Do(Instruction),
    Accept,
}

const fn step(code: u16, jump_true: u8, jump_false: u8, operand: u32) -> Step {
    Step::Do(Instruction { code, jump_true, jump_false, operand })
}

fn assemble(watches: &[Watch]) -> Vec<Instruction> {
    let (ipv4, ipv6) = (ipv4(watches), ipv6(watches));
    let to_ipv6 = u32::try_from(ipv4.len()).unwrap_or(u32::MAX);
    let mut steps = vec![
        step(LOAD_WORD, 0, 0, PACKET_TYPE),
        step(JUMP_EQUAL, 0, 3, OUTGOING),
        step(LOAD_WORD, 0, 0, HARDWARE_TYPE),
        step(JUMP_EQUAL, 0, 1, LOOPBACK),
        step(RETURN, 0, 0, 0),
        step(LOAD_WORD, 0, 0, PROTOCOL),
        step(JUMP_EQUAL, 3, 0, IPV4),
        step(JUMP_EQUAL, 1, 0, IPV6),
        step(RETURN, 0, 0, 0),
        step(JUMP, 0, 0, to_ipv6),
    ];
    steps.extend(ipv4.into_iter().chain(ipv6));
    let tail = steps.len();
    let mut program: Vec<Instruction> = steps
        .into_iter()
        .enumerate()
        .map(|(at, step)| match step {
            Step::Do(instruction) => instruction,
            Step::Accept => Instruction {
                code: JUMP,
                jump_true: 0,
                jump_false: 0,
                operand: u32::try_from(tail - at - 1).unwrap_or(u32::MAX),
            },
        })
        .collect();
    program.extend(says_something());
    program
}

fn ipv4(watches: &[Watch]) -> Vec<Step> {
    let mut steps = vec![
        step(LOAD_BYTE, 0, 0, 9),
        step(JUMP_EQUAL, 1, 0, TCP),
        step(RETURN, 0, 0, 0),
        // Ports stand in the first fragment only.
        step(LOAD_HALF, 0, 0, 6),
        step(JUMP_ANY_BIT, 0, 1, 0x1fff),
        step(RETURN, 0, 0, 0),
        step(INDEX_OF_IPV4_PAYLOAD, 0, 0, 0),
    ];
    let words = |address| match address {
        IpAddr::V4(address) => Some(vec![Ipv4Addr::to_bits(address)]),
        IpAddr::V6(_) => None,
    };
    steps.extend(ends(watches, words, 12, 16));
    steps
}

fn ipv6(watches: &[Watch]) -> Vec<Step> {
    let mut steps = vec![
        step(LOAD_BYTE, 0, 0, 6),
        step(JUMP_EQUAL, 1, 0, TCP),
        step(RETURN, 0, 0, 0),
        step(INDEX, 0, 0, IPV6_HEADER),
    ];
    let words = |address| match address {
        IpAddr::V6(address) => Some(words(address)),
        IpAddr::V4(_) => None,
    };
    steps.extend(ends(watches, words, 8, 24));
    steps
}

/// Accepts packets from or to a watch, by the words of its address in this kind of IP header, if it can
/// stand there, and by its port; drops the others.
fn ends(
    watches: &[Watch],
    words: impl Fn(IpAddr) -> Option<Vec<u32>>,
    source_at: u32,
    destination_at: u32,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for watch in watches {
        let address = watch.address.map(|address| address.to_canonical());
        let Some(words) = address.map_or(Some(Vec::new()), &words) else { continue };
        steps.extend(end(&words, source_at, 0, watch.port));
        steps.extend(end(&words, destination_at, 2, watch.port));
    }
    steps.push(step(RETURN, 0, 0, 0));
    steps
}

fn words(address: Ipv6Addr) -> Vec<u32> {
    let word = |pair: &[u16]| u32::from(pair[0]) << 16 | u32::from(pair[1]);
    address.segments().chunks(2).map(word).collect()
}

/// Accepts packets with this address at `at` and this port, `port_at` bytes into the TCP header.
fn end(words: &[u32], at: u32, port_at: u32, port: u16) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut left = words.len();
    for (offset, word) in (at..).step_by(4).zip(words) {
        left -= 1;
        steps.push(step(LOAD_WORD, 0, 0, offset));
        // Over the words that are left, and the three steps for the port.
        let over = u8::try_from(2 * left + 3).unwrap_or(u8::MAX);
        steps.push(step(JUMP_EQUAL, 0, over, *word));
    }
    steps.push(step(LOAD_HALF_INDEXED, 0, 0, port_at));
    steps.push(step(JUMP_EQUAL, 0, 1, u32::from(port)));
    steps.push(Step::Accept);
    steps
}

/// Lets through what begins or ends a connection, and what is longer than its headers.
fn says_something() -> [Instruction; 11] {
    let step =
        |code, jump_true, jump_false, operand| Instruction { code, jump_true, jump_false, operand };
    [
        step(LOAD_BYTE_INDEXED, 0, 0, 13),
        step(JUMP_ANY_BIT, 7, 0, FIN_SYN_RST),
        step(LOAD_BYTE_INDEXED, 0, 0, 12),
        step(SHIFT_RIGHT, 0, 0, 2),
        step(AND, 0, 0, 0x3c),
        step(ADD_INDEX, 0, 0, 0),
        step(INDEX_FROM_VALUE, 0, 0, 0),
        step(LOAD_LENGTH, 0, 0, 0),
        step(JUMP_GREATER_THAN_INDEX, 0, 1, 0),
        step(RETURN, 0, 0, WHOLE),
        step(RETURN, 0, 0, 0),
    ]
}
