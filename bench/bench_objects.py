"""What the benchmarks of the object store share: the doors through which one load is sent, and MinIO as a peer."""

import json
import os
import shutil
import subprocess
import tempfile
import time

import bench_support as bench
from support.lakehouse import PORTS, die_with_parent

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
    """One way into a store: what stands before a key, and how requests show who they are."""

    def __init__(self, name, server, prefix, signed=False, bearer=False):
        self.name, self.server, self.prefix = name, server, prefix
        self.proof = ["-S", f"{ACCESS}:{SECRET}"] if signed else []
        self.proof += ["-H", f"Authorization: Bearer {SECRET}"] if bearer else []

    def make_bucket(self):
        run(bench.HTTP_LOAD, "-p", self.server.port, "-m", "PUT", "-t", self.prefix.rstrip("/"), "-n", 1, *self.proof)

    def load(self, key, method="GET", connections=1, seconds=None, requests=None, body=0, keys=0, core=None):
        command = [bench.HTTP_LOAD, "-p", self.server.port, "-m", method, "-t", self.prefix + key, "-c", connections,
                   "-b", body, "-k", keys, *self.proof]
        return run(*command, *(["-n", requests] if requests else ["-s", seconds or 2]), core=core)

    def put(self, key, body, requests=1):
        return self.load(key, "PUT", requests=requests, body=body)

    def cpu(self):
        return bench.cpu_seconds(self.server.pid)

    def loaded(self, key, **more):
        """The load's result, with `cpu_us` of the server for each request."""
        before = self.cpu()
        result = self.load(key, **more)
        result["cpu_us"] = (self.cpu() - before) / result["requests"] * 1e6
        return result


def storaged(case, **settings):
    """A storaged with one access key; its signed door, to the bucket `bench`, and the native one, whose requests
    show the key's secret."""
    store = case.service("storaged", **{"log.level": "info", "keys.id": ACCESS, "keys.secret": SECRET, **settings})
    door = Door("S3, signed", store, "/bench/", signed=True)
    door.make_bucket()
    return store, door, Door("native", store, "/storage/bench/", bearer=True)


class Minio:
    """A MinIO server on one folder. `MINIO` names its program; without, there is no such peer."""

    def __init__(self, folder):
        self.folder = tempfile.mkdtemp(prefix="minio-", dir=folder)
        self.port = PORTS.take()
        environment = {**os.environ, "MINIO_ROOT_USER": ACCESS, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_BROWSER": "off"}
        self.process = subprocess.Popen(
            [os.environ["MINIO"], "server", "--quiet", "--address", f"127.0.0.1:{self.port}", self.folder],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        self.pid = self.process.pid
        self.door = Door("MinIO, signed", self, "/bench/", signed=True)
        self.wait()

    def wait(self):
        """Until it takes a bucket, which is later than it says that it lives."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                self.door.make_bucket()
                return
            except RuntimeError:
                time.sleep(0.2)
        raise RuntimeError("MinIO does not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def minio(case):
    """A running MinIO, or None, which is said."""
    if not os.environ.get("MINIO"):
        print("MinIO skipped: set MINIO to its program")
        return None
    server = Minio(case.folder)
    case.addCleanup(server.stop)
    return server


def nginx(case, files):
    """An nginx that serves `files` ({name: bytes}) below /, by one process on any core."""
    server = bench.Nginx("root @folder@/files;")
    case.addCleanup(server.stop)
    (server.folder / "files").mkdir()
    server.folder.chmod(0o755)
    for name, content in files.items():
        (server.folder / "files" / name).write_bytes(content)
    server.pid = server.worker
    for task in bench.tasks(server.worker):
        os.sched_setaffinity(task, range(os.cpu_count() or 1))
    return Door("nginx", server, "/")


def ratio(ours, theirs):
    """Of two lists of one run, in turn: the median of their quotients, and the spread."""
    value, by = bench.spread([a / b for a, b in zip(ours, theirs)])
    return f"{value:.2f} ± {by:.2f}"
