"""Start to ready, of the whole and of each service; memory when idle; size of the programs.

A start is timed from the fork to the word "ready" in the supervisor's pipe (a service) or in systemd's
socket (the whole). "first" is on an empty data folder, "again" on the one that it left."""

import os
import shutil
import socket
import statistics
import subprocess
import time
from pathlib import Path

import bench_support as bench
from support.lakehouse import BIN, PORTS, SERVICES, TestCase

GOALS_MS = {"whole": 300, "storaged": 30, "gateway": 30, "vectord": 30}
GOALS_MIB = {"gateway": 10, "storaged": 10, "vectord": 10, "queryd": 10, "catalogd": 45, "queryd-worker": 45}
PROGRAMS = (*SERVICES, "queryd-worker", "ingestd-worker", "lakehouse")
IDLE_SECONDS = 1


def wait_for(end, word):
    text = b""
    while word not in text:
        more = os.read(end, 4096)
        if not more:
            raise RuntimeError("it ended before it was ready")
        text += more


class Start:
    """One program from its start to ready; `ms` says how long it took."""

    def __init__(self, command, environment, end, word, pass_fds=()):
        begun = time.monotonic()
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, pass_fds=pass_fds,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for fd in pass_fds:
            os.close(fd)
        wait_for(end, word)
        self.ms = (time.monotonic() - begun) * 1000

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def start_service(name, folder, urls):
    read_end, write_end = os.pipe()
    try:
        command = [str(BIN / name), "-data", str(folder), "-listen", f"127.0.0.1:{PORTS.take()}", *urls]
        return Start(command, {"LAKEHOUSE_NOTIFY_FD": str(write_end)}, read_end, b"ready\n", (write_end,))
    finally:
        os.close(read_end)


def start_whole(folder):
    config = folder.with_suffix(".toml")
    lines = [f'data_dir = "{folder}"']
    for name in SERVICES:
        lines += [f"[{name}]", 'listen = "127.0.0.1:0"']
    config.write_text("\n".join(lines) + "\n")
    path = folder.with_suffix(".notify")
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        return Start([str(BIN / "lakehouse"), "serve", "-config", str(config)],
                     {"NOTIFY_SOCKET": str(path)}, listener.fileno(), b"READY=1")


class Bench(TestCase):
    def times(self, rounds, start):
        """Milliseconds of first and of later starts."""
        first, again = [], []
        for number in range(rounds):
            folder = self.folder / f"data-{number}"
            for times in (first, again):
                started = start(folder)
                times.append(started.ms)
                started.stop()
            shutil.rmtree(folder, ignore_errors=True)
        return first, again

    def idle(self):
        """{program: resident MiB} of the whole, a second after its start."""
        whole = start_whole(self.folder / "idle")
        try:
            time.sleep(IDLE_SECONDS)
            found = {}
            for pid in bench.family(whole.process.pid):
                name = Path(f"/proc/{pid}/exe").resolve().name
                found.setdefault(name, []).append(bench.rss_bytes(pid) / (1 << 20))
            return found
        finally:
            whole.stop()

    def runTest(self):
        options = bench.arguments()
        store = self.service("storaged")
        catalog = self.service("catalogd", {"storaged": store.url})
        urls = {"storaged": (), "gateway": (), "vectord": ("-storaged_url", store.url),
                "catalogd": ("-storaged_url", store.url),
                "ingestd": ("-storaged_url", store.url, "-catalogd_url", catalog.url),
                "queryd": ("-storaged_url", store.url, "-catalogd_url", catalog.url)}
        rows, figures = [], {"start_ms": {}, "idle_mib": {}, "program_bytes": {}}
        for name in ("whole", *SERVICES):
            start = start_whole if name == "whole" else (
                lambda folder, name=name: start_service(name, folder, urls[name]))
            first, again = self.times(options.rounds, start)
            figures["start_ms"][name] = {"first": first, "again": again}
            goal = f"< {GOALS_MS[name]} ms" if name in GOALS_MS else ""
            rows.append((name, *(f"{bench.spread(times)[0]:.0f} ± {bench.spread(times)[1]:.0f} ms"
                                 for times in (first, again)), goal))
        bench.table(("start to ready", "first", "again", "goal"), rows)
        print()

        rows = []
        for name, sizes in sorted(self.idle().items()):
            figures["idle_mib"][name] = sizes
            goal = f"<= {GOALS_MIB[name]} MiB" if name in GOALS_MIB else ""
            rows.append((f"{name} x {len(sizes)}" if len(sizes) > 1 else name,
                         f"{statistics.median(sizes):.1f} MiB", goal))
        bench.table(("idle, resident", "", "goal"), rows)
        print()

        rows = []
        for name in PROGRAMS:
            size = (BIN / name).stat().st_size
            figures["program_bytes"][name] = size
            rows.append((name, f"{size / 1024:,.0f} KiB"))
        bench.table(("program", "size"), rows)
        bench.save(options.json, figures)


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["start"])
