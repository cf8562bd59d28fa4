//! The packet socket of Linux (packet(7)): all interfaces, each packet from its IP header on, stamped by
//! the kernel when it came in or went out.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::Unavailable;
use super::filter::program;
use super::packet::Packet;
use super::watch::Watch;

/// Every protocol: packets that leave are shown to nobody who asks for one of them.
const EVERY_PROTOCOL: u16 = 0x0003;
/// The longest IP packet, with room to spare for what segmentation offload puts together.
const LONGEST: usize = 256 * 1024;
/// How long a reader that waits is kept.
const WAIT: Duration = Duration::from_millis(20);
const OUTGOING: u8 = 4;
const LOOPBACK: u16 = 772;

/// A socket that shows packets of the watched connections.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    buffer: Vec<u8>,
    control: Vec<u8>,
    limited: bool,
    dropped: u32,
    unstamped: u64,
}

impl PacketSocket {
    /// Opens it with a buffer of about that many bytes, as far as the system allows.
    pub fn open(watches: &[Watch], buffer_bytes: usize) -> Result<Self, Unavailable> {
        let protocol = Protocol::from(i32::from(EVERY_PROTOCOL.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).map_err(refusal)?;
        let filter: Vec<SockFilter> = program(watches)
            .into_iter()
            .map(|own| SockFilter::new(own.code, own.jump_true, own.jump_false, own.operand))
            .collect();
        let failed = |what: &str, error: io::Error| Unavailable(format!("{what}: {error}"));
        socket
            .attach_filter(&filter)
            .map_err(|error| failed("the kernel does not take the packet filter", error))?;
        // Beyond the system's limit with CAP_NET_ADMIN, up to it without.
        let mut limited = false;
        if setsockopt(&socket, sockopt::RcvBufForce, &buffer_bytes).is_err() {
            socket
                .set_recv_buffer_size(buffer_bytes)
                .map_err(|error| failed("the kernel gives no buffer for packets", error))?;
            limited = socket.recv_buffer_size().is_ok_and(|given| given < buffer_bytes);
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)
            .map_err(|error| failed("the kernel does not stamp packets", error.into()))?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)
            .map_err(|error| failed("the kernel does not count what it drops", error.into()))?;
        socket
            .set_read_timeout(Some(WAIT))
            .map_err(|error| failed("the packet socket cannot be waited for", error))?;
        let control = nix::cmsg_space!(nix::sys::time::TimeSpec, u32);
        Ok(Self { socket, buffer: vec![0; LONGEST], control, limited, dropped: 0, unstamped: 0 })
    }

    /// What the kernel counts against its buffer: bytes of packets and of its own records of them.
    #[must_use]
    pub fn buffer_bytes(&self) -> u64 {
        self.socket.recv_buffer_size().map_or(0, |bytes| bytes as u64)
    }

    /// Whether the system's limit made the buffer smaller than it was to be.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// Packets that found the buffer full, as far as packets after them have told.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        u64::from(self.dropped)
    }

    /// Packets that came without the kernel's stamp, and are of no use.
    #[must_use]
    pub fn unstamped(&self) -> u64 {
        self.unstamped
    }

    /// The next packet; `None`: there is none now, or came none in a while if it is to `wait`.
    pub fn receive(&mut self, wait: bool) -> io::Result<Option<Packet<'_>>> {
        loop {
            let Some((kept, length, stamp_ns, interface)) = self.read(wait)? else {
                return Ok(None);
            };
            // The filter lets none of these through; what came before it was there may be one.
            let Some(interface) = interface else { continue };
            let Some(stamp_ns) = stamp_ns else {
                self.unstamped += 1;
                continue;
            };
            let bytes = &self.buffer[..kept];
            return Ok(Some(Packet { bytes, length, stamp_ns, interface }));
        }
    }

    fn read(&mut self, wait: bool) -> io::Result<Option<Read>> {
        let mut flags = MsgFlags::MSG_TRUNC;
        if !wait {
            flags |= MsgFlags::MSG_DONTWAIT;
        }
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        let socket = self.socket.as_raw_fd();
        let message = match recvmsg::<LinkAddr>(socket, &mut slices, Some(&mut self.control), flags)
        {
            Ok(message) => message,
            // Nothing is there; or an interface went down, while others go on.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut stamp_ns = None;
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => {
                    stamp_ns = formats::clock::nanoseconds(time.tv_sec(), time.tv_nsec());
                }
                ControlMessageOwned::RxqOvfl(dropped) => self.dropped = dropped,
                _ => {}
            }
        }
        let leaves_to_return =
            |from: &LinkAddr| from.pkttype() == OUTGOING && from.hatype() == LOOPBACK;
        let interface = message
            .address
            .filter(|from| !leaves_to_return(from))
            .map(|from| u32::try_from(from.ifindex()).unwrap_or(0));
        let length = message.bytes;
        Ok(Some((length.min(LONGEST), length, stamp_ns, interface)))
    }
}

/// Bytes kept and there were, the stamp, and the interface unless the packet is a copy.
type Read = (usize, usize, Option<u64>, Option<u32>);

/// The name of an interface (`eth0`), or its number where it is gone.
#[must_use]
pub fn interface_name(interface: u32) -> String {
    nix::net::if_::if_indextoname(interface).map_or_else(
        |_| format!("interface {interface}"),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Why there is no socket, and what would give one.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn refusal(error: io::Error) -> Unavailable {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return Unavailable(format!("this system has no packet sockets: {error}"));
    }
    let program = std::env::current_exe();
    let program =
        program.map_or_else(|_| "PATH-OF-RUNNER".to_owned(), |path| path.display().to_string());
    Unavailable(format!(
        "capturing packets needs a privilege; as root, \
         `setcap cap_net_raw,cap_net_admin+ep {program}` gives it to this program"
    ))
}
