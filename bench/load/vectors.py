"""Vector searches through HTTP against the same engine in-process: queries a second of one core for raw batches of
64 and for single searches as JSON, by time on a CPU, so that what else the machine does counts little. Both build
the same index of the same data; rounds alternate."""

import http.client
import json
import random
import struct
import subprocess
import time
from array import array

import bench_support as bench
from support.lakehouse import TestCase

RECALL = bench.HTTP_LOAD.parent / "recall"
RAW = {"Content-Type": "application/x-lakehouse-f32", "Accept": "application/x-lakehouse-hits"}
EF, K, BATCH = 64, 10, 64
# rows, dimension, metric, batches of a round, single searches of a round
SETS = ((20_000, 128, "l2", 60, 1500), (8_000, 768, "cosine", 40, 1000))


def rows(dice, count, dimension, centres):
    """Clusters on low-dimensional sheets, which is what embeddings look like."""
    values = array("f")
    for _ in range(count):
        centre, other = dice.choice(centres), dice.choice(centres)
        weight = dice.random() * 0.5
        values.extend(a + weight * b + dice.gauss(0, 0.3) for a, b in zip(centre, other))
    return values


class Bench(TestCase):
    def data(self, count, dimension):
        dice = random.Random(dimension)
        centres = [[dice.gauss(0, 1) for _ in range(dimension)] for _ in range(200)]
        base, queries = rows(dice, count, dimension, centres), rows(dice, 640, dimension, centres)
        files = self.folder / f"base{dimension}.f32", self.folder / f"query{dimension}.f32"
        for file, values in zip(files, (base, queries)):
            file.write_bytes(values.tobytes())
        return files, base.tobytes(), queries

    def inside(self, files, dimension, metric, count):
        """Queries a second of CPU time, in-process, at EF."""
        done = subprocess.run([RECALL, *files, str(dimension), metric, str(count), "1"], capture_output=True,
                              text=True, check=True)
        figures = [json.loads(line) for line in done.stdout.splitlines()]
        return next(figure["qps_cpu"] for figure in figures if figure.get("ef") == EF)

    def fill(self, service, name, base, dimension, metric):
        service.post("/vectors", {"name": name, "dimension": dimension, "metric": metric})
        row = 4 * dimension
        for start in range(0, len(base) // row, 1000):
            body = b"".join(struct.pack("<Q", i) + base[i * row:(i + 1) * row]
                            for i in range(start, min(start + 1000, len(base) // row)))
            answer = service.post(f"/vectors/{name}/add", body, {"Content-Type": RAW["Content-Type"]})
            if answer.status != 200:
                raise RuntimeError(answer)

    def ask(self, connection, path, body, headers):
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(text)

    def batches(self, pid, connection, name, queries, dimension, count):
        bodies = [queries[i * dimension:(i + BATCH) * dimension].tobytes() for i in range(0, 640, BATCH)]
        path = f"/vectors/{name}/search?k={K}&ef={EF}&metadata=false"
        before = bench.cpu_seconds(pid)
        for i in range(count):
            self.ask(connection, path, bodies[i % len(bodies)], RAW)
        return count * BATCH / (bench.cpu_seconds(pid) - before)

    def singles(self, pid, connection, name, queries, dimension, count):
        """CPU microseconds of the service for one search, and the median on the client's clock."""
        bodies = [json.dumps({"vector": [float(f"{x:.7g}") for x in queries[i * dimension:(i + 1) * dimension]],
                              "k": K, "ef": EF}) for i in range(640)]
        before, times = bench.cpu_seconds(pid), []
        for i in range(count):
            start = time.perf_counter()
            self.ask(connection, f"/vectors/{name}/search", bodies[i % 640], {"Content-Type": "application/json"})
            times.append(time.perf_counter() - start)
        return (bench.cpu_seconds(pid) - before) / count * 1e6, sorted(times)[count // 2] * 1e6

    def runTest(self):
        options = bench.arguments()
        service = self.service("vectord", **{"vectord.storaged_url": "", "log.level": "warn"})
        table, figures = [], []
        for count, dimension, metric, batch_count, single_count in SETS:
            files, base, queries = self.data(count, dimension)
            name = f"d{dimension}"
            self.fill(service, name, base, dimension, metric)
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
            self.batches(service.pid, connection, name, queries, dimension, 10)
            inside, raw, single, wall = [], [], [], []
            for _ in range(options.rounds):
                inside.append(self.inside(files, dimension, metric, count))
                raw.append(self.batches(service.pid, connection, name, queries, dimension, batch_count))
                cost, p50 = self.singles(service.pid, connection, name, queries, dimension, single_count)
                single.append(cost)
                wall.append(p50)
            share, by = bench.spread([a / b for a, b in zip(raw, inside)])
            engine = 1e6 / bench.spread(inside)[0]
            cost, p50 = bench.spread(single)[0], bench.spread(wall)[0]
            figures.append({"rows": count, "dimension": dimension, "metric": metric, "ef": EF, "inside_qps": inside,
                            "raw_qps": raw, "json_cpu_us": single, "json_p50_us": wall})
            table.append((f"{count} x {dimension} {metric}", f"{bench.spread(inside)[0]:.0f}",
                          f"{bench.spread(raw)[0]:.0f}", f"{share:.2f} ± {by:.2f}", f"{engine:.0f}", f"{cost:.0f}",
                          f"{p50:.0f}", "yes" if cost < 2 * engine + 100 else "NO"))
        bench.table(("set", "in-process q/s", "raw 64 q/s", "ratio", "engine µs", "JSON cpu µs", "JSON p50 µs",
                     "< 2 x + 100"), table)
        bench.save(options.json, figures)


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["vectors"])
