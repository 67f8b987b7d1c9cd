"""What the peers that come as Python packages share: files, truth, passes, output. See bench/recall/vectord/recall.c."""

import json
import time

import numpy

K, PASSES = 10, 3
EFS = (10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)


def read(path, dimension, metric):
    rows = numpy.fromfile(path, dtype=numpy.float32).reshape(-1, dimension)
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True) if metric == "cosine" else rows


def distances(rows, query, metric):
    return ((rows - query) ** 2).sum(1) if metric == "l2" else -(rows @ query)


def main(build, search, argv):
    """build(base, metric, threads) -> index; search(index, queries, k, ef) -> labels."""
    metric = argv[4]
    base, queries = (read(path, int(argv[3]), metric) for path in argv[1:3])
    base = numpy.ascontiguousarray(base[: int(argv[5])] if len(argv) > 5 else base)
    threads = int(argv[6]) if len(argv) > 6 else 1
    start, start_cpu = time.perf_counter(), time.process_time()
    index = build(base, metric, threads)
    print(json.dumps({
        "rows": len(base), "dimension": base.shape[1], "metric": metric, "threads": threads,
        "build_s": round(time.perf_counter() - start, 2), "build_cpu_s": round(time.process_time() - start_cpu, 2),
    }))
    farthest = [numpy.partition(distances(base, query, metric), K - 1)[K - 1] for query in queries]
    for ef in EFS:
        best = best_cpu = 1e18
        for turn in range(PASSES + 1):
            start, start_cpu = time.perf_counter(), time.process_time()
            labels = search(index, queries, K, ef)
            if turn > 0:
                best = min(best, time.perf_counter() - start)
                best_cpu = min(best_cpu, time.process_time() - start_cpu)
        right = sum(
            int((distances(base[row[row >= 0]], query, metric) <= limit + 1e-6 * abs(limit)).sum())
            for row, query, limit in zip(labels, queries, farthest))
        print(json.dumps({"ef": ef, "recall_at_10": round(right / (K * len(queries)), 4),
                          "qps": round(len(queries) / best), "qps_cpu": round(len(queries) * threads / best_cpu)}),
              flush=True)
