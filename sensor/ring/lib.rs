//! Packet sockets shared by several workers: packet(7), PACKET_FANOUT; and which interface is which. The only unsafe
//! code of the sensor, because neither std nor rustix, nix or socket2 knows this option.
//!
//! A group deals packets by a hash of addresses and ports that is the same in both directions, so a flow's packets all
//! come to one socket. Fragments are dealt by addresses alone and may come to another one than their flow; who merges
//! the sockets by time does not mind. No other flag is used: rolling over to a neighbour when a ring is full would
//! split flows, and joining fragments in the kernel would change what was on the wire.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Makes a group with `socket` as its first member; its number, for the others. The kernel chooses one that nobody has.
///
/// # Errors
///
/// What the system says: no packet socket, or one that is bound to nothing.
pub fn found(socket: BorrowedFd<'_>) -> io::Result<u16> {
    set(socket, libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_UNIQUEID, 0)?;
    // The low 16 bits are the group's number, the high ones how it deals.
    Ok((get(socket)? & 0xffff) as u16)
}

/// Makes `socket` a further member of `group`.
///
/// # Errors
///
/// What the system says; also when the group is of another interface.
pub fn join(socket: BorrowedFd<'_>, group: u16) -> io::Result<()> {
    set(socket, libc::PACKET_FANOUT_HASH, group)
}

/// The number that the kernel gave an interface; no other one ever gets it.
///
/// # Errors
///
/// There is no interface of this name.
pub fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the name ends with NUL and lives until the call returns; the kernel only reads it.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Whether the interface of this number is still there, whatever its name is now.
#[must_use]
pub fn interface_exists(index: u32) -> bool {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that the call may write, and lives until it returns.
    !unsafe { libc::if_indextoname(index, name.as_mut_ptr()) }.is_null()
}

fn set(socket: BorrowedFd<'_>, how: libc::c_uint, group: u16) -> io::Result<()> {
    let value: libc::c_uint = how << 16 | libc::c_uint::from(group);
    // SAFETY: the descriptor is open as long as it is borrowed; the kernel reads four bytes from a local variable.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw const value).cast(),
            size_of::<libc::c_uint>() as libc::socklen_t,
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get(socket: BorrowedFd<'_>) -> io::Result<libc::c_uint> {
    let mut value: libc::c_uint = 0;
    let mut len = size_of::<libc::c_uint>() as libc::socklen_t;
    // SAFETY: the descriptor is open as long as it is borrowed; the kernel writes at most `len` bytes, and both
    // variables live until the call returns.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    if answer == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_socket_that_is_no_packet_socket_is_refused() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(found(socket.as_fd()).is_err());
        assert!(join(socket.as_fd(), 1).is_err());
    }

    #[test]
    fn interfaces_are_known_by_number() {
        let loopback = interface_index("lo").unwrap();
        assert!(interface_exists(loopback) && !interface_exists(u32::MAX));
        assert!(interface_index("nosuchif0").is_err() && interface_index("l\0o").is_err());
    }
}
