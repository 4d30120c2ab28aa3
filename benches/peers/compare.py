#!/usr/bin/env python3
"""Runs two programs in turn, A B A B …, and prints how their rates compare pair by pair.

    compare.py --rounds 5 --ours "CMD" --peer "CMD" [--metric tok_s] [--higher-is-better yes|no]

Each program prints lines of the form `RESULT {json}`; the last one counts. Where our program prints plain lines,
`--ours-find` is a pattern whose group is the number: `--ours-find '([0-9.]+) tokens/s'` takes the last that matches.
A ratio above 1 means that ours is better. Standard library only.
"""

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="command of our side")
    parser.add_argument("--peer", required=True, help="command of the peer")
    parser.add_argument("--ours-find", metavar="PATTERN", help="finds our number in plain output")
    parser.add_argument("--ours-in", default=".", metavar="FOLDER", help="folder that our command runs in")
    parser.add_argument("--peer-in", default=".", metavar="FOLDER", help="folder that the peer's command runs in")
    parser.add_argument("--metric", default="tok_s", help="field of the RESULT line (for the peer, if --peer-metric is not given)")
    parser.add_argument("--peer-metric", help="the peer's name for the same thing")
    parser.add_argument("--higher-is-better", choices=["yes", "no"], default="yes")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs")
    parser.add_argument("--busy", type=float, default=0.25, help="a run with more than this many cores busy with others is taken again")
    parser.add_argument("--retries", type=int, default=3, help="times a pair is taken again because of that")
    return parser.parse_args()


class Load:
    """Cores that processes other than our child kept busy, from /proc/stat; None where there is none."""

    def __init__(self):
        self.wall, self.total, self.own = time.perf_counter(), self.busy(), self.children()

    @staticmethod
    def busy():
        try:
            with open("/proc/stat", encoding="ascii") as file:
                fields = [int(x) for x in file.readline().split()[1:]]
        except OSError:
            return None
        user, nice, system, _idle, _wait, irq, soft_irq, steal = fields[:8]
        return (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def children():
        times = os.times()
        return times.children_user + times.children_system

    def others(self):
        if self.total is None:
            return None
        wall = time.perf_counter() - self.wall
        others = (self.busy() - self.total) - (self.children() - self.own)
        # both counters tick in hundredths of a second: a short run can look busier than the machine has cores
        return min(max(0.0, others) / wall, os.cpu_count() or 1)


def run(command, folder, metric, pattern=None):
    """The last result of a command, with the load beside it. Ends the program when there is none."""
    load = Load()
    done = subprocess.run(shlex.split(command), cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    others = load.others()
    if pattern:
        results = [{metric: float(found)} for found in re.findall(pattern, done.stdout)]
    else:
        results = [json.loads(line.partition(" ")[2]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not results:
        sys.exit(f"`{command}` ended with {done.returncode} and {len(results)} results")
    result = results[-1]
    result["other_cores"] = round(others, 2) if others is not None else result.get("other_cores")
    return result


def pair(args):
    """One run of each, taken again while the machine is busy with others."""
    for attempt in range(args.retries + 1):
        ours = run(args.ours, args.ours_in, args.metric, args.ours_find)
        peer = run(args.peer, args.peer_in, args.peer_metric or args.metric)
        load = max(ours["other_cores"] or 0.0, peer["other_cores"] or 0.0)
        if load <= args.busy:
            return ours, peer, True
        print(f"  {load:.2f} cores were busy with others" + ("; again" if attempt < args.retries else ""), flush=True)
    return ours, peer, False


def main():
    args = arguments()
    name = args.peer_metric or args.metric
    ratios, quiet = [], 0
    for number in range(1, args.rounds + 1):
        ours, peer, calm = pair(args)
        a, b = float(ours[args.metric]), float(peer[name])
        ratio = a / b if args.higher_is_better == "yes" else b / a
        ratios.append((ratio, calm))
        quiet += calm
        print(f"pair {number}: ours {a:g}, peer {b:g}, ratio {ratio:.2f}" + ("" if calm else " (busy machine)"), flush=True)
    kept = [ratio for ratio, calm in ratios if calm] or [ratio for ratio, _ in ratios]
    print("RESULT " + json.dumps({
        "metric": args.metric,
        "ratio_median": round(statistics.median(kept), 3),
        "ratio_lowest": round(min(kept), 3),
        "ratio_highest": round(max(kept), 3),
        "pairs": len(kept),
        "pairs_on_a_quiet_machine": quiet,
    }))


if __name__ == "__main__":
    main()
