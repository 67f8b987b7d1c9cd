"""Ingest of a 200 MB CSV through the gateway, against DuckDB's COPY of the same file by a program that does
nothing else. Counted are the CPU seconds and the resident memory of all processes of ours that take part:
gateway, ingestd, its worker, catalogd, storaged. Rounds alternate between the two.

Ours does more for it: it takes the file in over HTTP twice, hashes it, checks every record, makes the result
durable, and commits it."""

import http.client
import json
import os
import random
import subprocess
import threading
import time
from pathlib import Path

import bench_support as bench
from support.lakehouse import BIN, TestCase

MB = 1_000_000
TICK = os.sysconf("SC_CLK_TCK")
PEER = BIN.parent / "bench" / "duckdb_copy"
SERVICES = ("storaged", "catalogd", "ingestd", "gateway")


def write_csv(path, size):
    """Orders: numbers, a time, names, quoted text. The same bytes every time."""
    rng = random.Random(20261122)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(5000)]
    number = 0
    with open(path, "w", encoding="ascii") as out:
        written = out.write("id,at,customer,city,amount,quantity,discount,comment\n")
        while written < size:
            rows = []
            for _ in range(2000):
                number += 1
                day = f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
                clock = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}"
                comment = " ".join(rng.choices(words, k=rng.randint(2, 6)))
                rows.append(f"{number},{day} {clock},{rng.choice(words)} {rng.choice(words)},{words[rng.randint(0, 99)]},"
                            f"{rng.random() * 1000:.2f},{rng.randint(1, 50)},{rng.random():.6f},\"{comment}, ok\"\n")
            written += out.write("".join(rows))


def cpu_with_children(pids):
    """CPU seconds of processes, their ended threads and their ended children."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])
    return total / TICK


class Memory(threading.Thread):
    """The most that all processes had resident at one moment, looked at every 10 ms."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.most, self.done = pids, 0, threading.Event()
        self.start()

    def run(self):
        while not self.done.wait(0.01):
            total = 0
            for pid in self.pids:
                try:
                    total += sum(bench.rss_bytes(member) for member in bench.family(pid))
                except (FileNotFoundError, ProcessLookupError):
                    continue
            self.most = max(self.most, total)

    def stop(self):
        self.done.set()
        self.join()
        return self.most


class Bench(TestCase):
    def ours(self, stack, path, number):
        pids = [getattr(stack, name).pid for name in SERVICES]
        memory = Memory(pids)
        before, began = cpu_with_children(pids), time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", stack.gateway.port, timeout=600, blocksize=1 << 20)
        with open(path, "rb") as body:
            connection.request("POST", f"/v1/ingest?dataset=round_{number}", body,
                               {"Content-Type": "text/csv", "Content-Length": str(path.stat().st_size)})
            response = connection.getresponse()
            answer = json.loads(response.read())
        wall = time.monotonic() - began
        connection.close()
        self.assertEqual(response.status, 201, answer)
        return {"rows": answer["rows"], "cpu_s": cpu_with_children(pids) - before, "wall_s": wall,
                "max_rss_bytes": memory.stop()}

    def peer(self, path):
        output = self.folder / "peer.parquet"
        done = subprocess.run([str(PEER), str(path), str(output), "2"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def runTest(self):
        options = bench.arguments()
        path = self.folder / "orders.csv"
        write_csv(path, 200 * MB)
        stack = self.stack(*SERVICES, **{"log.level": "info"})
        ours, theirs = [], []
        for number in range(options.rounds):
            ours.append(self.ours(stack, path, number))
            theirs.append(self.peer(path))
        self.assertEqual({run["rows"] for run in ours}, {run["rows"] for run in theirs})

        def row(name, key, scale, unit):
            left, right = ([run[key] * scale for run in runs] for runs in (ours, theirs))
            ratio, by = bench.spread([a / b for a, b in zip(left, right)])
            shown = [f"{middle:,.2f} ± {half:.2f} {unit}" for middle, half in map(bench.spread, (left, right))]
            return (name, *shown, f"{ratio:.2f} ± {by:.2f}")

        size = path.stat().st_size
        bench.table((f"{size / MB:.0f} MB, {ours[0]['rows']:,} rows", "through the gateway", "DuckDB COPY", "ratio"),
                    [row("CPU", "cpu_s", 1, "s"), row("wall", "wall_s", 1, "s"),
                     row("memory, most", "max_rss_bytes", 1 / MB, "MB")])
        bench.save(options.json, {"bytes": size, "ours": ours, "duckdb_copy": theirs})


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["ingest"])
