#!/usr/bin/env python3
"""Side-by-side benchmark of authoritative (Geo)DNS servers on loopback.

  ./run.sh --workload w1 --rounds 3
  ./run.sh --workload w1,w2,w3 --servers echo,knot,gdnsd,steerdns --mix m1,m2

Every server: one worker, pinned to --server-core; the load generator on --load-core.
Rounds are interleaved (A B C A B C). See README.md for mixes and workloads.
"""
import argparse, csv, ipaddress, json, os, random, re, shlex, shutil, signal, socket, statistics, struct, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from gen import configs, dnsmsg, policy as P  # noqa: E402

Z = P.ZONE
# What src/*.c are built with besides.
TOOLS = {"pbload": [], "pbecho": [], "pbnodes": [], "pbfloors": ["-luring"] if os.path.exists("/usr/include/liburing.h") else []}
MIXES = {
    "w1": ["m1", "m2", "m3", "m4"],
    "w2": ["m2"],
    "w3": ["m3"],
}
M1_SRC = "127.10.0.1"      # CA: 2 addresses, as many as the default answer that the static servers give
MIX_TEXT = {
    "m1": "one geo name, no ECS (source address 127.10.0.1 = CA)",
    "m2": "geo names, 100k random real /24 ECS",
    "m3": "static names: 50% A, 20% AAAA, 10% TXT, 20% NXDOMAIN",
    "m4": "as m3 over TCP, 8 connections, pipelined",
}


def tree(pid):
    """pid and its descendants."""
    kids = {}
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                with open("/proc/%s/stat" % p) as f:
                    kids.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(p))
            except OSError:
                pass
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out


def cpu_ns(pids):
    """(CPU ns, run-queue wait ns, utime ticks, stime ticks, time slices). CPU ns is the process CPU clock,
    which also counts threads that have ended (pdns runs one thread per TCP connection)."""
    run = wait = ut = st = sl = 0
    for p in pids:
        try:
            run += time.clock_gettime_ns((~p << 3) | 2)     # CLOCK of clock_getcpuclockid(p)
            for t in os.listdir("/proc/%d/task" % p):
                with open("/proc/%d/task/%s/schedstat" % (p, t)) as f:
                    a = f.read().split()
                wait += int(a[1]); sl += int(a[2])
            with open("/proc/%d/stat" % p) as f:
                a = f.read().rsplit(")", 1)[1].split()
            ut += int(a[11]); st += int(a[12])
        except OSError:
            pass
    return run, wait, ut, st, sl


def core_stat(core):
    with open("/proc/stat") as f:
        for l in f:
            if l.startswith("cpu%d " % core):
                return [int(x) for x in l.split()[1:9]]   # user nice system idle iowait irq softirq steal
    return [0] * 8


def mem(pids):
    r = {"Rss": 0, "Pss": 0, "Pss_Anon": 0}
    for p in pids:
        try:
            with open("/proc/%d/smaps_rollup" % p) as f:
                for l in f:
                    k = l.split(":")[0]
                    if k in r:
                        r[k] += int(l.split()[1])
        except OSError:
            pass
    return {k: v / 1024 for k, v in r.items()}


class Server:
    """What can be run. `geo` is None for an echo, whose answers are not looked at; `cores`: other ones than --server-core."""
    def __init__(self, name, gen, mixes, note, geo, version, cores=None):
        self.name, self.gen, self.mixes, self.note, self.geo, self.version, self.cores = name, gen, mixes, note, geo, version, cores


def servers(a):
    echo = lambda b: (lambda d, wl, port, mmdb, **k: [a.bin + "/pbecho", "-p", str(port), "-b", str(b)])
    hk = lambda d, wl, port, mmdb, **k: configs.hickory(d, wl, port, mmdb, binary=a.hickory)
    geo = {"w1": ["m1", "m2", "m3", "m4"], "w2": ["m2"], "w3": ["m3"]}
    L = [
        Server("echo", echo(32), geo, "floor: recvmmsg/sendmmsg echo", None, "pbecho"),
        Server("echo1", echo(1), geo, "floor: recvfrom/sendto echo", None, "pbecho"),
        Server("steerdns", lambda d, wl, port, mmdb, **k: configs.steerdns(d, wl, port, mmdb, binary=a.steerdns), geo,
               "this server", True, shlex.quote(a.steerdns) + " --version"),
        Server("gdnsd", configs.gdnsd, geo, "plugin_geoip", True, "gdnsd version 2>&1 | head -1"),
        Server("knot", configs.knot, geo, "mod-geoip, geodb mode", True, "knotd --version"),
        Server("pdns", configs.pdns, geo, "geoip backend, default caches", True, "pdns_server --version 2>&1 | head -1 | cut -d\" \" -f4-7"),
        Server("pdns-nc", configs.pdns_nocache, {"w1": ["m1", "m2", "m3"], "w2": ["m2"]}, "geoip backend, caches off", True, "pdns_server --version 2>&1 | head -1 | cut -d\" \" -f4-7"),
        Server("named", configs.named, {"w1": ["m1", "m3", "m4"]}, "GeoIP2 views; no ECS in 9.18", True, "named -v"),
        Server("named-st", configs.named_static, {"w1": ["m1", "m3", "m4"], "w3": ["m3"]}, "static zone, no views", False, "named -v"),
        Server("knot-st", configs.knot_static, geo, "static zone, no geo", False, "knotd --version"),
        Server("nsd", configs.nsd, geo, "static zone, no geo", False, "nsd -v 2>&1 | head -1"),
        Server("hickory", hk, geo, "static zone, no geo", False, shlex.quote(a.hickory) + " --version"),
    ]
    return L


# ---------------------------------------------------------------- packets
def subnets(mmdb, n, seed=1):
    """n distinct /24 networks that have a country, drawn evenly from IPv4 space; cached next to the database."""
    import maxminddb
    rnd = random.Random(seed)
    seen, out = set(), []
    with maxminddb.open_database(mmdb) as db:
        while len(out) < n:
            x = rnd.randrange(1 << 24, 224 << 24) & 0xffffff00
            if x >> 24 in (10, 127) or x in seen:
                continue
            seen.add(x)
            ip = ipaddress.ip_address(x)
            r = db.get(ip)
            if r and r.get("country"):
                out.append(("%s/24" % ip, r["country"]["iso_code"]))
    return out


def packets(a, wl, mix):
    f = "%s/packets-%s-%s.bin" % (a.work, wl, mix)
    txt = f[:-4] + ".txt"
    if os.path.exists(f):
        return f, txt
    rnd = random.Random(7)
    q = []
    if mix == "m1":
        q = [("live." + Z, "A", None)]
    elif mix == "m2":
        names = [n for n, _ in P.dynamic_names(wl)]
        q = [(rnd.choice(names) + "." + Z, "A", s) for s, _ in a.subnets]
    else:
        recs = P.static_names(wl)
        by = {t: [r[0] for r in recs if r[1] == t] for t in ("A", "AAAA", "TXT")}
        for i in range(100000):
            x = rnd.random()
            if x < .2:
                q.append(("nx%08x.%s" % (rnd.getrandbits(32), Z), "A", None))
            else:
                t = "A" if x < .7 else "AAAA" if x < .9 else "TXT"
                q.append((rnd.choice(by[t]) + "." + Z, t, None))
    with open(f + ".tmp", "wb") as o:
        for n, t, e in q:
            m = dnsmsg.query(n, t, e)
            o.write(struct.pack("<H", len(m)) + m)
    with open(txt, "w") as o:
        o.writelines("%s %s\n" % (n, t) for n, t, _ in q)
    os.rename(f + ".tmp", f)
    return f, txt


# ---------------------------------------------------------------- running
def free_port(start):
    """First port at or after start free for both; start is below the ephemeral range, so that no client takes it later."""
    p = start
    while True:
        ok = True
        for k in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, k) as s:
                try:
                    s.bind(("127.0.0.1", p))
                except OSError:
                    ok = False
        if ok:
            return p
        p += 1


class Running:
    def __init__(self, a, s, wl, cmd, port, d):
        self.s, self.port = s, port
        self.log = open(d + ".log", "ab")
        t0 = time.monotonic()
        self.p = subprocess.Popen(["taskset", "-c", str(s.cores or a.server_core)] + cmd, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=a.work)
        m = dnsmsg.query("live." + Z, "A", None, qid=1)
        self.start_s = None
        while time.monotonic() - t0 < a.start_timeout:
            if self.p.poll() is not None:
                raise RuntimeError("%s exited with %d while starting, see %s.log" % (s.name, self.p.returncode, d))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as k:
                k.settimeout(0.02)
                try:
                    k.connect(("127.0.0.1", port))
                    k.send(m)
                    r = k.recv(4096)
                    if s.geo is None or (r[3] & 15 == 0 and r[7] > 0):
                        self.start_s = time.monotonic() - t0
                        break
                except OSError:
                    time.sleep(0.002)
        if self.start_s is None:
            self.stop()
            raise RuntimeError("%s gave no answer in %d s" % (s.name, a.start_timeout))
        for _ in range(100 if any("m4" in m for m in s.mixes.values()) else 0):      # TCP too
            try:
                socket.create_connection(("127.0.0.1", port), 0.5).close()
                break
            except OSError:
                time.sleep(0.02)
        time.sleep(0.3)
        self.pids = tree(self.p.pid)

    def stop(self):
        pids = tree(self.p.pid)
        self.p.terminate()
        try:
            self.p.wait(10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait(10)
        for p in pids[1:]:                       # children that outlived their parent
            try:
                with open("/proc/%d/cmdline" % p):
                    pass
                os.kill(p, signal.SIGKILL)
            except OSError:
                pass
        self.log.close()


def verify(a, s, run, wl):
    """Same answers as the policy says, before anything is timed. -> (text, [mismatches])"""
    bad, notes = [], set()
    rnd = random.Random(3)

    def cmp(what, r, want, ttl):
        if r is None:
            bad.append("%s: no answer" % what)
            return
        got = sorted(x[2] for x in r["an"])
        if got != sorted(want) or r["rcode"] != 0 or not r["aa"] or any(x[1] != ttl for x in r["an"]):
            bad.append("%s: got %s rcode %d aa %d ttl %s, want %s" % (what, got, r["rcode"], r["aa"], [x[1] for x in r["an"]], want))
        notes.add("ns%d/ar%d" % (r["ns"], r["ar"]))
    dyn = P.dynamic_names(wl)
    n = 0
    if s.geo is not None:
        if "m2" in s.mixes.get(wl, []):
            for sub, cc in rnd.sample(a.subnets, 200):
                nm, pool = rnd.choice(dyn)
                want = P.addrs(pool, P.cluster_for_country(cc) if s.geo else P.DEFAULT)
                cmp("%s ecs %s (%s)" % (nm, sub, cc), dnsmsg.ask(run.port, nm + "." + Z, "A", sub), want, P.TTL_DYN)
                n += 1
        if "m1" in s.mixes.get(wl, []):
            for o, cc in list(P.LOOPBACK_COUNTRY.items()) + [(0, "")]:
                nm, pool = dyn[0]
                want = P.addrs(pool, P.cluster_for_country(cc) if s.geo else P.DEFAULT)
                cmp("%s from 127.%d.0.1 (%s)" % (nm, o, cc), dnsmsg.ask(run.port, nm + "." + Z, "A", src="127.%d.0.1" % o), want, P.TTL_DYN)
                n += 1
        for nm, t, v in rnd.sample(P.static_names(wl), 30):
            for tcp in (False, True):
                r = dnsmsg.ask(run.port, nm + "." + Z, t, tcp=tcp)
                n += 1
                if r and t == "TXT":
                    v2 = v.strip('"').encode()
                    cmp(nm + " TXT", r, [(bytes([len(v2)]) + v2).hex()], P.TTL_STATIC)
                else:
                    cmp("%s %s" % (nm, t), r, [v], P.TTL_STATIC)
        r = dnsmsg.ask(run.port, "nx-check." + Z, "A")
        n += 1
        if not r or r["rcode"] != 3 or r["ns"] != 1:
            bad.append("NXDOMAIN with SOA expected: %s" % r)
    return "%d checks, shapes %s" % (n, ",".join(sorted(notes))), bad


def loader(a, wl, mix, port, rate, secs, warm, more=()):
    """How pbload is called; `more` overrules what stands here."""
    f, _ = packets(a, wl, mix)
    c = ["taskset", "-c", a.load_cores, a.bin + "/pbload", "-d", "127.0.0.1", "-p", str(port), "-s", M1_SRC, "-f", f,
         "-c", "8", "-w", str(a.window), "-l", str(secs), "-W", str(warm), "-r", str(rate)]
    return c + (["-t"] if mix == "m4" else []) + [str(x) for x in more]


def load(a, wl, mix, port, rate, secs, warm, more=()):
    c = loader(a, wl, mix, port, rate, secs, warm, more)
    r = subprocess.run(c, capture_output=True, text=True, timeout=secs + warm + 30)
    if r.returncode:
        raise RuntimeError("pbload: " + r.stderr)
    return json.loads(r.stdout)


def measure(a, run, wl, mix, rate, secs, more=()):
    warm = 0.3 if rate == 0 else 0.2
    load(a, wl, mix, run.port, rate, warm, 0, more)   # warm-up, not counted
    pids = tree(run.p.pid)
    c0, k0, l0 = cpu_ns(pids), core_stat(a.server_core), core_stat(a.load_core)
    j = load(a, wl, mix, run.port, rate, secs, 0, more)
    c1, k1, l1 = cpu_ns(pids), core_stat(a.server_core), core_stat(a.load_core)
    d = [y - x for x, y in zip(c0, c1)]
    k = [y - x for x, y in zip(k0, k1)]
    l = [y - x for x, y in zip(l0, l1)]
    n = max(1, j["answered"])
    tick = (d[2] + d[3]) or 1
    j.update(server_cpu_s=d[0] / 1e9, us_per_q=d[0] / 1e3 / n, user_share=d[2] / tick, util=d[0] / 1e9 / j["secs"],
             wait_share=d[1] / 1e9 / j["secs"], switches_per_q=d[4] / n, an_per_q=j["ancount"] / n, nx_share=j["rcode"]["3"] / n,
             other_fail=(j["rcode"]["1"] + j["rcode"]["2"] + j["rcode"]["5"]),
             steal=(k[7] + l[7]) / max(1, sum(k) + sum(l)), load1=os.getloadavg()[0])
    return j


def dnsperf(a, wl, mix, run, secs):
    """Second generator, as a cross-check of m3 (UDP) and m4 (TCP); it cannot vary ECS per query."""
    _, txt = packets(a, wl, mix)
    c = ["taskset", "-c", str(a.load_core), "dnsperf", "-s", "127.0.0.1", "-p", str(run.port), "-d", txt, "-e",
         "-m", "tcp" if mix == "m4" else "udp", "-c", "8", "-T", "1", "-q", "128", "-l", str(int(secs)), "-t", "2"]
    pids = tree(run.p.pid)
    c0 = cpu_ns(pids)
    r = subprocess.run(c, capture_output=True, text=True, timeout=secs + 30)
    c1 = cpu_ns(pids)
    g = lambda k: float(re.search(k + r":\s+([\d.]+)", r.stdout).group(1))
    return {"qps": g("Queries per second"), "answered": g("Queries completed"), "lost": g("Queries lost"),
            "us_per_q": (c1[0] - c0[0]) / 1e3 / max(1, g("Queries completed"))}


def build(a, tools):
    """The C tools that are missing or older than their source."""
    os.makedirs(a.bin, exist_ok=True)
    for name in tools:
        src, out = "%s/src/%s.c" % (HERE, name), "%s/%s" % (a.bin, name)
        if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(src):
            subprocess.run(["gcc", "-O2", "-Wall", "-o", out, src] + TOOLS[name], check=True)


def common(ap):
    """Arguments of every measurement here."""
    ap.add_argument("--window", type=int, default=16, help="outstanding queries per connection (8 connections)")
    ap.add_argument("--server-core", type=int, default=0)
    ap.add_argument("--load-core", type=int, default=1)
    ap.add_argument("--work", default=HERE + "/work")
    ap.add_argument("--bin", default=os.environ.get("PB_BIN", HERE + "/work/bin"))
    ap.add_argument("--mmdb", default=os.environ.get("PB_MMDB", HERE + "/work/city.mmdb"))
    ap.add_argument("--steerdns", default=os.environ.get("PB_STEERDNS", os.path.join(HERE, "../../target/release/steerdns")))
    ap.add_argument("--hickory", default=os.environ.get("PB_HICKORY", "hickory-dns"))
    ap.add_argument("--boost", type=int, default=-15, help="autogroup nice value of this session (0: leave)")
    ap.add_argument("--start-timeout", type=int, default=90)


def begin(a, tools=("pbload", "pbecho"), city=True):
    """What stands before any measurement: tools, a session of its own on the load core, client subnets where a City database is needed."""
    for sg in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):      # so that `finally` stops the server under test
        signal.signal(sg, lambda n, f: sys.exit(128 + n))
    os.makedirs(a.work, exist_ok=True)
    a.work, a.bin, a.mmdb, a.steerdns = (os.path.abspath(x) for x in (a.work, a.bin, a.mmdb, a.steerdns))
    if city and not os.path.exists(a.mmdb):
        sys.exit("no %s: make one with ./city-db work (see README.md) or set PB_MMDB" % a.mmdb)
    build(a, tools)
    a.load_cores = str(a.load_core)        # of pbload; this script stays on --load-core
    os.sched_setaffinity(0, {a.load_core})
    if a.boost:
        try:
            if os.getsid(0) != os.getpid():
                if os.getpgrp() == os.getpid():       # a group leader cannot setsid: go on in a child
                    pid = os.fork()
                    if pid:
                        for sg in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                            signal.signal(sg, lambda n, f: os.kill(pid, signal.SIGTERM))
                        while True:
                            try:
                                sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                            except InterruptedError:
                                pass
                os.setsid()
            with open("/proc/self/autogroup", "w") as f:
                f.write(str(a.boost))
        except OSError as e:
            print("no autogroup boost: %s" % e, file=sys.stderr)
    if not city:
        return
    cache = a.work + "/subnets.json"
    if not os.path.exists(cache):
        with open(cache, "w") as f:
            json.dump(subnets(a.mmdb, 100000), f)
    with open(cache) as f:
        a.subnets = json.load(f)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--servers", default="", help="comma list; default all")
    ap.add_argument("--workload", default="w1")
    ap.add_argument("--mix", default="", help="comma list of m1..m4; default all of the workload")
    ap.add_argument("--rounds", type=int, default=10, help="interleaved saturation rounds")
    ap.add_argument("--secs", type=float, default=0.7, help="length of one saturation slice")
    ap.add_argument("--fixed-rounds", type=int, default=3)
    ap.add_argument("--fixed-secs", type=float, default=1.5)
    ap.add_argument("--starts", type=int, default=3, help="starts per server, for the start-up time")
    ap.add_argument("--rate", type=int, default=20000, help="fixed rate for latency; 0 skips it")
    ap.add_argument("--dnsperf", action="store_true", help="also run dnsperf on m3/m4 in the first round")
    ap.add_argument("--verify-only", action="store_true")
    ap.add_argument("--tag", default="")
    common(ap)
    a = ap.parse_args()
    begin(a)
    allsrv = servers(a)
    want = [x for x in a.servers.split(",") if x]
    sel = [s for s in allsrv if not want or s.name in want]
    unknown = set(want) - {s.name for s in allsrv}
    if unknown:
        sys.exit("unknown servers: %s (have %s)" % (",".join(unknown), ",".join(s.name for s in allsrv)))
    rows, starts, fails = [], [], []
    for s in sel:
        s.ver = "-" if s.geo is None else subprocess.run(s.version, shell=True, capture_output=True, text=True).stdout.strip().split("\n")[0]
    for wl in a.workload.split(","):
        mixes = [m for m in MIXES[wl] if not a.mix or m in a.mix.split(",")]
        prepared = {}
        for s in sel:
            if not set(mixes) & set(s.mixes.get(wl, [])):
                continue
            d = "%s/%s-%s" % (a.work, wl, s.name)
            shutil.rmtree(d, ignore_errors=True)
            os.makedirs(d)
            if os.path.exists(d + ".log"):
                os.unlink(d + ".log")
            port = free_port(15400 + 10 * allsrv.index(s))
            prepared[s.name] = (s, d, port, s.gen(d, wl, port, a.mmdb))
        for m in mixes:
            packets(a, wl, m)
        up = {}
        try:
            for name, (s, d, port, cmd) in prepared.items():
                try:
                    t = []
                    for _ in range(a.starts - 1):
                        run = Running(a, s, wl, cmd, port, d)
                        t.append(run.start_s)
                        run.stop()
                    run = Running(a, s, wl, cmd, port, d)
                except RuntimeError as e:
                    print("!! %s" % e, file=sys.stderr)
                    fails.append("%s %s: %s" % (wl, name, e))
                    continue
                up[name] = run
                st = {"workload": wl, "server": name, "start_s": statistics.median(t + [run.start_s]), "rss0": mem(run.pids)["Rss"]}
                text, bad = verify(a, s, run, wl)
                print("%s %-8s start %.3f s, verify: %s%s" % (wl, name, st["start_s"], text, "" if not bad else "  %d MISMATCHES" % len(bad)), file=sys.stderr)
                for b in bad[:5]:
                    print("     " + b, file=sys.stderr)
                if bad:
                    fails.append("%s %s: %d answer mismatches, e.g. %s" % (wl, name, len(bad), bad[0]))
                    if not os.environ.get("PB_TIME_ANYWAY"):
                        run.stop()
                        del up[name]
                        continue
                starts.append(st)
            plan = [(0, a.secs, a.rounds)] + ([(a.rate, a.fixed_secs, a.fixed_rounds)] if a.rate else [])
            for m in mixes if not a.verify_only else []:
                who = [n for n in up if m in up[n].s.mixes.get(wl, [])]
                for rate, secs, rounds in plan:
                    for rnd in range(rounds):
                        # A B C, then C B A: neighbours in time are compared with each other, both ways round
                        for name in who if rnd % 2 == 0 else who[::-1]:
                            j = measure(a, up[name], wl, m, rate, secs)
                            j.update(workload=wl, round=rnd, server=name, mix=m, rate=rate, gen="pbload")
                            rows.append(j)
                            print("%s r%d %-8s %s rate %-6d qps %7.0f  us/q %6.2f util %3.0f%% user %2.0f%% lost %d p50 %.0f p99 %.0f us an/q %.2f nx %.2f fail %d wait %.0f%% steal %.1f%% load %.1f" % (
                                wl, rnd, name, m, rate, j["qps"], j["us_per_q"], j["util"] * 100, j["user_share"] * 100, j["lost"], j["p50_us"], j["p99_us"],
                                j["an_per_q"], j["nx_share"], j["other_fail"] + j["errors"] + j["dead_conns"], j["wait_share"] * 100, j["steal"] * 100, j["load1"]), file=sys.stderr)
                if a.dnsperf and m in ("m3", "m4"):
                    for name in who:
                        if up[name].s.geo is None:
                            continue
                        j = dnsperf(a, wl, m, up[name], 2)
                        j.update(workload=wl, round=0, server=name, mix=m, rate=0, gen="dnsperf")
                        rows.append(j)
                        print("%s %-8s %s dnsperf qps %7.0f us/q %6.2f lost %d" % (wl, name, m, j["qps"], j["us_per_q"], j["lost"]), file=sys.stderr)
            for st in starts:
                if st["workload"] == wl and st["server"] in up:
                    m1 = mem(tree(up[st["server"]].p.pid))
                    st.update(rss=m1["Rss"], pss=m1["Pss"], anon=m1["Pss_Anon"])
        finally:
            for run in up.values():
                run.stop()
    tag = a.tag or time.strftime("%Y%m%d-%H%M%S")
    if a.verify_only:
        sys.exit(1 if fails else 0)
    out = "%s/results-%s" % (a.work, tag)
    json.dump({"args": vars(a) | {"subnets": len(a.subnets)}, "rows": rows, "starts": starts, "fails": fails}, open(out + ".json", "w"))
    flat = [{k: v for k, v in r.items() if not isinstance(v, dict)} for r in rows]
    keys = []
    for r in flat:
        keys += [k for k in r if k not in keys]
    with open(out + ".csv", "w", newline="") as f:
        w = csv.DictWriter(f, keys)
        w.writeheader()
        w.writerows(flat)
    md = report(sel, rows, starts, fails, a)
    with open(out + ".md", "w") as f:
        f.write(md)
    print(md)
    print("written: %s.{json,csv,md}" % out, file=sys.stderr)


def med(x):
    x = list(x)
    return statistics.median(x) if x else float("nan")


def quart(x, q=.25):
    x = sorted(x)
    if not x:
        return float("nan")
    i = q * (len(x) - 1)
    k = int(i)
    return x[k] + (x[min(k + 1, len(x) - 1)] - x[k]) * (i - k)


def spread(x, form="%.2f"):
    """Lower quartile, **median**, upper quartile."""
    x = list(x)
    return " ".join((form, "**" + form + "**", form)) % (quart(x), med(x), quart(x, .75)) if x else "-"


def report(sel, rows, starts, fails, a):
    """CPU per query: lower quartile over the slices, since neighbours only ever add. Ratio: of lower quartiles; in brackets
    the quartiles of the ratio taken slice by slice within each round."""
    o = []
    for wl in dict.fromkeys(r["workload"] for r in rows):
        for m in dict.fromkeys(r["mix"] for r in rows if r["workload"] == wl):
            R = [r for r in rows if r["workload"] == wl and r["mix"] == m]
            sat = [r for r in R if r["rate"] == 0 and r["gen"] == "pbload"]
            fix = [r for r in R if r["rate"] > 0]
            floor = {r["round"]: r["us_per_q"] for r in sat if r["server"] == "echo"}
            fq = quart(floor.values())
            o.append("\n### %s / %s: %s\n" % (wl, m, MIX_TEXT[m]))
            o.append("| server | what | CPU us/query (median) | ratio to floor | above floor us | kqps | core use | user | lost | at %d/s: CPU us/q | p50 us | p99 us best round | dnsperf kqps (us/q) |" % a.rate)
            o.append("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
            lines = []
            for s in sel:
                S = [r for r in sat if r["server"] == s.name]
                F = [r for r in fix if r["server"] == s.name]
                D = [r for r in R if r["server"] == s.name and r["gen"] == "dnsperf"]
                if not S:
                    continue
                u = quart(r["us_per_q"] for r in S)
                pr = [r["us_per_q"] / floor[r["round"]] for r in S if r["round"] in floor]
                ratio = "%.2f (%.2f..%.2f)" % (u / fq, quart(pr), quart(pr, .75)) if pr else "-"
                lines.append((u, "| %s | %s | %.2f (%.2f) | %s | %s | %.0f | %.0f%% | %.0f%% | %d | %s | %s | %s | %s |" % (
                    s.name, s.note, u, med(r["us_per_q"] for r in S), ratio, "%.2f" % (u - fq) if pr else "-", quart([r["qps"] for r in S], .75) / 1e3,
                    100 * med(r["util"] for r in S), 100 * med(r["user_share"] for r in S), sum(r["lost"] for r in S + F),
                    "%.1f" % quart(r["us_per_q"] for r in F) if F else "-", "%.0f" % quart(r["p50_us"] for r in F) if F else "-",
                    "%.0f" % min(r["p99_us"] for r in F) if F else "-",
                    "%.0f (%.2f)" % (D[0]["qps"] / 1e3, D[0]["us_per_q"]) if D else "-")))
            o += [x for _, x in sorted(lines)]
            mine = {r["round"]: r["us_per_q"] for r in sat if r["server"] == "steerdns"}
            if mine:
                o.append("\nCPU per query relative to steerdns, round by round, median (quartiles); under about 5% is noise (same server twice):\n")
                for s in sel:
                    pr = [r["us_per_q"] / mine[r["round"]] for r in sat if r["server"] == s.name and r["round"] in mine]
                    if pr and s.name != "steerdns":
                        o.append("- %s: %.2f (%.2f..%.2f)" % (s.name, med(pr), quart(pr), quart(pr, .75)))
    if starts:
        o.append("\n### Start to first answer, memory\n")
        o.append("| workload | server | start s | RSS MB after start | RSS MB after load | PSS MB | anonymous MB |\n|---|---|---|---|---|---|---|")
        for wl in dict.fromkeys(r["workload"] for r in starts):
            for s in sel:
                S = [r for r in starts if r["workload"] == wl and r["server"] == s.name and "rss" in r]
                if S:
                    o.append("| %s | %s | %.3f | %.0f | %.0f | %.0f | %.0f |" % (wl, s.name, med(r["start_s"] for r in S), med(r["rss0"] for r in S), med(r["rss"] for r in S), med(r["pss"] for r in S), med(r["anon"] for r in S)))
    o.append("\n### Versions\n")
    o += ["- %s: %s (%s)" % (s.name, s.ver, s.note) for s in sel]
    if fails:
        o.append("\n### Not measured / mismatches\n")
        o += ["- " + f for f in fails]
    return "\n".join(o) + "\n"


if __name__ == "__main__":
    main()
