"""Durable PUTs of 4 KiB a second through HTTP, signed, against one fsynced file per object (the baseline), a raw log with
group commit (the limit; no HTTP) and MinIO. All write to the same disk in the same run, in turn."""

import tempfile

import bench_objects as objects
import bench_support as bench
from support.lakehouse import TestCase

CONNECTIONS, BYTES, SECONDS = (1, 16, 48), 4096, 2
PEERS = ("files", "log", "minio")


class Bench(TestCase):
    def peer(self, name, minio, connections, number):
        if name == "minio":
            return minio.door.load(f"{connections}/{number}/{{x}}", "PUT", connections, SECONDS, body=BYTES)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            return objects.run(objects.OBJECTS, name, folder, connections, SECONDS, BYTES)

    def runTest(self):
        options = bench.arguments()
        _, door, _ = objects.storaged(self)
        minio = objects.minio(self)
        peers = [name for name in PEERS if name != "minio" or minio]
        rows, figures = [], []
        for connections in CONNECTIONS:
            results = {"put": [], **{name: [] for name in peers}}
            for number in range(options.rounds):
                results["put"].append(door.loaded(f"{connections}/{number}/{{x}}", method="PUT",
                                                  connections=connections, seconds=SECONDS, body=BYTES))
                for name in peers:
                    results[name].append(self.peer(name, minio, connections, number))
            rates = {name: [result["per_second"] for result in list_] for name, list_ in results.items()}
            for name in ("put", *peers):
                rate, by = bench.spread(rates[name])
                p50, p99 = (bench.spread([result[key] / 1000 for result in results[name]])[0]
                            for key in ("p50_us", "p99_us"))
                rows.append((connections, name, f"{rate:,.0f} ± {by:,.0f}", f"{p50:.1f}", f"{p99:.1f}",
                             "" if name == "put" else objects.ratio(rates["put"], rates[name])))
                figures.append({"connections": connections, "bytes": BYTES, "what": name, "per_second": rates[name],
                                "p50_ms": p50, "p99_ms": p99})
            cpu, by = bench.spread([result["cpu_us"] for result in results["put"]])
            rows.append((connections, "CPU us of a put", f"{cpu:.0f} ± {by:.0f}", "", "", ""))
            figures.append({"connections": connections, "what": "cpu_us", "value": cpu})
        bench.table(("connections", "", "a second", "p50 ms", "p99 ms", "put / this"), rows)
        print("durable: every answer stands behind an fsync, in all of them")
        bench.save(options.json, figures)


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["objects"])
