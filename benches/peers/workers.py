#!/usr/bin/env python3
"""Two answering threads: what they cost, and whom one heavy source starves.

  ./workers.py                       # both, some 5 minutes
  ./workers.py --rounds 20 --heavy-rounds 0

1. CPU per query of two threads to one, steerdns and the echo, one after the other in each round, then the other way round.
2. One source asks for more than a thread can answer, 64 others ask a little. Which of them still get their answers is decided by the
   kernel's choice of a socket: by hash (steerdns), by processor, by chance. Told of the echo, whose every query is made dear, so
   that a thread can be flooded by a generator that takes a part of a core.
"""
import argparse, json, os, subprocess, sys, time

import bench
from bench import med, spread
from gen import configs

PLACES = ["one core", "both cores"]
SPREADS = [("hash", "hash of addresses and ports"), ("cpu", "processor that took it in"), ("random", "chance")]
LIGHT, LIGHT_RATE = 64, 5              # sources, queries a second of each
LIGHT_FROM, HEAVY_FROM = "127.20.0.1", "127.30.0.1"
UNHARMED = .99


def echo(a, port, *more):
    return [a.bin + "/pbecho", "-p", str(port)] + [str(x) for x in more]


def start(a, name, cores, cmd, geo=None):
    """Of cmd(port, directory)."""
    start.port = bench.free_port(start.port + 1)
    d = "%s/workers-%s" % (a.work, name)
    os.makedirs(d, exist_ok=True)
    return bench.Running(a, bench.Server(name, None, {}, "", geo, None, cores), "w1", cmd(start.port, d), start.port, d)


start.port = 15700


def pin(run, cores):
    """Each answering thread to a core of its own."""
    tasks = "/proc/%d/task" % run.p.pid
    answering = [t for t in sorted(os.listdir(tasks), key=int) if open("%s/%s/comm" % (tasks, t)).read().strip() in ("pbecho-udp", "dns-udp")]
    for t, core in zip(answering, cores):
        os.sched_setaffinity(int(t), {core})


# ---------------------------------------------------------------- what two threads cost
def cost(a):
    cores = {"one core": (str(a.server_core), str(a.load_core)), "both cores": ("%d,%d" % (a.server_core, a.load_core),) * 2}
    up, rows = {}, {}
    try:
        for place in PLACES:
            for n in (1, 2):
                up[place, "echo", n] = start(a, "echo-%d" % n, cores[place][0], lambda port, d: echo(a, port, "-n", n))
                up[place, "steerdns", n] = start(a, "steerdns-%d-%d" % (n, len(up)), cores[place][0],
                                                 lambda port, d: configs.steerdns(d, "w1", port, a.mmdb, binary=a.steerdns, threads=n), True)
        more = ["-c", a.sources, "-w", max(1, 128 // a.sources)]
        for rnd in range(a.rounds):
            for place in PLACES:
                a.load_cores = cores[place][1]
                order = [("echo", 1), ("echo", 2), ("steerdns", 1), ("steerdns", 2)]
                for rate in (0, a.rate):
                    for who, n in order if rnd % 2 == 0 else order[::-1]:
                        j = bench.measure(a, up[place, who, n], "w1", a.mix, rate, a.secs, more)
                        rows[rnd, place, rate, who, n] = j
                        print("r%d %-10s %-8s threads %d rate %-6d us/q %5.2f qps %7.0f util %3.0f%% lost %d" % (
                            rnd, place, who, n, rate, j["us_per_q"], j["qps"], 100 * j["util"], j["lost"]), file=sys.stderr)
                a.load_cores = str(a.load_core)
    finally:
        for run in up.values():
            run.stop()
    print("\n| where | load | server | one thread: µs/query | wakes/query | two: µs/query | wakes/query | two to one (quartiles) | that, to the echo's |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for place in PLACES:
        for rate in (0, a.rate):
            of = lambda who, n, key="us_per_q": [rows[r, place, rate, who, n][key] for r in range(a.rounds)]
            ratios = {who: [y / x for x, y in zip(of(who, 1), of(who, 2))] for who in ("echo", "steerdns")}
            for who in ("echo", "steerdns"):
                each = " | ".join("%.2f | %.2f" % (med(of(who, n)), med(of(who, n, "switches_per_q"))) for n in (1, 2))
                print("| %s | %s | %s | %s | %s | %s |" % (place, "%d/s" % rate if rate else "closed loop", who, each, spread(ratios[who]),
                                                          spread(s / e for s, e in zip(ratios["steerdns"], ratios["echo"])) if who == "steerdns" else "-"))


# ---------------------------------------------------------------- whom a heavy source starves
def together(a, port, heavy_rate, secs):
    """The light sources' figures, while the heavy one asks."""
    call = lambda rate, *more: ["nice", "-n", "-10"] + bench.loader(a, "w1", "m1", port, rate, secs, 0.3, ["-S"] + list(more))
    flood = heavy_rate and subprocess.Popen(call(heavy_rate, "-c", 1, "-s", HEAVY_FROM, "-T", 500), stdout=subprocess.PIPE, text=True)
    try:
        out = subprocess.run(call(LIGHT * LIGHT_RATE, "-c", LIGHT, "-s", LIGHT_FROM, "-A", "-P"), capture_output=True, text=True, timeout=secs + 30, check=True).stdout
        heavy = json.loads(flood.communicate(timeout=30)[0]) if flood else {"sent": 0, "answered": 0}
    finally:
        if flood and flood.poll() is None:
            flood.kill()
    return json.loads(out), heavy


def answered(j):
    """In %; what was sent in the warm-up may be answered later."""
    return min(100, 100 * j["answered"] / max(1, j["sent"]))


def starving(a):
    up, rows, cap = {}, {}, []
    try:
        one = start(a, "dear", None, lambda port, d: echo(a, port, "-x", a.dear))
        for how, _ in SPREADS:
            up[how] = start(a, "dear-" + how, "%d,%d" % (a.server_core, a.load_core), lambda port, d: echo(a, port, "-n", 2, "-g", how, "-x", a.dear))
            pin(up[how], (a.server_core, a.load_core))
        for rnd in range(a.heavy_rounds):
            cap.append(bench.measure(a, one, "w1", "m1", 0, a.secs)["qps"])
            for times in (0, 1.5, 3):
                for how, _ in SPREADS if rnd % 2 == 0 else SPREADS[::-1]:
                    light, heavy = together(a, up[how].port, times * med(cap), a.heavy_secs)
                    kept = [e for e in light["each"] if e["answered"] >= UNHARMED * e["sent"]]
                    rows.setdefault((times, how), []).append((light, heavy, kept))
                    print("r%d %3.1fx %-6s light answered %5.1f%% of %d, unharmed %2d, p50 %6.0f p99 %7.0f us; heavy answered %.0f%% of %.0f/s" % (
                        rnd, times, how, 100 * light["answered"] / max(1, light["sent"]), light["sent"], len(kept), light["p50_us"], light["p99_us"],
                        100 * heavy["answered"] / max(1, heavy["sent"]), heavy["sent"] / a.heavy_secs), file=sys.stderr)
    finally:
        for run in ([one] if "one" in locals() else []) + list(up.values()):
            run.stop()
    print("\nA thread answers %.0f a second (closed loop); %d light sources of %d a second each.\n" % (med(cap), LIGHT, LIGHT_RATE))
    print("| the heavy source asks | socket by | light: answered | p50 µs | p99 µs | sources that lost nothing | their p50 µs | heavy: answered |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for times in (0, 1.5, 3):
        for how, what in SPREADS:
            R = rows[times, how]
            print("| %s | %s | %s %% | %s | %s | %s of %d | %s | %s |" % (
                "%.0f %% of one thread" % (100 * times) if times else "nothing", what, spread((answered(l) for l, _, _ in R), "%.0f"),
                spread((l["p50_us"] for l, _, _ in R), "%.0f"), spread((l["p99_us"] for l, _, _ in R), "%.0f"),
                spread((len(k) for _, _, k in R), "%.0f"), LIGHT, spread((med(e["p50_us"] for e in k) for _, _, k in R if k), "%.0f"),
                "%.0f %%" % med(answered(h) for _, h, _ in R) if times else "-"))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=8, help="of the first measurement; 0 leaves it out")
    ap.add_argument("--heavy-rounds", type=int, default=6, help="of the second; 0 leaves it out")
    ap.add_argument("--secs", type=float, default=0.7, help="length of one slice of the first")
    ap.add_argument("--heavy-secs", type=float, default=2.0, help="of the second")
    ap.add_argument("--mix", default="m2")
    ap.add_argument("--sources", type=int, default=32, help="source ports of the first measurement")
    ap.add_argument("--rate", type=int, default=100000, help="fixed rate of the first measurement")
    ap.add_argument("--dear", type=int, default=200000, help="multiplications for each query in the second measurement")
    bench.common(ap)
    a = ap.parse_args()
    bench.begin(a)
    if a.rounds:
        cost(a)
    if a.heavy_rounds:
        starving(a)


if __name__ == "__main__":
    main()
