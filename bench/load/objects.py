"""Durable PUTs of 4 KiB a second through HTTP, against one fsynced file per object (the baseline) and a raw log
with group commit (the limit). All three write to the same disk in the same run, in turn."""

import json
import subprocess
import tempfile

import bench_support as bench
from support.lakehouse import TestCase

OBJECTS = bench.HTTP_LOAD.parent / "objects"
CONNECTIONS, BYTES, SECONDS = (1, 16, 48), 4096, 2


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    if result["failed"]:
        raise RuntimeError(f"{result['failed']} of {result['requests']} requests failed")
    return result


class Bench(TestCase):
    def runTest(self):
        options = bench.arguments()
        store = self.service("storaged", **{"log.level": "info"})
        rows, figures = [], []
        for connections in CONNECTIONS:
            results = {"put": [], "files": [], "log": []}
            for number in range(options.rounds):
                target = f"/storage/bench/{connections}/{number}/{{x}}"
                results["put"].append(run(bench.HTTP_LOAD, "-p", store.port, "-m", "PUT", "-t", target,
                                          "-c", connections, "-b", BYTES, "-s", SECONDS))
                for peer in ("files", "log"):
                    with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                        results[peer].append(run(OBJECTS, peer, folder, connections, SECONDS, BYTES))
            rates = {name: [result["per_second"] for result in list_] for name, list_ in results.items()}
            row = [connections]
            for name in ("put", "files", "log"):
                rate, by = bench.spread(rates[name])
                p50, p99 = (bench.spread([result[key] / 1000 for result in results[name]])[0]
                            for key in ("p50_us", "p99_us"))
                row.append(f"{rate:,.0f} ± {by:,.0f} ({p50:.1f}/{p99:.1f})")
            for peer in ("files", "log"):
                ratio, by = bench.spread([ours / theirs for ours, theirs in zip(rates["put"], rates[peer])])
                row.append(f"{ratio:.2f} ± {by:.2f}")
            rows.append(row)
            figures.append({"connections": connections, "bytes": BYTES, "per_second": rates})
        bench.table(("connections", "storaged /s (p50/p99 ms)", "file per object", "raw log",
                     "to files", "to log"), rows)
        print("durable: every answer stands behind an fsync, in all three")
        bench.save(options.json, figures)


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["objects"])
