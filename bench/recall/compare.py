#!/usr/bin/env python3
"""Our graph beside others at equal recall: seconds to build, and queries a second interpolated along ef where
recall@10 reaches 0.90, 0.95 and 0.99. Interleaved runs, medians.

  bench/recall/compare.py OURS BASE.f32 QUERY.f32 DIMENSION cosine|l2|ip [options]

OURS is the program bench/recall of a release build. Peers: hnswlib (Debian: libhnswlib-dev, or --hnswlib FOLDER of
another version), glass (--glass FOLDER of pyglass, --glass-helpa FOLDER), faiss and usearch when --python names a
Python that has them (PyPI: faiss-cpu, usearch). They are compiled for this machine's processor, which flatters them.

Speed is by the processor time of the searching thread (--wall: by the clock): on a machine that others use, too, that
is the steadier figure, and the same for all.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LEVELS = (0.90, 0.95, 0.99)
PEERS = Path(__file__).resolve().parent.parent / "peers"
COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#7f7f7f")


def run(command, arguments, variables):
    done = subprocess.run([*command, *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, env={**os.environ, **variables, "PYTHONPATH": str(PEERS)})
    head, *points = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {"head": head, "points": points}


def qps_at(points, level):
    """The fastest way to a recall: between two neighbours of the sweep, by the logarithm of speed."""
    if points[0][0] >= level:
        return points[0][1]
    for (low, fast), (high, slow) in zip(points, points[1:]):
        if low < level <= high:
            part = (level - low) / (high - low)
            return math.exp(math.log(fast) + part * (math.log(slow) - math.log(fast)))
    return math.nan


def compiled(folder, name, flags):
    program = Path(folder) / name
    subprocess.run(["c++", "-O3", "-march=native", "-w", *flags, PEERS / name.split("-")[0] / "recall.cc", "-o", program],
                   check=True)
    return [str(program)]


def contestants(options, folder):
    """name -> (command, environment)"""
    found = {"ours": ([options.ours], {})}
    include = ["-I", options.hnswlib] if options.hnswlib else []
    found["hnswlib"] = (compiled(folder, "hnswlib", include), {})
    if options.glass:
        flags = ["-std=c++20", "-fopenmp", "-I", options.glass, "-I", options.glass_helpa]
        command = compiled(folder, "glass", flags)
        found["glass SQ8U"] = (command, {"GLASS_KIND": "SQ8U"})
        found["glass FP32"] = (command, {"GLASS_KIND": "FP32"})
    if options.python:
        for name, variable, kinds in (("faiss", "FAISS_KIND", ("flat", "sq8")), ("usearch", "USEARCH_KIND", ("f32",))):
            for kind in kinds:
                found[f"{name} {kind}"] = ([options.python, str(PEERS / name / "recall.py")], {variable: kind})
    return found


def medians(runs, measure):
    """The runs of one contestant as one: build time, and points of recall and speed."""
    build = "build_s" if measure == "qps" else "build_cpu_s"
    points = [
        (statistics.median(point["recall_at_10"] for point in same), statistics.median(point[measure] for point in same))
        for same in zip(*(one["points"] for one in runs))
    ]
    return {"build_s": statistics.median(one["head"][build] for one in runs), "points": points}


def print_table(results):
    best = {}
    print(f"{'':14} {'build, s':>9} " + " ".join(f"{f'QPS@{level:.2f}':>10}" for level in LEVELS))
    for name, result in results.items():
        speeds = [qps_at(result["points"], level) for level in LEVELS]
        if name != "ours":
            for level, speed in zip(LEVELS, speeds):
                best[level] = max(best.get(level, 0), 0 if math.isnan(speed) else speed)
        print(f"{name:14} {result['build_s']:9.2f} " + " ".join(f"{speed:10.0f}" for speed in speeds))
    ours = [qps_at(results["ours"]["points"], level) for level in LEVELS]
    peer = results["hnswlib"]
    print(f"{'to hnswlib':14} {peer['build_s'] / results['ours']['build_s']:8.2f}x " + " ".join(
        f"{speed / qps_at(peer['points'], level):9.2f}x" for speed, level in zip(ours, LEVELS)))
    print(f"{'to the best':14} {'':9} " + " ".join(
        f"{speed / best[level] if best[level] else math.nan:9.2f}x" for speed, level in zip(ours, LEVELS)))


def svg(results, title):
    """Recall from 0.8 to 1 against the logarithm of speed."""
    width, height, left, top = 720, 440, 60, 40
    speeds = [speed for result in results.values() for recall, speed in result["points"] if recall >= 0.8]
    low, high = math.floor(math.log10(min(speeds))), math.log10(max(speeds)) + 0.1

    def place(recall, speed):
        x = left + (recall - 0.8) / 0.2 * (width - left - 170)
        y = top + (high - math.log10(speed)) / (high - low) * (height - top - 50)
        return f"{x:.1f},{y:.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>', f'<text x="{left}" y="22" font-size="14">{title}</text>']
    for step in range(5):
        recall = 0.8 + step * 0.05
        x, bottom = place(recall, 10**low).split(",")
        parts.append(f'<path d="M{x},{top} V{bottom}" stroke="#ddd"/><text x="{x}" y="{float(bottom) + 18}" text-anchor="middle">{recall:.2f}</text>')
    for power in range(low, math.ceil(high)):
        for digit in (1, 2, 5):
            if low <= math.log10(digit * 10**power) <= high:
                y = place(0.8, digit * 10**power).split(",")[1]
                parts.append(f'<path d="M{left},{y} H{width - 170}" stroke="#ddd"/><text x="{left - 6}" y="{float(y) + 4}" text-anchor="end">{digit * 10**power:,}</text>')
    parts.append(f'<text x="{left}" y="{height - 8}">recall@10; queries a second, one thread</text>')
    for number, (name, result) in enumerate(results.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(place(recall, speed) for recall, speed in result["points"] if recall >= 0.8)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{3 if name == "ours" else 1.5}"/>')
        parts.append(f'<text x="{width - 160}" y="{top + 16 + 18 * number}" fill="{colour}">{name} (build {result["build_s"]:.1f} s)</text>')
    return "\n".join([*parts, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("ours", "base", "query", "dimension", "metric"):
        parser.add_argument(name)
    parser.add_argument("--rows", default=str(10**9))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--hnswlib")
    parser.add_argument("--glass")
    parser.add_argument("--glass-helpa")
    parser.add_argument("--python")
    parser.add_argument("--json")
    parser.add_argument("--svg")
    options = parser.parse_args()
    arguments = [options.base, options.query, options.dimension, options.metric, options.rows, "1"]
    with tempfile.TemporaryDirectory() as folder:
        found = contestants(options, folder)
        runs = {name: [] for name in found}
        for turn in range(options.rounds):
            for name, (command, variables) in found.items():
                print(f"round {turn + 1}: {name}", file=sys.stderr, flush=True)
                runs[name].append(run(command, arguments if name != "hnswlib" else arguments[:5], variables))
    results = {name: medians(of_one, "qps" if options.wall else "qps_cpu") for name, of_one in runs.items()}
    head = runs["ours"][0]["head"]
    title = f"{Path(options.base).stem}: {head['rows']:,} x {head['dimension']}, {head['metric']}, m 16, ef_construction 200"
    print(title)
    print_table(results)
    if options.json:
        Path(options.json).write_text(json.dumps({"title": title, "head": head, "results": results}, indent=1) + "\n")
    if options.svg:
        Path(options.svg).write_text(svg(results, title))


if __name__ == "__main__":
    main()
