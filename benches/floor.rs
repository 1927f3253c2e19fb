//! What our UDP engine adds to the kernel's own price: its CPU time per query against a thread that does
//! nothing but recvmmsg, set QR, sendmmsg. `cargo bench --bench floor [-- [rounds] [kind]]`; Linux.
//!
//! Without a kind the engine, too, sets QR and no more: what it costs by itself. With one (`"static A"`, `"steered, ECS"`, as in
//! `benches/support`) it gives real answers, from the geography of `STEERDNS_CITY_DB` where that names a file.
//!
//! Each round loads the echo, the engine, and the echo again (the other way round in every second round) from
//! a closed loop on another core, and reads the CPU clocks of their threads. The ratio of the two echoes tells
//! how far the figures of this machine can be trusted.
#![allow(unsafe_code, reason = "the floor is made of the system calls themselves")]
#![allow(clippy::disallowed_methods, reason = "a bench has clocks and sockets of its own")]

#[cfg(target_os = "linux")]
mod support;

fn main() {
    #[cfg(target_os = "linux")]
    linux::run();
    #[cfg(not(target_os = "linux"))]
    println!("floor: the engine that it measures is for Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::zeroed;
    use std::net::{IpAddr, SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::thread::JoinHandleExt;
    use std::ptr::null_mut;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use steerdns::answer::respond;
    use steerdns::answer::tally::Tally;
    use steerdns::answer::worker::{Fact, Now, Reply, Transport, Worker};
    use steerdns::cluster::Family;
    use steerdns::net::answering::{Answering, Respond};
    use steerdns::net::{errand, listen, udp};
    use steerdns::snapshot::{Live, Snapshot};

    use super::support::{self, KINDS, Kind, NETWORKS, World};

    const ROUNDS: usize = 40;
    /// Queries of one slice: some 0.1 s.
    const QUERIES: usize = 100_000;
    /// Queries on their way at a time.
    const WINDOW: usize = 128;
    const BATCH: usize = 32;
    /// As in the engine, so that the floor has no worse a layout.
    const BUFFER: usize = 1344;

    pub(super) fn run() {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let rounds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(ROUNDS);
        let kind = KINDS.into_iter().find(|kind| args.iter().any(|arg| arg == kind.label));
        let world = kind.map(|_| World::new());
        let snapshot = world.as_ref().map(|world| world.snapshot.clone());
        let mut load = Load::new(kind, world.map(|world| world.networks).unwrap_or_default());
        let two_cores = thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2);
        let server_core = two_cores.then_some(1);
        let stop = Arc::new(AtomicBool::new(false));
        let servers = [
            started(&stop, server_core, echo),
            started(&stop, server_core, move |socket, stop| match snapshot {
                Some(snapshot) => engine(socket, stop, snapshot, respond::respond),
                None => engine(socket, stop, Snapshot::default(), respond),
            }),
            started(&stop, server_core, echo),
        ];
        if two_cores {
            pin(0);
        }
        let mut ratios = [Vec::new(), Vec::new()];
        let mut spent = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            let mut ns = [0.0; 3];
            let order = if round % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
            for i in order {
                ns[i] = load.slice(&servers[i]);
            }
            if round == 0 {
                continue; // warms up
            }
            let floor = (ns[0] + ns[2]) / 2.0;
            spent[0].push(floor);
            spent[1].push(ns[1]);
            ratios[0].push(ns[2] / ns[0]);
            ratios[1].push(ns[1] / floor);
        }
        stop.store(true, Ordering::Relaxed);
        for server in servers {
            server.thread.join().expect("a server's thread ends in order");
        }
        println!("{}", kind.map_or("nothing but QR", |kind| kind.label));
        println!("{rounds} rounds of {QUERIES} queries; lower quartile, median, upper quartile");
        println!("  echo     ns per query    {}", quartiles(&mut spent[0], 0));
        println!("  steerdns ns per query    {}", quartiles(&mut spent[1], 0));
        println!("  echo     to itself       {}", quartiles(&mut ratios[0], 3));
        println!("  steerdns to echo         {}", quartiles(&mut ratios[1], 3));
    }

    fn quartiles(values: &mut [f64], digits: usize) -> String {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        format!("{:>8.digits$} {:>8.digits$} {:>8.digits$}", at(0.25), at(0.5), at(0.75))
    }

    struct Served {
        address: SocketAddr,
        thread: JoinHandle<()>,
    }

    fn started(
        stop: &Arc<AtomicBool>,
        core: Option<usize>,
        serve: impl FnOnce(UdpSocket, &Arc<AtomicBool>) + Send + 'static,
    ) -> Served {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = listen::bind(any, 1, 0).expect("loopback has free ports");
        let socket = listeners.udp.into_iter().next().expect("one was asked for");
        let stop = Arc::clone(stop);
        let thread = thread::spawn(move || {
            if let Some(core) = core {
                pin(core);
            }
            serve(socket, &stop);
        });
        Served { address: listeners.address, thread }
    }

    /// Sets QR, and counts it: the least that an engine may be asked to do.
    fn respond(
        _: &Snapshot,
        _: &mut Worker,
        _: Now,
        buf: &mut [u8],
        len: usize,
        _: IpAddr,
        _: Transport,
    ) -> Reply {
        buf[2] |= 0x80;
        let (truncated, slipped, ecs, sender, steered) = (false, false, false, None, None);
        Reply::Done(len, Fact { rcode: 0, qtype: 1, truncated, slipped, ecs, sender, steered })
    }

    fn engine<R: Respond>(socket: UdpSocket, stop: &Arc<AtomicBool>, snapshot: Snapshot, respond: R) {
        let live = Arc::new(Live::new(snapshot));
        let (lane, _errands) = errand::lane(1);
        let answering = Answering { live, respond, lane, panics: Arc::default(), stop: Arc::clone(stop) };
        let tally = Tally::new(Transport::Udp, Family::V4);
        udp::serve(&Arc::new(socket), &answering, Worker::default(), &tally, 1232)
            .expect("the socket is good");
    }

    /// Messages for recvmmsg and sendmmsg, kept in place for their whole life.
    #[repr(C, align(64))]
    struct Messages {
        headers: [libc::mmsghdr; BATCH],
        iovs: [libc::iovec; BATCH],
        peers: [libc::sockaddr_in; BATCH],
        buffers: [[u8; BUFFER]; BATCH],
    }

    impl Messages {
        fn new(named: bool) -> Box<Messages> {
            // SAFETY: all of it is plain data that may be zero.
            let mut it: Box<Messages> = Box::new(unsafe { zeroed() });
            let all = &raw mut *it;
            for i in 0..BATCH {
                // SAFETY: the pointers stay within `it`, which is boxed and does not move.
                unsafe {
                    (*all).iovs[i].iov_base = (&raw mut (*all).buffers[i]).cast();
                    (*all).iovs[i].iov_len = BUFFER;
                    let header = &raw mut (*all).headers[i].msg_hdr;
                    (*header).msg_iov = &raw mut (*all).iovs[i];
                    (*header).msg_iovlen = 1;
                    if named {
                        (*header).msg_name = (&raw mut (*all).peers[i]).cast();
                        (*header).msg_namelen = size_of::<libc::sockaddr_in>() as u32;
                    }
                }
            }
            it
        }

        fn receive(&mut self, socket: &UdpSocket) -> usize {
            let (fd, headers) = (socket.as_raw_fd(), self.headers.as_mut_ptr());
            // SAFETY: the headers lead to what they say, within `self`.
            let n =
                unsafe { libc::recvmmsg(fd, headers, BATCH as u32, libc::MSG_WAITFORONE as _, null_mut()) };
            usize::try_from(n).unwrap_or(0)
        }

        fn send(&mut self, socket: &UdpSocket, n: usize) {
            let mut sent = 0;
            while sent < n {
                let (fd, headers) = (socket.as_raw_fd(), self.headers[sent..n].as_mut_ptr());
                // SAFETY: as in `receive`.
                let done = unsafe { libc::sendmmsg(fd, headers, (n - sent) as u32, 0) };
                sent += usize::try_from(done).unwrap_or(0).max(1);
            }
        }
    }

    /// The floor.
    fn echo(socket: UdpSocket, stop: &Arc<AtomicBool>) {
        let mut messages = Messages::new(true);
        while !stop.load(Ordering::Relaxed) {
            let n = messages.receive(&socket);
            for i in 0..n {
                messages.iovs[i].iov_len = messages.headers[i].msg_len as usize;
                messages.buffers[i][2] |= 0x80;
            }
            messages.send(&socket, n);
            for i in 0..n {
                messages.iovs[i].iov_len = BUFFER;
            }
        }
    }

    /// What servers are asked.
    struct Load {
        query: Vec<u8>,
        subnet_at: Option<usize>,
        networks: Vec<[u8; 3]>,
        next: usize,
    }

    impl Load {
        fn new(kind: Option<Kind>, networks: Vec<[u8; 3]>) -> Load {
            let (query, subnet_at) = support::query(kind.unwrap_or(KINDS[0]));
            Load { query, subnet_at, networks, next: 0 }
        }

        /// Loads a server by a closed loop; its thread's CPU nanoseconds per answer.
        fn slice(&mut self, server: &Served) -> f64 {
            let client = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
            client.connect(server.address).expect("loopback is reachable");
            client.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout that is not zero");
            let (mut queries, mut answers) = (Messages::new(false), Messages::new(false));
            for i in 0..BATCH {
                queries.buffers[i][..self.query.len()].copy_from_slice(&self.query);
                queries.iovs[i].iov_len = self.query.len();
            }
            let begun = cpu_ns(&server.thread);
            let (mut answered, mut under_way) = (0, 0);
            while answered < QUERIES {
                while under_way + BATCH <= WINDOW {
                    if let Some(at) = self.subnet_at {
                        for buffer in &mut queries.buffers {
                            buffer[at..at + 3].copy_from_slice(&self.networks[self.next]);
                            self.next = (self.next + 1) % NETWORKS;
                        }
                    }
                    queries.send(&client, BATCH);
                    under_way += BATCH;
                }
                let n = answers.receive(&client);
                answered += n;
                under_way = if n == 0 { 0 } else { under_way - n }; // nothing comes any more: those are lost
            }
            (cpu_ns(&server.thread) - begun) as f64 / answered as f64
        }
    }

    fn cpu_ns(thread: &JoinHandle<()>) -> u64 {
        let mut clock = 0;
        // SAFETY: the thread has not been joined; both places live until the calls return.
        unsafe {
            let mut time: libc::timespec = zeroed();
            assert_eq!(libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock), 0);
            assert_eq!(libc::clock_gettime(clock, &raw mut time), 0);
            time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
        }
    }

    /// Keeps this thread on one core; where that is not allowed, it goes where it goes.
    fn pin(core: usize) {
        // SAFETY: the set is plain data, and lives until the call returns.
        unsafe {
            let mut set: libc::cpu_set_t = zeroed();
            libc::CPU_SET(core, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
        }
    }
}
