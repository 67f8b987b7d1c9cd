"""GETs of 4 KiB (signed, and by the native door) against MinIO and against nginx, which is not asked who may read;
of 64 MiB against nginx's sendfile by CPU time. storaged verifies every byte that it sends."""

import bench_objects as objects
import bench_support as bench
from support.lakehouse import TestCase

KEYS, SMALL, LARGE, SECONDS = 1000, 4096, 64 << 20, 2


class Bench(TestCase):
    def small(self, doors, nginx, options):
        rows, figures = [], []
        for connections in (1, 16, 48):
            results = {door.name: [] for door in [*doors, nginx]}
            for _ in range(options.rounds):
                for door in [*doors, nginx]:
                    results[door.name].append(door.loaded("{n}", connections=connections, seconds=SECONDS, keys=KEYS))
            rates = {name: [result["per_second"] for result in list_] for name, list_ in results.items()}
            for name, list_ in results.items():
                rate, by = bench.spread(rates[name])
                cpu, cpu_by = bench.spread([result["cpu_us"] for result in list_])
                p99 = bench.spread([result["p99_us"] / 1000 for result in list_])[0]
                rows.append((connections, name, f"{rate:,.0f} ± {by:,.0f}", f"{p99:.1f}", f"{cpu:.1f} ± {cpu_by:.1f}",
                             *(objects.ratio(rates[name], rates[peer]) if peer in rates and peer != name else ""
                               for peer in ("nginx", "MinIO, signed"))))
                figures.append({"connections": connections, "bytes": SMALL, "what": name, "per_second": rates[name],
                                "cpu_us": cpu, "p99_ms": p99})
        bench.table(("connections", "4 KiB", "a second", "p99 ms", "CPU us", "/ nginx", "/ MinIO"), rows)
        return figures

    def large(self, doors, options):
        rows, figures = [], []
        results = {door.name: [] for door in doors}
        for _ in range(options.rounds):
            for door in doors:
                results[door.name].append(door.loaded("large", requests=8))
        for name, list_ in results.items():
            per_cpu = [LARGE / result["cpu_us"] for result in list_]  # bytes a us are MB a second
            theirs = [LARGE / result["cpu_us"] for result in results["nginx"]]
            rate, by = bench.spread([result["per_second"] * LARGE / 1e6 for result in list_])
            cpu, cpu_by = bench.spread(per_cpu)
            rows.append((name, f"{rate:,.0f} ± {by:,.0f}", f"{cpu:,.0f} ± {cpu_by:,.0f}", objects.ratio(per_cpu, theirs)))
            figures.append({"bytes": LARGE, "what": name, "mb_a_second": rate, "mb_a_cpu_second": per_cpu})
        bench.table(("64 MiB", "MB/s", "MB a CPU second", "/ nginx"), rows)
        return figures

    def runTest(self):
        options = bench.arguments()
        _, signed, native = objects.storaged(self)
        minio = objects.minio(self)
        small = {str(number): b"x" * SMALL for number in range(KEYS)}
        nginx = objects.nginx(self, {**small, "large": b"x" * LARGE})
        doors = [signed, native] + ([minio.door] if minio else [])
        for door in doors:
            door.load("{n}", "PUT", connections=16, requests=KEYS, body=SMALL)
            door.put("large", LARGE)
        bench.save(options.json, [*self.small(doors, nginx, options), *self.large([*doors, nginx], options)])


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["objects_get"])
