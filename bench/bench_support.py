"""What benchmarks share: CPU time of processes, a pinned nginx as the peer, the load generator, tables."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.lakehouse import BIN, PORTS, request

SERVER_CORE, LOAD_CORE = 0, min(1, (os.cpu_count() or 1) - 1)
HTTP_LOAD = BIN.parent / "bench" / "http_load"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", help="where the figures go")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def tasks(pid):
    return [int(task) for task in os.listdir(f"/proc/{pid}/task")]


def pin(pid, core=SERVER_CORE):
    """All threads of a process to one core; those that it starts later inherit it."""
    for task in tasks(pid):
        os.sched_setaffinity(task, {core})


def family(pid):
    """A process and all that it started."""
    found = [pid]
    for task in tasks(pid):
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            found += family(int(child))
    return found


def cpu_seconds(*pids):
    """Time on a CPU of all threads that live, in seconds. Threads that have ended are not counted, so a
    measured span must be shorter than the idle time after which a pool's threads end."""
    total = 0
    for pid in pids:
        for task in tasks(pid):
            try:
                total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
            except FileNotFoundError:
                continue
    return total / 1e9


def rss_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Nginx:
    """nginx with one worker, pinned like what it is compared with. `server`: lines of its server block."""

    def __init__(self, server, outside="", core=SERVER_CORE):
        self.folder = Path(tempfile.mkdtemp(prefix="lakehouse-nginx-", dir="/dev/shm"))
        self.port = PORTS.take()
        config = self.folder / "nginx.conf"
        config.write_text(f"""
            worker_processes 1; daemon off; master_process on; pid {self.folder}/pid;
            error_log stderr error; user {"root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")};
            events {{ worker_connections 1024; }}
            http {{
                access_log off; client_max_body_size 0; keepalive_requests 100000000; sendfile on;
                client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
                fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
                {outside.replace("@folder@", str(self.folder))}
                server {{ listen 127.0.0.1:{self.port}; {server.replace("@folder@", str(self.folder))} }}
            }}""")
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        if not Path(program).exists():
            sys.exit("bench: nginx is the peer and is not installed: apt-get install nginx-light")
        self.process = subprocess.Popen([program, "-c", str(config), "-p", str(self.folder)])
        deadline = time.monotonic() + 10
        while len(family(self.process.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        self.worker = family(self.process.pid)[1]
        pin(self.worker, core)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def load(port, target, method="GET", connections=16, seconds=None, requests=None, body=0):
    """One run of the load generator on its own core."""
    command = [str(HTTP_LOAD), "-p", str(port), "-t", target, "-m", method, "-c", str(connections),
               "-b", str(body)]
    command += ["-n", str(requests)] if requests else ["-s", str(seconds or 1)]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}))
    result = json.loads(done.stdout)
    if result["failed"]:
        raise RuntimeError(f"{result['failed']} of {result['requests']} requests failed: {target}")
    return result


def cost_us(pids, port, target, **more):
    """CPU microseconds that one request costs these processes."""
    before = cpu_seconds(*pids)
    result = load(port, target, **more)
    return (cpu_seconds(*pids) - before) / result["requests"] * 1e6, result


def spread(values):
    """Median, and half of the distance between the extremes."""
    return statistics.median(values), (max(values) - min(values)) / 2


def table(head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))).rstrip())


def save(path, figures):
    if path:
        Path(path).write_text(json.dumps(figures, indent=1) + "\n")


__all__ = ["HTTP_LOAD", "LOAD_CORE", "Nginx", "SERVER_CORE", "arguments", "cost_us", "cpu_seconds", "family",
           "load", "pin", "request", "rss_bytes", "save", "spread", "table"]
