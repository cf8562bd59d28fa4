//! Reading from a socket together with the time at which the kernel received what is read.
//!
//! On Linux the kernel stamps every segment when it takes it from the network or the loopback, without
//! any privilege (`SO_TIMESTAMPNS`, socket(7)). Elsewhere nothing is asked for and no read has a stamp.

use std::io;

use tokio::net::TcpStream;

/// Reads from one socket.
#[derive(Debug)]
pub struct Receiver {
    /// Where the kernel writes the stamp of a read; empty where there are none.
    #[cfg(target_os = "linux")]
    control: Vec<u8>,
}

#[cfg(target_os = "linux")]
impl Receiver {
    /// Has the kernel stamp what the socket receives from now on. One that refuses gives no stamps.
    pub fn of(socket: &TcpStream) -> Self {
        let asked = stamp(socket);
        let room = || nix::cmsg_space!(nix::sys::time::TimeSpec);
        Self { control: asked.map(|()| room()).unwrap_or_default() }
    }

    /// Reads what is there; bytes, and the time of day (nanoseconds) at which the kernel received the
    /// newest segment of them. For use inside [`TcpStream::try_io`].
    pub fn receive(
        &mut self,
        socket: &TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<u64>)> {
        use std::io::IoSliceMut;
        use std::os::fd::AsRawFd as _;

        use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

        let control = (!self.control.is_empty()).then_some(&mut self.control[..]);
        let mut slices = [IoSliceMut::new(buffer)];
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, control, MsgFlags::empty())?;
        let stamp = message.cmsgs().ok().and_then(|mut messages| {
            messages.find_map(|message| match message {
                ControlMessageOwned::ScmTimestampns(time) => Some(time),
                _ => None,
            })
        });
        let nanoseconds = |time: nix::sys::time::TimeSpec| {
            let seconds = u64::try_from(time.tv_sec()).ok()?;
            Some(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?)
        };
        Ok((message.bytes, stamp.and_then(nanoseconds)))
    }
}

#[cfg(target_os = "linux")]
fn stamp(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    Ok(nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::ReceiveTimestampns, &true)?)
}

/// Has the kernel begin to stamp segments: it patches its own code for the first socket that asks, which
/// must not happen in a call. Holds for as long as what is returned.
#[cfg(target_os = "linux")]
#[must_use]
pub fn keep_stamping() -> Option<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").ok()?;
    stamp(&socket).ok()?;
    Some(socket)
}

#[cfg(not(target_os = "linux"))]
impl Receiver {
    /// No stamps are asked for on this system.
    pub fn of(_socket: &TcpStream) -> Self {
        Self {}
    }

    /// Reads what is there; bytes, and no stamp.
    pub fn receive(
        &mut self,
        socket: &TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<u64>)> {
        Ok((socket.try_read(buffer)?, None))
    }
}

/// There is nothing to begin on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn keep_stamping() -> Option<std::net::UdpSocket> {
    None
}
