//! SSH: identification strings (RFC 4253 §4.2) and KEXINIT (§7.1); the rest is encrypted.

use super::net::{Host, Nanos, Wire};
use super::random::Random;
use super::tcp::{Side, Tcp};

/// What a client offers, in its order.
const CLIENT: [&str; 4] = [
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-sha256,ext-info-c",
    "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256",
    "chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com",
    "umac-64-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-256",
];

/// A session of `exchanges` keystrokes and their echoes.
pub(crate) fn session(wire: &mut Wire, at: Nanos, client: &Host, server: &Host, exchanges: usize) -> Nanos {
    let mut tcp = Tcp::new(wire, at, client, (server, 22));
    tcp.open().resp(b"SSH-2.0-OpenSSH_9.9p1 Debian-3\r\n").orig(b"SSH-2.0-OpenSSH_for_Windows_9.5\r\n");
    let hello = kexinit(&mut tcp.wire.random);
    tcp.orig(&hello);
    let hello = kexinit(&mut tcp.wire.random);
    tcp.resp(&hello);
    // KEX_ECDH_INIT and its REPLY with NEWKEYS, in clear packets (RFC 5656 §4).
    let mine = tcp.wire.random.bytes(32);
    tcp.orig(&packet(30, &string(&mine)));
    let random = &mut tcp.wire.random;
    let key = [string(b"ssh-ed25519"), string(&random.bytes(32))].concat();
    let signature = [string(b"ssh-ed25519"), string(&random.bytes(64))].concat();
    let reply = [string(&key), string(&random.bytes(32)), string(&signature)].concat();
    tcp.resp(&[packet(31, &reply), packet(21, &[])].concat());
    tcp.orig(&packet(21, &[]));
    for n in 0..exchanges {
        let (up, down) = (tcp.wire.random.bytes(36), tcp.wire.random.bytes(36 + 16 * (n % 5)));
        tcp.orig(&up).resp(&down);
        let pause = tcp.wire.random.between(80, 900);
        tcp.wait(pause * 1_000_000);
    }
    tcp.close(Side::Orig)
}

fn kexinit(random: &mut Random) -> Vec<u8> {
    let lists = [CLIENT[0], CLIENT[1], CLIENT[2], CLIENT[2], CLIENT[3], CLIENT[3], "none", "none", "", ""];
    let mut body = random.bytes(16);
    body.extend(lists.iter().flat_map(|l| string(l.as_bytes())));
    body.extend_from_slice(&[0; 5]); // No guess follows; reserved.
    packet(20, &body)
}

/// A binary packet before encryption (RFC 4253 §6): length, padding, payload in multiples of eight.
fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let padding = 8 - (5 + 1 + body.len()) % 8;
    let padding = if padding < 4 { padding + 8 } else { padding };
    let length = (1 + 1 + body.len() + padding) as u32;
    [&length.to_be_bytes()[..], &[padding as u8, kind], body, &vec![0; padding]].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}
