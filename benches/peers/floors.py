#!/usr/bin/env python3
"""What might lower the floor: ways to receive and send, each beside plain recvmmsg/sendmmsg of 32.

  ./floors.py                          # all, 8 rounds (some 4 minutes)
  ./floors.py --only uring,spin --rounds 20

Slices go plain A plain B plain C ..., then backwards; a variant is held against the mean of the plain ones on either side of it.
"""
import argparse, os, shutil, signal, sys

import bench
from bench import med, spread

PLAIN = "plain"
# name, what it is: `pbecho -b N` where the name is a number, else a mode of pbfloors
VARIANTS = [
    ("plain", "the same program once more: what differs by chance"),
    ("8", "8 datagrams to a call"),
    ("16", "16"),
    ("64", "64"),
    ("single", "answers by one `sendto` each"),
    ("stride", "buffers an odd number of cache lines apart, as steerdns has them"),
    ("huge", "buffers and headers in a huge page"),
    ("incoming", "`SO_INCOMING_CPU`"),
    ("busypoll", "`SO_BUSY_POLL`, 50 µs"),
    ("spin", "never sleeps: `MSG_DONTWAIT` again and again"),
    ("gro", "`UDP_GRO`; queries come singly"),
    ("uring-in", "io_uring: multishot recvmsg, provided buffers; `sendmmsg`"),
    ("uring", "io_uring: multishot recvmsg, provided buffers; a sendmsg entry each"),
]


def command(a, name, port):
    if name.isdigit() or name == PLAIN:
        return [a.bin + "/pbecho", "-p", str(port), "-b", name if name.isdigit() else "32"]
    return [a.bin + "/pbfloors", "-p", str(port), "-m", name]


class Variant(bench.Running):
    """One that sleeps, whatever it does else, while it is not measured."""
    def __init__(self, a, name, what, port):
        d = "%s/floors-%s" % (a.work, name)
        self.name, self.what = name, what
        super().__init__(a, bench.Server(name, None, {}, what, None, None), "w1", command(a, name, port), port, d)
        os.kill(self.p.pid, signal.SIGSTOP)

    def measure(self, a, rate, secs):
        os.kill(self.p.pid, signal.SIGCONT)
        try:
            return bench.measure(a, self, "w1", "m3", rate, secs)
        finally:
            os.kill(self.p.pid, signal.SIGSTOP)

    def stop(self):
        os.kill(self.p.pid, signal.SIGCONT)
        super().stop()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=8, help="closed loop")
    ap.add_argument("--secs", type=float, default=0.4, help="length of one slice")
    ap.add_argument("--rate-rounds", type=int, default=4, help="at the fixed rate")
    ap.add_argument("--rate", type=int, default=50000, help="fixed rate")
    ap.add_argument("--only", default="", help="comma list of " + ",".join(n for n, _ in VARIANTS))
    bench.common(ap)
    a = ap.parse_args()
    bench.begin(a, ("pbload", "pbecho", "pbfloors"), city=False)
    only = [x for x in a.only.split(",") if x]
    up, refused, pairs, rated = [], [], {}, {}
    try:
        plain = Variant(a, PLAIN, "", bench.free_port(15600))
        for i, (name, what) in enumerate(VARIANTS):
            if only and name not in only:
                continue
            log = "%s/floors-%s.log" % (a.work, name)
            if os.path.exists(log) and name != PLAIN:
                os.unlink(log)
            try:
                up.append(Variant(a, name, what, bench.free_port(15610 + 2 * i)))
            except RuntimeError as e:
                with open(log) as f:
                    refused.append((name, what, f.read().strip() or str(e)))
        for kind, rate, rounds in ((pairs, 0, a.rounds), (rated, a.rate, a.rate_rounds)):
            for r in range(rounds):
                before = plain.measure(a, rate, a.secs)
                for v in up if r % 2 == 0 else up[::-1]:
                    j = v.measure(a, rate, a.secs)
                    after = plain.measure(a, rate, a.secs)
                    kind.setdefault(v.name, []).append((before, j, after))
                    print("%-8s rate %-6d us/q %5.2f plain %5.2f %5.2f  qps %7.0f  util %3.0f%%  p50 %.0f p99 %.0f  plain p99 %.0f" % (
                        v.name, rate, j["us_per_q"], before["us_per_q"], after["us_per_q"], j["qps"], 100 * j["util"], j["p50_us"], j["p99_us"], after["p99_us"]), file=sys.stderr)
                    before = after
    finally:
        for v in ([plain] if "plain" in locals() else []) + up:
            v.stop()
    ratio = lambda key, rows: (j[key] / ((b[key] + c[key]) / 2) for b, j, c in rows)
    n = lambda rows, key: [j[key] for _, j, _ in rows]
    print("| variant | what | CPU µs/query | to plain (quartiles) | core use | at %d/s: CPU µs/query | p50 µs | p99 µs | p99 to plain (quartiles) |" % a.rate)
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for v in up:
        s, f = pairs[v.name], rated.get(v.name, [])
        at = "%.2f | %.0f | %.0f | %s" % (med(n(f, "us_per_q")), med(n(f, "p50_us")), med(n(f, "p99_us")), spread(ratio("p99_us", f))) if f else "- | - | - | -"
        print("| %s | %s | %.2f | %s | %.0f %% | %s |" % (v.name, v.what, med(n(s, "us_per_q")), spread(ratio("us_per_q", s)), 100 * med(n(s, "util")), at))
    for name, what, why in refused:
        print("| %s | %s | refused: %s | | | | | | |" % (name, what, why.replace("\n", "; ")))


if __name__ == "__main__":
    main()
