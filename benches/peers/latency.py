#!/usr/bin/env python3
"""Latency of steerdns beside the echo, and while it has other work to do.

  ./latency.py                              # both, some 5 minutes
  ./latency.py --rounds 20 --busy-rounds 0

1. Open loop at 20, 50 and 80 % of what steerdns answers in a closed loop of the same round: echo, steerdns, steerdns, echo.
2. At 50 %: quiet, probing 5,000 nodes every 2 s, the same with every tenth node flapping, and loading a City database with other rules
   again and again. All of steerdns is on --server-core, so whatever else it does is done beside the answering thread.
"""
import argparse, os, shutil, signal, subprocess, sys, threading, time

import bench
from bench import med, quart, spread
from gen import configs

SHARES = (20, 50, 80)
QUANTILES = [("p50_us", "p50"), ("p90_us", "p90"), ("p99_us", "p99"), ("p999_us", "p99.9")]
CONDITIONS = [("echo", "the echo, steerdns quiet"), ("quiet", "quiet"), ("probing", "probes {nodes} nodes every 2 s"),
              ("flapping", "the same, one node in ten flaps"), ("compiling", "loads and compiles, again and again")]
SETTLES = 2.5                              # seconds after a reload


def claim(ratios):
    """Quartiles of a ratio; what they do not tell from 1 is no claim."""
    lo, hi = quart(ratios), quart(ratios, .75)
    return spread(ratios) + ("" if lo > 1 or hi < 1 else ", no claim")


# ---------------------------------------------------------------- beside the echo
def beside(a):
    up, rows, rates = {}, {}, []
    try:
        for i, (name, geo, gen) in enumerate((("echo", None, lambda d, port: [a.bin + "/pbecho", "-p", str(port)]),
                                              ("steerdns", True, lambda d, port: configs.steerdns(d, "w1", port, a.mmdb, binary=a.steerdns)))):
            d, port = "%s/latency-%s" % (a.work, name), bench.free_port(15800 + 10 * i)
            os.makedirs(d, exist_ok=True)
            up[name] = bench.Running(a, bench.Server(name, None, {}, "", geo, None), "w1", gen(d, port), port, d)
        for rnd in range(a.rounds):
            order = ["echo", "steerdns"] if rnd % 2 == 0 else ["steerdns", "echo"]
            full = {name: bench.measure(a, up[name], "w1", a.mix, 0, a.secs / 2) for name in order}
            rates.append({name: j["qps"] for name, j in full.items()})
            for share in SHARES:
                for name in order + order[::-1]:
                    j = bench.measure(a, up[name], "w1", a.mix, rates[-1]["steerdns"] * share / 100, a.secs)
                    rows.setdefault((share, name), []).append(j)
                    print("r%d %-8s %2d%% %7.0f/s util %3.0f%% lost %d skipped %d p50 %5.0f p99 %6.0f p99.9 %6.0f  lag p50 %4.0f p99 %6.0f" % (
                        rnd, name, share, j["qps"], 100 * j["util"], j["lost"], j["skipped"], j["p50_us"], j["p99_us"], j["p999_us"], j["lag_p50_us"], j["lag_p99_us"]), file=sys.stderr)
    finally:
        for run in up.values():
            run.stop()
    print("\nIn a closed loop: echo %s queries a second, steerdns %s.\n" % tuple(spread((r[n] for r in rates), "%.0f") for n in ("echo", "steerdns")))
    print("| load | server | core use | lost | %s | generator late, p99 |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |" % " | ".join(q + " µs" for _, q in QUANTILES))
    for share in SHARES:
        for name in ("echo", "steerdns"):
            R = rows[share, name]
            print("| %d %% | %s | %.0f %% | %d | %s | %s |" % (share, name, 100 * med(j["util"] for j in R), sum(j["lost"] + j["skipped"] for j in R),
                                                             " | ".join(spread((j[k] for j in R), "%.0f") for k, _ in QUANTILES), spread((j["lag_p99_us"] for j in R), "%.0f")))
        pairs = [(rows[share, "echo"][i:i + 2], rows[share, "steerdns"][i:i + 2]) for i in range(0, 2 * a.rounds, 2)]
        print("| | steerdns to echo | | | %s | |" % " | ".join(claim([sum(s[k] for s in y) / sum(e[k] for e in x) for x, y in pairs]) for k, _ in QUANTILES))


# ---------------------------------------------------------------- beside its own work
class Steered:
    """steerdns over the nodes of pbnodes, and what it is told to do meanwhile."""
    def __init__(self, a):
        self.a, self.d = a, a.work + "/latency-nodes"
        shutil.rmtree(self.d, ignore_errors=True)
        os.makedirs(self.d)
        if os.path.exists(self.d + ".log"):
            os.unlink(self.d + ".log")
        self.port, self.nodes_port, self.flaps = bench.free_port(15820), bench.free_port(15830), False
        self.nodes = subprocess.Popen(["taskset", "-c", str(a.server_core), a.bin + "/pbnodes", "-p", str(self.nodes_port), "-n", str(a.nodes)], stdout=subprocess.PIPE)
        try:
            self.nodes.stdout.readline()
            self.clusters = {x: configs.nodes_clusters(self.nodes_port, a.nodes, *x) for x in (("1h", 0), ("1h", 1), ("2s", 0))}
            cmd = configs.steerdns_nodes(self.d, self.port, a.mmdb, self.clusters["1h", 0], a.steerdns)
            self.run = bench.Running(a, bench.Server("steerdns", None, {}, "", True, None), "w1", cmd, self.port, self.d)
        except BaseException:
            self.nodes.terminate()
            raise
        self.log, self.words = open(self.d + ".log", errors="replace"), {"reloaded": 0, "-> down": 0, "-> up": 0, "-> suspect": 0}
        if a.control_nice:
            for t in self.threads("control"):
                os.setpriority(os.PRIO_PROCESS, t, a.control_nice)
        time.sleep(SETTLES)

    def logged(self, *words):
        """How often it has said so. Reads on: the generator has the core that we are on."""
        text = self.log.read()
        for word in self.words:
            self.words[word] += text.count(word)
        return sum(self.words[word] for word in words)

    def reload(self, interval, rules=0):
        configs.w(self.d + "/zones/clusters.toml", self.clusters[interval, rules])
        before = self.logged("reloaded")
        os.kill(self.run.p.pid, signal.SIGHUP)
        for _ in range(300):
            time.sleep(.1)
            if self.logged("reloaded") > before:
                return
        raise RuntimeError("no reload within 30 s, see %s.log" % self.d)

    def become(self, name):
        if (name == "flapping") != self.flaps:
            self.flaps = not self.flaps
            self.nodes.send_signal(signal.SIGUSR1)
        self.reload("2s" if name in ("probing", "flapping") else "1h")
        time.sleep(3 * SETTLES if name == "flapping" else SETTLES)

    def compile(self, until):
        """Loads with the other rules, with nothing kept, until told to stop."""
        while not until.is_set():
            shutil.rmtree(self.d + "/state/maps", ignore_errors=True)
            self.compiled += 1
            self.reload("1h", self.compiled % 2)

    def threads(self, name):
        tasks = "/proc/%d/task/" % self.run.p.pid
        for t in os.listdir(tasks):
            try:
                with open(tasks + t + "/comm") as f:
                    if f.read().strip() == name:
                        yield int(t)
            except OSError:
                pass                                # one that has just ended

    def answering(self):
        """CPU ns and ns of waiting for a processor, of the answering thread."""
        with open("/proc/%d/task/%d/schedstat" % (self.run.p.pid, next(self.threads("dns-udp")))) as f:
            return [int(x) for x in f.read().split()[:2]]

    def measure(self, name, rate):
        a, self.compiled, until = self.a, 0, threading.Event()
        loop = threading.Thread(target=self.compile, args=(until,))
        if name == "compiling":
            loop.start()
            time.sleep(.3)
        try:
            told, doubts = self.logged("-> down", "-> up"), self.logged("-> suspect")
            x = self.answering()
            j = bench.measure(a, self.run, "w1", a.mix, rate, a.busy_secs)
            y = self.answering()
            told, doubts = self.logged("-> down", "-> up") - told, self.logged("-> suspect") - doubts
        finally:
            until.set()
            if loop.is_alive():
                loop.join()
        # the warm-up of `measure` is in it, of 0.2 s
        n = j["answered"] * (1 + .2 / a.busy_secs)
        j.update(thread_us_per_q=(y[0] - x[0]) / 1e3 / n, thread_wait_us_per_q=(y[1] - x[1]) / 1e3 / n, compiled=self.compiled, verdicts=told, doubts=doubts)
        return j

    def stop(self):
        self.run.stop()
        self.log.close()
        self.nodes.terminate()
        self.nodes.wait(10)


def busy(a):
    rows, verdicts = {}, 0
    d, port = a.work + "/latency-echo", bench.free_port(15840)
    echo = bench.Running(a, bench.Server("echo", None, {}, "", None, None), "w1", [a.bin + "/pbecho", "-p", str(port)], port, d)
    try:
        steered = Steered(a)
        try:
            for rnd in range(a.busy_rounds):
                steered.become("quiet")
                rate = bench.measure(a, steered.run, "w1", a.mix, 0, a.secs / 2)["qps"] * a.busy_share / 100
                names = [n for n, _ in CONDITIONS]
                for name in names if rnd % 2 == 0 else names[::-1]:
                    steered.become("quiet" if name == "echo" else name)
                    j = bench.measure(a, echo, "w1", a.mix, rate, a.busy_secs) if name == "echo" else steered.measure(name, rate)
                    rows.setdefault(name, []).append(j)
                    print("r%d %-9s %7.0f/s util %3.0f%% thread us/q %5.2f waits %5.2f compiled %d verdicts %d doubts %d lost %d p50 %5.0f p99 %6.0f p99.9 %6.0f  lag p99 %6.0f fail %d an/q %.1f" % (
                        rnd, name, j["qps"], 100 * j["util"], j.get("thread_us_per_q", 0), j.get("thread_wait_us_per_q", 0), j.get("compiled", 0), j.get("verdicts", 0), j.get("doubts", 0),
                        j["lost"] + j["skipped"], j["p50_us"], j["p99_us"], j["p999_us"], j["lag_p99_us"], j["other_fail"], j["an_per_q"]), file=sys.stderr)
        finally:
            steered.stop()
    finally:
        echo.stop()
    print("\n%s queries a second.\n" % spread((j["qps"] for j in rows["quiet"]), "%.0f"))
    print("| steerdns | core use | answering thread: µs/query | waits for its core, µs/query | lost | %s | generator late, p99 |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |" % " | ".join(q + " µs" for _, q in QUANTILES))
    for name, what in CONDITIONS:
        R = rows[name]
        own = lambda key: spread(j[key] for j in R) if name != "echo" else "-"
        print("| %s | %.0f %% | %s | %s | %d | %s | %s |" % (what.format(nodes=a.nodes), 100 * med(j["util"] for j in R), own("thread_us_per_q"), own("thread_wait_us_per_q"),
                                                       sum(j["lost"] + j["skipped"] for j in R), " | ".join(spread((j[k] for j in R), "%.0f") for k, _ in QUANTILES),
                                                            spread((j["lag_p99_us"] for j in R), "%.0f")))
    for name, what in CONDITIONS[2:]:
        print("| %s, to quiet | | %s | | | %s | |" % (name, claim([j["thread_us_per_q"] / q["thread_us_per_q"] for j, q in zip(rows[name], rows["quiet"])]),
                                                   " | ".join(claim([j[k] / q[k] for j, q in zip(rows[name], rows["quiet"])]) for k, _ in QUANTILES)))
    print("\nMeanwhile: %d loads that compiled; %.0f verdicts a second that turned while nodes flapped; %.0f doubts a second while all nodes were well." % (
        sum(j["compiled"] for j in rows["compiling"]), med(j["verdicts"] / a.busy_secs for j in rows["flapping"]), med(j["doubts"] / a.busy_secs for j in rows["probing"])))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=8, help="of the first measurement; 0 leaves it out")
    ap.add_argument("--busy-rounds", type=int, default=6, help="of the second; 0 leaves it out")
    ap.add_argument("--secs", type=float, default=1.0, help="length of one slice of the first")
    ap.add_argument("--busy-secs", type=float, default=3.0, help="length of one slice of the second")
    ap.add_argument("--busy-share", type=float, default=50, help="load of the second, in %% of what steerdns answers in a closed loop")
    ap.add_argument("--nodes", type=int, default=5000)
    ap.add_argument("--mix", default="m2")
    ap.add_argument("--control-nice", type=int, default=0, help="nice value of the threads that probe and publish")
    bench.common(ap)
    a = ap.parse_args()
    bench.begin(a, ("pbload", "pbecho", "pbnodes"))
    if a.rounds:
        beside(a)
    if a.busy_rounds:
        busy(a)


if __name__ == "__main__":
    main()
