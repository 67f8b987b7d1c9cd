"""What the benchmarks of the object store share: the doors through which one load is sent, and MinIO as a peer."""

import json
import os
import shutil
import subprocess
import tempfile
import time

import bench_support as bench
from support.lakehouse import PORTS, die_with_parent, request

ACCESS, SECRET = "lakehouse-bench", "lakehouse-bench-secret"
OBJECTS = bench.HTTP_LOAD.parent / "objects"
LIST_PAGES = bench.HTTP_LOAD.parent / "list_pages"


def run(*command, core=None):
    """A program that prints one JSON object."""
    pin = None if core is None else lambda: os.sched_setaffinity(0, {core})
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False,
                          preexec_fn=pin)
    if not done.stdout:
        raise RuntimeError(f"{command[0]}: {done.stderr}")
    result = json.loads(done.stdout)
    if result.get("failed"):
        raise RuntimeError(f"{result['failed']} of {result['requests']} requests failed: {command}")
    return result


class Door:
    """One way into a store: a port, what stands before a key, and whether requests are signed."""

    def __init__(self, name, pid, port, prefix, signed=False):
        self.name, self.pid, self.port, self.prefix = name, pid, port, prefix
        self.sign = ["-S", f"{ACCESS}:{SECRET}"] if signed else []

    def load(self, key, method="GET", connections=1, seconds=None, requests=None, body=0, keys=0, core=None):
        command = [bench.HTTP_LOAD, "-p", self.port, "-m", method, "-t", self.prefix + key, "-c", connections,
                   "-b", body, "-k", keys, *self.sign]
        return run(*command, *(["-n", requests] if requests else ["-s", seconds or 2]), core=core)

    def put(self, key, body, requests=1):
        return self.load(key, "PUT", requests=requests, body=body)

    def cpu(self):
        return bench.cpu_seconds(self.pid)

    def loaded(self, key, **more):
        """The load's result, with `cpu_us` of the server for each request."""
        before = self.cpu()
        result = self.load(key, **more)
        result["cpu_us"] = (self.cpu() - before) / result["requests"] * 1e6
        return result


def storaged(case, **settings):
    """A storaged, and its door."""
    store = case.service("storaged", **{"log.level": "info", **settings})
    return store, Door("native", store.pid, store.port, "/storage/bench/")


class Minio:
    """A MinIO server on one folder. `MINIO` names its program; without, there is no such peer."""

    def __init__(self, folder):
        self.folder = tempfile.mkdtemp(prefix="minio-", dir=folder)
        port = PORTS.take()
        environment = {**os.environ, "MINIO_ROOT_USER": ACCESS, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_BROWSER": "off"}
        self.process = subprocess.Popen(
            [os.environ["MINIO"], "server", "--quiet", "--address", f"127.0.0.1:{port}", self.folder],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        self.door = Door("MinIO", self.process.pid, port, "/bench/", signed=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if request(port, "GET", "/minio/health/live", timeout=5).status == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        run(bench.HTTP_LOAD, "-p", port, "-m", "PUT", "-t", "/bench", "-n", 1, *self.door.sign)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def minio(folder):
    """A running MinIO, or None, which is said."""
    if os.environ.get("MINIO"):
        return Minio(folder)
    print("MinIO skipped: set MINIO to its program")
    return None


def ratio(ours, theirs):
    """Of two lists of one run, in turn: the median of their quotients, and the spread."""
    value, by = bench.spread([a / b for a, b in zip(ours, theirs)])
    return f"{value:.2f} ± {by:.2f}"
