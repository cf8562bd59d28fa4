//! What it costs to learn with each read when the kernel received its bytes (Linux).
//!
//! `cargo bench --bench stamps`: CPU time per read of a socket on the loopback, by `read`, by `recvmsg` and
//! by `recvmsg` with the stamp, and per send, in which the loopback receives and stamps the segment. Rounds
//! of each kind take turns; the median round counts.

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this system does not stamp segments");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{IoSliceMut, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{MsgFlags, recvmsg, setsockopt, sockopt};
    use rustix::time::{ClockId, clock_gettime};

    /// Of about the size of one token's line.
    const BYTES: usize = 120;
    /// Segments of a round: as many as wait in the socket's buffer.
    const SEGMENTS: usize = 200;
    const ROUNDS: usize = 101;

    pub fn main() {
        let mut figures: [Vec<(f64, f64)>; 3] = Default::default();
        let mut plain = Pair::new(false);
        // Without any socket that asks for stamps the kernel makes none.
        let unstamped: Vec<f64> = (0..ROUNDS).map(|_| plain.round(Pair::read).0).collect();
        let mut stamped = Pair::new(true);
        for _ in 0..ROUNDS {
            figures[0].push(plain.round(Pair::read));
            figures[1].push(plain.round(Pair::receive));
            figures[2].push(stamped.round(Pair::receive));
        }
        println!("CPU time, ns         per send   per read");
        println!("no stamps anywhere   {:8.0}", median(unstamped));
        for (name, rounds) in ["read", "recvmsg", "recvmsg with stamp"].iter().zip(figures) {
            let (sends, reads): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
            println!("{name:20} {:8.0}   {:8.0}", median(sends), median(reads));
        }
    }

    /// Both ends of a connection.
    struct Pair {
        near: TcpStream,
        far: TcpStream,
        control: Vec<u8>,
    }

    impl Pair {
        fn new(stamps: bool) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let far = TcpStream::connect(listener.local_addr().expect("its address"));
            let (near, _) = listener.accept().expect("a connection");
            let far = far.expect("a connection");
            far.set_nodelay(true).expect("its option");
            if stamps {
                setsockopt(&near, sockopt::ReceiveTimestampns, &true).expect("stamps");
            }
            let room = nix::cmsg_space!(nix::sys::time::TimeSpec);
            Self { near, far, control: if stamps { room } else { Vec::new() } }
        }

        fn read(&mut self, buffer: &mut [u8]) {
            self.near.read_exact(buffer).expect("bytes");
        }

        fn receive(&mut self, buffer: &mut [u8]) {
            let stamps = !self.control.is_empty();
            let control = stamps.then_some(&mut self.control[..]);
            let mut slices = [IoSliceMut::new(buffer)];
            let socket = self.near.as_raw_fd();
            let message = recvmsg::<()>(socket, &mut slices, control, MsgFlags::empty());
            let message = message.expect("bytes");
            assert_eq!(message.bytes, BYTES);
            let told = message.cmsgs().expect("control messages").count();
            assert_eq!(told, usize::from(stamps));
        }

        /// CPU time per send and per read, nanoseconds.
        fn round(&mut self, read: impl Fn(&mut Self, &mut [u8])) -> (f64, f64) {
            let mut buffer = [0; BYTES];
            let before = cpu_ns();
            for _ in 0..SEGMENTS {
                self.far.write_all(&buffer).expect("it takes them");
            }
            let between = cpu_ns();
            for _ in 0..SEGMENTS {
                read(self, &mut buffer);
            }
            let each = |ns: f64| ns / SEGMENTS as f64;
            (each(between - before), each(cpu_ns() - between))
        }
    }

    fn cpu_ns() -> f64 {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
    }

    fn median(mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }
}
