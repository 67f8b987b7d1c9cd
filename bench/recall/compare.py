#!/usr/bin/env python3
"""Our graph beside hnswlib (Debian: libhnswlib-dev), at equal recall: seconds to build, and queries a second
interpolated along ef where recall@10 reaches 0.90, 0.95 and 0.99. Interleaved runs, medians.

  bench/recall/compare.py OURS BASE.f32 QUERY.f32 DIMENSION cosine|l2|ip [ROWS [ROUNDS]]

OURS is the program bench/recall of a release build.
"""

import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LEVELS = (0.90, 0.95, 0.99)
PEER = Path(__file__).resolve().parent.parent / "peers/hnswlib/recall.cc"


def run(program, arguments):
    lines = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
    head, *points = [json.loads(line) for line in lines.stdout.splitlines()]
    return head, [(p["recall_at_10"], p["qps"]) for p in points]


def qps_at(points, level):
    """The fastest way to a recall: between two neighbours of the sweep, by the logarithm of speed."""
    if points[0][0] >= level:
        return points[0][1]
    for (low, fast), (high, slow) in zip(points, points[1:]):
        if low < level <= high:
            part = (level - low) / (high - low)
            return math.exp(math.log(fast) + part * (math.log(slow) - math.log(fast)))
    return math.nan


def main():
    ours, *arguments = sys.argv[1:]
    rounds = int(arguments.pop()) if len(arguments) == 6 else 3
    with tempfile.TemporaryDirectory() as folder:
        peer = Path(folder) / "peer"
        subprocess.run(["c++", "-O3", "-march=native", "-w", PEER, "-o", peer], check=True)
        figures = {"ours": [], "hnswlib": []}
        for _ in range(rounds):
            figures["ours"].append(run(ours, arguments))
            figures["hnswlib"].append(run(peer, arguments))

    def row(name, value, better_is_more):
        mine = statistics.median(value(*f) for f in figures["ours"])
        theirs = statistics.median(value(*f) for f in figures["hnswlib"])
        ratio = mine / theirs if better_is_more else theirs / mine
        print(f"{name:14} {mine:12.2f} {theirs:12.2f} {ratio:8.2f}x")

    print(f"{'':14} {'ours':>12} {'hnswlib':>12} {'better':>9}")
    row("build, s", lambda head, points: head["build_s"], False)
    for level in LEVELS:
        row(f"QPS at {level:.2f}", lambda head, points: qps_at(points, level), True)


if __name__ == "__main__":
    main()
