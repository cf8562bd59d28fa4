//! Reading together with the time at which the kernel had received what is read.
//!
//! Where many requests come at once this server reads some of them late: its threads wait for a core. The
//! kernel's stamps (`SO_TIMESTAMPNS`, socket(7)) tell when a request was there, so that no client is
//! blamed for that. Linux only; elsewhere no read has a stamp.

#[cfg(target_os = "linux")]
pub use linux::{read, stamp};
#[cfg(not(target_os = "linux"))]
pub use other::{read, stamp};

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSliceMut};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;

    use formats::clock;
    use nix::sys::socket::sockopt::ReceiveTimestampns;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
    use nix::sys::time::TimeSpec;

    /// Has the kernel stamp what the connections of a listener receive, from their first segment on. One
    /// that refuses gives no stamps.
    pub fn stamp(listener: &TcpListener) {
        let _ = setsockopt(listener, ReceiveTimestampns, &true);
    }

    /// Bytes read, and when the kernel had received the newest segment of them, monotonic nanoseconds.
    pub fn read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(buffer)];
        let message = loop {
            let socket = stream.as_raw_fd();
            match recvmsg::<()>(socket, &mut slices, Some(&mut control), MsgFlags::empty()) {
                Err(nix::errno::Errno::EINTR) => {}
                message => break message?,
            }
        };
        let stamp = message.cmsgs().ok().and_then(|mut messages| {
            messages.find_map(|message| match message {
                ControlMessageOwned::ScmTimestampns(time) => Some(time),
                _ => None,
            })
        });
        Ok((message.bytes, stamp.and_then(on_the_monotonic_clock)))
    }

    /// The kernel stamps with the time of day.
    fn on_the_monotonic_clock(stamp: TimeSpec) -> Option<u64> {
        let stamp_ns = clock::nanoseconds(stamp.tv_sec(), stamp.tv_nsec())?;
        let now = clock::pair();
        now.monotonic.checked_sub(now.day.checked_sub(stamp_ns)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::io::{self, Read as _};
    use std::net::{TcpListener, TcpStream};

    /// There are no stamps to ask for.
    pub fn stamp(_listener: &TcpListener) {}

    /// Bytes read, and no stamp.
    pub fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
        Ok((stream.read(buffer)?, None))
    }
}
