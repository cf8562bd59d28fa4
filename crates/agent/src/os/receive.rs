//! Reading from a socket together with the time at which the kernel received what is read.
//!
//! On Linux the kernel stamps every segment when it takes it from the network or the loopback, without
//! any privilege (`SO_TIMESTAMPNS`, socket(7)). Elsewhere nothing is asked for and no read has a stamp.

use std::io;

#[cfg(not(target_os = "linux"))]
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
    pub fn of(socket: &impl std::os::fd::AsFd) -> Self {
        let asked = stamp(socket);
        let room = || nix::cmsg_space!(nix::sys::time::TimeSpec);
        Self { control: asked.map(|()| room()).unwrap_or_default() }
    }

    /// Reads what is there; bytes, and the time of day (nanoseconds) at which the kernel received the
    /// newest segment of them. For use inside tokio's `try_io`.
    pub fn receive(
        &mut self,
        socket: &impl std::os::fd::AsRawFd,
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<u64>)> {
        use std::io::IoSliceMut;

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
        let stamp =
            stamp.and_then(|time| formats::clock::nanoseconds(time.tv_sec(), time.tv_nsec()));
        Ok((message.bytes, stamp))
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

/// CPU time of a read with its stamp beyond that of a plain read, nanoseconds, learnt from a connection of
/// this process with itself. `None`: the system gives no stamps, or it cannot be told.
#[cfg(target_os = "linux")]
#[must_use]
pub fn stamp_cost_ns() -> Option<u64> {
    use std::hint::black_box;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    /// Reads of a round, and bytes of each: about a token's line.
    const READS: usize = 32;
    const BYTES: usize = 128;
    /// The quickest round counts: others were held up.
    const ROUNDS: usize = 5;

    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let connect = || {
        let far = TcpStream::connect(listener.local_addr().ok()?).ok()?;
        Some((listener.accept().ok()?.0, far))
    };
    let (mut plain, mut plain_far) = connect()?;
    let (stamped, mut stamped_far) = connect()?;
    let mut receiver = Receiver::of(&stamped);
    let mut buffer = [0; BYTES];
    let mut kept = Vec::with_capacity(READS);
    let mut quickest = [u64::MAX; 2];
    for _ in 0..ROUNDS {
        // All is there before the first read, so that none of them waits.
        plain_far.write_all(&[0; READS * BYTES]).ok()?;
        let began_ns = super::thread_cpu_ns()?;
        for _ in 0..READS {
            black_box(plain.read(&mut buffer).ok()?);
        }
        let plain_ns = super::thread_cpu_ns()?.saturating_sub(began_ns);

        stamped_far.write_all(&[0; READS * BYTES]).ok()?;
        kept.clear();
        let began_ns = super::thread_cpu_ns()?;
        for _ in 0..READS {
            let (bytes, stamp_ns) = receiver.receive(&stamped, &mut buffer).ok()?;
            kept.push((bytes as u64, stamp_ns?));
        }
        let stamped_ns = super::thread_cpu_ns()?.saturating_sub(began_ns);
        black_box(&kept);
        quickest = [quickest[0].min(plain_ns), quickest[1].min(stamped_ns)];
    }
    Some(quickest[1].checked_sub(quickest[0])? / READS as u64)
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

/// There are no stamps on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn stamp_cost_ns() -> Option<u64> {
    None
}
