"""Starts real services for tests: free ports below the ephemeral range, a data folder each, and an
HTTP client that shows everything.

    class Objects(TestCase):
        def test_put(self):
            store = self.service("storaged", **{"storaged.max_object_bytes": "1MiB"})
            self.assertEqual(store.put("/storage/a", b"1").status, 201)

Everything that a test started is stopped at its end, and its logs are shown when it failed.
"""

import atexit
import ctypes
import fcntl
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

BIN = Path(os.environ.get("LAKEHOUSE_BIN", "build/dev/bin")).resolve()
SANITIZE = os.environ.get("LAKEHOUSE_SANITIZE", "")
# Sanitizer builds start and work more slowly; limits on time are stretched, never on results.
SLOWDOWN = {"": 1, "address": 4, "thread": 8}[SANITIZE]
SERVICES = ("storaged", "catalogd", "vectord", "ingestd", "queryd", "gateway")
PORT_FIRST, PORT_LAST = 10000, 32000
SUPPORT = Path(__file__).resolve().parent
SHARED = SUPPORT.parents[2] / "shared" / "data"


def shared(name):
    """Path of a real data file beside the project; skips the test when it is absent."""
    path = SHARED / name
    if not path.exists():
        raise unittest.SkipTest(f"{name} is not here: put the shared data folder beside the project")
    return path


class Ports:
    """Free ports for this process. A port is ours while we hold the lock on its file, so test programs
    that run side by side never get the same one."""

    def __init__(self):
        self.folder = Path(tempfile.gettempdir()) / "lakehouse-test-ports"
        self.folder.mkdir(exist_ok=True)
        self.held = {}
        atexit.register(self.release)

    def release(self):
        for lock in self.held.values():
            lock.close()
        self.held.clear()

    def take(self):
        for _ in range(1000):
            port = random.randint(PORT_FIRST, PORT_LAST)
            if port in self.held:
                continue
            lock = open(self.folder / str(port), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                lock.close()
                continue
            self.held[port] = lock
            return port
        raise RuntimeError("no free port")


PORTS = Ports()

# An ssl.SSLContext while the services of a test speak TLS; see tests/api/test_tls.py.
TLS = None


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def request(port, method, path, body=None, headers=None, timeout=60):
    """One request on a connection of its own. `body`: bytes, str, an object (sent as JSON), a file, or an
    iterator of bytes (sent chunked)."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    elif isinstance(body, str):
        body = body.encode()
    if TLS:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout * SLOWDOWN, context=TLS)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout * SLOWDOWN)
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())
    finally:
        connection.close()


class Http:
    """The methods that services and the whole share. Needs self.port."""

    def request(self, method, path, body=None, headers=None, timeout=60):
        return request(self.port, method, path, body, headers, timeout)

    def get(self, path, headers=None, **more):
        return self.request("GET", path, None, headers, **more)

    def head(self, path, headers=None, **more):
        return self.request("HEAD", path, None, headers, **more)

    def put(self, path, body=b"", headers=None, **more):
        return self.request("PUT", path, body, headers, **more)

    def post(self, path, body=b"", headers=None, **more):
        return self.request("POST", path, body, headers, **more)

    def delete(self, path, body=None, headers=None, **more):
        return self.request("DELETE", path, body, headers, **more)

    @property
    def url(self):
        return f"{'https' if TLS else 'http'}://127.0.0.1:{self.port}"

    def wait_ready(self, seconds=20):
        """Until /readyz says so; fails at once when the program has ended."""
        deadline = time.monotonic() + seconds * SLOWDOWN
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}\n{self.log_text()}")
            try:
                if self.get("/readyz", timeout=5).status == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"{self.name} is not ready after {seconds} s\n{self.log_text()}")


def write_config(path, settings):
    """settings: {"section.key": value}; "data_dir" stands at the top."""
    sections = {}
    for name, value in settings.items():
        section, _, key = name.rpartition(".")
        sections.setdefault(section, {})[key] = value
    lines = []
    for section in sorted(sections):
        if section:
            lines.append(f"[{section}]")
        for key, value in sections[section].items():
            if isinstance(value, bool):
                text = "true" if value else "false"
            elif isinstance(value, int):
                text = str(value)
            else:
                text = json.dumps(str(value))
            lines.append(f"{key} = {text}")
    Path(path).write_text("\n".join(lines) + "\n")


def sanitizer_environment():
    environment = dict(os.environ)
    environment.pop("LAKEHOUSE_BIN", None)
    environment.pop("LAKEHOUSE_SANITIZE", None)
    environment["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0:exitcode=66"
    environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1:exitcode=66"
    environment["LSAN_OPTIONS"] = f"suppressions={SUPPORT / 'lsan.supp'}:print_suppressions=0"
    environment["TSAN_OPTIONS"] = f"suppressions={SUPPORT / 'tsan.supp'}:exitcode=66:halt_on_error=0"
    return environment


LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def die_with_parent():
    """A test program that is killed takes its services along: nothing is left running."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Program(Http):
    """One running program with a configuration file, a data folder and a log file."""

    def __init__(self, name, port, folder, settings, arguments=()):
        self.name, self.port, self.dir = name, port, Path(folder)
        self.settings, self.arguments = dict(settings), list(arguments)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.settings.setdefault("data_dir", str(self.dir / "data"))
        self.config = self.dir / f"{name}.toml"
        self.log_path = self.dir / f"{name}.log"
        self.process = None
        self.start()

    def start(self):
        write_config(self.config, self.settings)
        program = "lakehouse" if self.name == "lakehouse" else self.name
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(BIN / program), *self.arguments, "-config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                env=sanitizer_environment(), preexec_fn=die_with_parent)
        try:
            return self.wait_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds * SLOWDOWN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not stop within {seconds} s\n{self.log_text()}")

    def restart(self, **settings):
        """Starts it again (after kill or stop) on the same port and data, with changed settings."""
        if self.process.poll() is None:
            self.stop()
        self.settings.update(settings)
        return self.start()

    def rss(self):
        """Resident bytes of the process now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log(self):
        """The log's lines as dictionaries; every line must be JSON."""
        return [json.loads(line) for line in self.log_text().splitlines() if line.strip()]


class Service(Program):
    """One of the six. `urls`: {"storaged": "http://..."} of the services it talks to."""

    def __init__(self, name, folder, urls=None, settings=None, port=None):
        port = port or PORTS.take()
        values = {f"{name}.listen": f"127.0.0.1:{port}", "log.level": "debug"}
        # Never the default addresses: whoever listens there is not ours.
        for other in TALKS_TO[name]:
            values[f"{name}.{other}_url"] = f"http://127.0.0.1:{PORTS.take()}"
        for other, url in (urls or {}).items():
            values[f"{name}.{other}_url"] = url
        values.update(settings or {})
        super().__init__(name, port, folder, values)


# Which services each one talks to, as its configuration names them.
TALKS_TO = {
    "storaged": (), "catalogd": ("storaged",), "vectord": ("storaged",),
    "ingestd": ("storaged", "catalogd"), "queryd": ("storaged", "catalogd", "vectord"),
    "gateway": ("storaged", "catalogd", "ingestd", "queryd", "vectord"),
}


class Stack:
    """Several services on one data folder, each reachable by its name: stack.gateway.get(...)."""

    def __init__(self, folder, names, settings=None):
        self.folder = Path(folder)
        self.services = {}
        ports = {name: PORTS.take() for name in SERVICES}
        for name in SERVICES:
            if name not in names:
                continue
            scheme = "https" if TLS else "http"
            urls = {other: f"{scheme}://127.0.0.1:{ports[other]}" for other in TALKS_TO[name]}
            mine = {key: value for key, value in (settings or {}).items()
                    if key.partition(".")[0] in (name, "http", "keys", "log", "data_dir")}
            mine.setdefault("data_dir", str(self.folder / "data"))
            service = Service(name, self.folder / name, urls, mine, ports[name])
            self.services[name] = service
            setattr(self, name, service)

    def stop(self):
        """In reverse order; {name: exit code}."""
        return {name: self.services[name].stop() for name in reversed(list(self.services))}


class Lakehouse(Program):
    """`lakehouse serve` on free ports: the supervisor with all six. Its HTTP methods go to the gateway."""

    def __init__(self, folder, settings=None, arguments=("serve",)):
        self.ports = {name: PORTS.take() for name in SERVICES}
        values = {f"{name}.listen": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        values["queryd.pg_listen"] = f"127.0.0.1:{PORTS.take()}"
        values.update(settings or {})
        super().__init__("lakehouse", self.ports["gateway"], folder, values, arguments)


class TestCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.random = random.Random(20261122)
        self.folder = Path(tempfile.mkdtemp(prefix=f"lakehouse-{self.id().split('.')[-1]}-"))
        self.programs = []
        self.addCleanup(self._finish)

    def _started(self, program):
        self.programs.append(program)
        return program

    def service(self, name, urls=None, **settings):
        folder = self.folder / f"{name}-{len(self.programs)}"
        return self._started(Service(name, folder, urls, settings))

    def stack(self, *names, **settings):
        stack = Stack(self.folder / f"stack-{len(self.programs)}", names or SERVICES, settings)
        for service in stack.services.values():
            self._started(service)
        return stack

    def lakehouse(self, **settings):
        return self._started(Lakehouse(self.folder / f"lakehouse-{len(self.programs)}", settings))

    def assertProblem(self, response, status, code):
        """An error of ours: status, content type and stable word."""
        self.assertEqual(response.status, status, response)
        self.assertEqual(response.headers["Content-Type"], "application/problem+json", response)
        problem = response.json()
        self.assertEqual(problem["code"], code, response)
        self.assertEqual(problem["status"], status)
        for member in ("type", "title", "request_id"):
            self.assertIn(member, problem)
        return problem

    def _finish(self):
        failed = any(error for _, error in self._outcome.errors) if hasattr(
            self._outcome, "errors") else not self._outcome.success
        reports = []
        for program in reversed(self.programs):
            if program.process.poll() is None:
                try:
                    program.stop()
                except AssertionError as error:
                    reports.append(str(error))
            if program.process.returncode == 66:
                reports.append(f"{program.name}: a sanitizer reported\n{program.log_text()[-20000:]}")
        if failed:
            for program in self.programs:
                print(f"--- {program.name} ({program.config})\n{program.log_text()[-6000:]}",
                      file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)
        if reports:
            self.fail("\n".join(reports))


def in_threads(count, work):
    """Runs work(i) in `count` threads; results in order, or the first exception."""
    results, errors = [None] * count, []

    def run(index):
        try:
            results[index] = work(index)
        except BaseException as error:  # given to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def main():
    unittest.main(failfast=False)
