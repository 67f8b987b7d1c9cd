"""SQL through the gateway, against the same query on DuckDB inside one process: time of small queries, CPU time
of large results. Rounds alternate between the two."""

import http.client
import json
import statistics
import subprocess
import time

import bench_support as bench
from support.lakehouse import TestCase

DUCK_QUERY = bench.HTTP_LOAD.parent / "duck_query"
ROWS = 1_000_000
# name, rows of the dataset, statement, runs of a round
SMALL = (
    ("SELECT 1", 20_000, "SELECT 1", 300),
    ("one row of 20,000", 20_000, "SELECT * FROM {t} WHERE id = 7777", 200),
    ("one row of 1 M", ROWS, "SELECT * FROM {t} WHERE id = 777777", 100),
    ("count and sum of 1 M", ROWS, "SELECT count(*), sum(amount) FROM {t}", 100),
)
LARGE = (("1 M rows as JSON", "json"), ("1 M rows as NDJSON", "ndjson"), ("1 M rows as CSV", "csv"))
ALL = "SELECT * FROM {t}"


class Bench(TestCase):
    def connect(self, port):
        return http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, connection, path, sql):
        """Bytes of the answer."""
        connection.request("POST", path, sql, {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        count = 0
        while piece := answer.read(1 << 20):
            count += len(piece)
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} for {sql}")
        return count

    def p50_ms(self, connection, path, sql, count):
        times = []
        for _ in range(count):
            start = time.perf_counter()
            self.ask(connection, path, sql)
            times.append(time.perf_counter() - start)
        return statistics.median(times) * 1e3

    def duck(self, file, sql, count):
        done = subprocess.run([DUCK_QUERY, file, str(count), sql], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def ingest(self, stack, count):
        """The name of a new dataset, and its local file."""
        lines = (f"{i},{self.random.choice(('view', 'click', 'buy'))},{self.random.randrange(1000)},"
                 f"{self.random.uniform(0, 100):.6f},2026-01-{i % 28 + 1:02},text {i * 7919 % ROWS}\n"
                 for i in range(count))
        body = ("id,kind,customer,amount,day,note\n" + "".join(lines)).encode()
        answer = stack.gateway.post(f"/v1/ingest?dataset=t{count}", body, {"Content-Type": "text/csv"})
        if answer.status != 201:
            raise RuntimeError(answer)
        key = stack.storaged.get(f"/storage?prefix=datasets/main/t{count}/").json()["items"][0]["key"]
        return f"t{count}", stack.storaged.get(f"/storage/{key}?locate").json()["path"]

    def runTest(self):
        options = bench.arguments()
        stack = self.stack("storaged", "catalogd", "ingestd", "queryd", "gateway", **{"log.level": "info"})
        lake = {count: self.ingest(stack, count) for count in (20_000, ROWS)}
        gateway, queryd = self.connect(stack.gateway.port), self.connect(stack.queryd.port)
        rows, figures = [], []
        for name, size, sql, count in SMALL:
            dataset, file = lake[size]
            inside_sql, sql = sql.format(t="t"), sql.format(t=dataset)
            self.p50_ms(gateway, "/v1/sql", sql, 10)
            whole, direct, inside = [], [], []
            for _ in range(options.rounds):
                whole.append(self.p50_ms(gateway, "/v1/sql", sql, count))
                direct.append(self.p50_ms(queryd, "/sql", sql, count))
                inside.append(self.duck(file, inside_sql, count)["p50_us"] / 1e3)
            ratio, by = bench.spread([a / b for a, b in zip(whole, inside)])
            rows.append((name, *(f"{bench.spread(v)[0]:.2f} ms" for v in (whole, direct, inside)), f"{ratio:.2f} ± {by:.2f}"))
            figures.append({"case": name, "gateway_ms": whole, "queryd_ms": direct, "duckdb_ms": inside, "ratio": ratio})
        bench.table(("p50 of a query", "gateway", "queryd", "DuckDB", "ratio"), rows)

        rows = []
        dataset, file = lake[ROWS]
        for name, kind in LARGE:
            ours, inside, sizes = [], [], []
            for _ in range(options.rounds):
                pids = bench.family(stack.queryd.pid)
                before = bench.cpu_seconds(*pids)
                sizes.append(self.ask(queryd, f"/sql?format={kind}", ALL.format(t=dataset)))
                ours.append(bench.cpu_seconds(*pids) - before)
                inside.append(self.duck(file, ALL.format(t="t"), 3)["cpu_us"] / 1e6)
            ratio, by = bench.spread([a / b for a, b in zip(ours, inside)])
            rows.append((name, f"{sizes[0] / 1e6:.0f} MB", f"{bench.spread(ours)[0]:.2f} s",
                         f"{bench.spread(inside)[0]:.2f} s", f"{ratio:.2f} ± {by:.2f}"))
            figures.append({"case": name, "queryd_cpu_s": ours, "duckdb_fetch_cpu_s": inside, "ratio": ratio})
        bench.table(("CPU of a result", "size", "queryd", "DuckDB fetch", "ratio"), rows)
        workers = bench.family(stack.queryd.pid)[1:]
        print(f"resident: queryd {stack.queryd.rss() / 2**20:.1f} MiB, "
              f"worker {max(bench.rss_bytes(pid) for pid in workers) / 2**20:.1f} MiB")
        bench.save(options.json, figures)


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["sql"])
