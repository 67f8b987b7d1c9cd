"""One stream: a PUT of 1 GiB against the slower of MD5 on one core and the disk; and the memory of storaged while
5 GiB stream through it."""

import hashlib
import os
import threading
import time

import bench_objects as objects
import bench_support as bench
from support.lakehouse import TestCase

GIB, BLOCK = 1 << 30, 1 << 20


def md5_rate():
    """Bytes a second that MD5 takes in, on one core."""
    block, md5, start = b"x" * BLOCK, hashlib.md5(), time.perf_counter()
    for _ in range(GIB // BLOCK // 2):
        md5.update(block)
    return GIB / 2 / (time.perf_counter() - start)


def disk_rate(folder):
    """Bytes a second of a file that is written in blocks, to be durable in the end."""
    path, block = folder / "disk", b"x" * BLOCK
    start = time.perf_counter()
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.posix_fallocate(fd, 0, GIB)
    for _ in range(GIB // BLOCK):
        os.write(fd, block)
    os.fdatasync(fd)
    seconds = time.perf_counter() - start
    os.close(fd)
    path.unlink()
    return GIB / seconds


class Peak(threading.Thread):
    """The largest resident memory of a process while this runs."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.bytes, self.running = pid, 0, True

    def run(self):
        while self.running:
            self.bytes = max(self.bytes, bench.rss_bytes(self.pid))
            time.sleep(0.02)

    def stop(self):
        self.running = False
        self.join()
        return self.bytes


class Bench(TestCase):
    def runTest(self):
        options = bench.arguments()
        store, signed, native = objects.storaged(self)
        results = {"MD5": [], "disk": [], "PUT": []}
        for _ in range(options.rounds):
            results["MD5"].append(md5_rate() / 1e6)
            results["disk"].append(disk_rate(self.folder) / 1e6)
            results["PUT"].append(native.put("stream", GIB)["per_second"] * GIB / 1e6)
        limits = [min(md5, disk) for md5, disk in zip(results["MD5"], results["disk"])]
        rows = [(name, "{:,.0f} ± {:,.0f}".format(*bench.spread(rates)), objects.ratio(rates, limits))
                for name, rates in results.items()]
        bench.table(("one stream of 1 GiB", "MB/s", "/ the slower limit"), rows)

        idle = bench.rss_bytes(store.pid)
        peak = Peak(store.pid)
        peak.start()
        native.put("five", 5 * GIB - 1)
        native.load("five", requests=1)
        during = peak.stop()
        bench.table(("memory", "MB"), [("before", f"{idle / 1e6:.1f}"),
                                       ("most while 5 GiB stream in and out", f"{during / 1e6:.1f}")])
        bench.save(options.json, {**results, "rss_idle": idle, "rss_streaming": during})


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["objects_stream"])
