//! Tests in processes of their own: with less privilege, or in network namespaces with a bad line between.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Names what a test's own child process is to do.
const ROLE: &str = "WIRE_TEST_ROLE";

/// Runs a test of this program in a process of its own, told of its role.
pub fn child(before: &[&str], test: &str, role: &str) -> Option<Child> {
    let program = std::env::current_exe().unwrap();
    let module = module_path!().split_once("::").unwrap().1.replace("namespaces", "live");
    let mut words = before.iter().copied();
    let mut command = Command::new(words.next()?);
    command.args(words).arg(program).arg("--exact").arg(format!("{module}::{test}"));
    command.args(["--nocapture", "--include-ignored"]).env(ROLE, role).stdout(Stdio::piped());
    command.spawn().ok()
}

pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// A bad line: carries packets between two interfaces, loses some, sends some twice, and has some overtaken.
const LINE: &str = r"
import fcntl, heapq, os, random, select, struct, sys, time
def end(name):
    file = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(file, 0x400454ca, struct.pack('16sH', name.encode(), 0x1001))
    return file
ends = [end(name) for name in sys.argv[1:]]
print('ready', flush=True)
random.seed(7)
waiting, count = [], 0
while True:
    rest = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    for file in select.select(ends, [], [], rest)[0]:
        packet = os.read(file, 70000)
        for _ in range(random.choices([0, 1, 2], [2, 96, 2])[0]):
            due = time.monotonic() + random.choice([0.002, 0.002, 0.002, 0.006])
            count += 1
            heapq.heappush(waiting, (due, count, ends[1 - ends.index(file)], packet))
    while waiting and waiting[0][0] <= time.monotonic():
        _, _, file, packet = heapq.heappop(waiting)
        try:
            os.write(file, packet)
        except OSError:
            pass
";

/// Two network namespaces with a bad line between them, as long as this lives.
pub struct Namespaces {
    pub names: [String; 2],
    _line: Ending,
}

impl Namespaces {
    pub fn new() -> Option<Self> {
        let names = ["s", "c"].map(|end| format!("wire{end}{}", std::process::id()));
        let [server, client] = &names;
        let mut line = Command::new("python3");
        line.args(["-c", LINE, server, client]).stdout(Stdio::piped());
        let mut line = line.spawn().ok()?;
        let mut said = String::new();
        BufReader::new(line.stdout.take()?).read_line(&mut said).ok()?;
        let both = Self { names: names.clone(), _line: Ending(line) };
        // The interfaces have the names of their namespaces.
        let each = |name: &str, address: &str| {
            [
                format!("ip netns add {name}"),
                format!("ip link set {name} netns {name}"),
                format!("ip -n {name} address add {address}/24 dev {name}"),
                format!("ip -n {name} link set lo up"),
                format!("ip -n {name} link set {name} up"),
            ]
        };
        let works = |step: String| {
            let mut words = step.split(' ');
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words).status().is_ok_and(|status| status.success())
        };
        let mut steps = each(server, "10.213.7.1").into_iter().chain(each(client, "10.213.7.2"));
        (said == "ready\n" && steps.all(works)).then_some(both)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// A process that ends with its test.
pub struct Ending(pub Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
