"""The same journey with the six programs started by hand and with `lakehouse serve`; and what clients
see when any one of them is killed."""

import http.client
import os
import signal
import threading
import time
from pathlib import Path

from support.journey import Journey
from support.lakehouse import SERVICES, SLOWDOWN, TestCase, main


def children(pid):
    """{program: pid} of the processes that a process started."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            found[Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
        except FileNotFoundError:
            continue
    return found


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds * SLOWDOWN
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {seconds} s")


class ByHand(TestCase):
    def test_journey_and_restart(self):
        stack = self.stack()
        Journey(self, stack.gateway).all()
        for service in reversed(list(stack.services.values())):
            self.assertEqual(service.stop(), 0, service.name)
        for service in stack.services.values():
            service.start()
        Journey(self, stack.gateway).check()

    def test_journey_and_kill_of_all(self):
        stack = self.stack()
        Journey(self, stack.gateway).all()
        for service in stack.services.values():
            service.kill()
        for service in stack.services.values():
            service.start()
        Journey(self, stack.gateway).check()


class Supervised(TestCase):
    def ok(self, whole):
        try:
            return whole.get("/v1/health", timeout=5).json()["status"] == "ok"
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def test_journey_and_restart(self):
        whole = self.lakehouse()
        self.assertEqual(set(children(whole.pid)), set(SERVICES))
        Journey(self, whole).all()
        pids = children(whole.pid)
        self.assertEqual(whole.stop(), 0)
        for name, pid in pids.items():
            self.assertFalse(Path(f"/proc/{pid}").exists(), name)
        whole.start()
        Journey(self, whole).check()

    def test_each_one_killed_comes_back(self):
        whole = self.lakehouse()
        journey = Journey(self, whole)
        journey.all()
        for name in SERVICES:
            with self.subTest(service=name):
                before = children(whole.pid)[name]
                os.kill(before, signal.SIGKILL)
                wait_until(lambda: children(whole.pid).get(name) not in (None, before), 10, f"a new {name}")
                wait_until(lambda: self.ok(whole), 20, "health")
                journey.check()
                self.assertEqual(set(children(whole.pid)), set(SERVICES))

    def test_nothing_acknowledged_is_lost_and_errors_are_honest(self):
        """One writes all the time while storaged is killed again and again."""
        whole = self.lakehouse()
        acknowledged, statuses, stop = [], set(), threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                key, body = f"k{number:05d}", b"%d" % number
                try:
                    response = whole.put(f"/v1/storage/written/{key}", body, timeout=20)
                except (OSError, http.client.HTTPException):
                    continue
                statuses.add(response.status)
                if response.status in (200, 201):
                    acknowledged.append((key, body))
                    number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                count = len(acknowledged)
                wait_until(lambda: len(acknowledged) > count + 20, 20, "writes")
                os.kill(children(whole.pid)["storaged"], signal.SIGKILL)
            count = len(acknowledged)
            wait_until(lambda: len(acknowledged) > count + 20, 20, "writes")
        finally:
            stop.set()
            writer.join()
        self.assertLessEqual(statuses, {200, 201, 502, 503}, statuses)
        self.assertTrue(statuses & {502, 503}, statuses)
        for key, body in acknowledged:
            self.assertEqual(whole.get(f"/v1/storage/written/{key}").body, body)

    def test_supervisor_killed_takes_all_with_it(self):
        whole = self.lakehouse()
        Journey(self, whole).all()
        pids = children(whole.pid)
        whole.kill()
        for name, pid in pids.items():
            wait_until(lambda pid=pid: not alive(pid), 10, f"the end of {name}")
        whole.start()
        Journey(self, whole).check()

    def test_port_0_for_all(self):
        settings = {f"{name}.listen": "127.0.0.1:0" for name in SERVICES if name != "gateway"}
        whole = self.lakehouse(**settings)
        wait_until(lambda: self.ok(whole), 20, "health")
        os.kill(children(whole.pid)["storaged"], signal.SIGKILL)
        wait_until(lambda: not self.ok(whole), 10, "the loss of storaged")
        wait_until(lambda: self.ok(whole), 20, "health")
        Journey(self, whole).all()


def alive(pid):
    """A zombie whose new parent has not looked at it yet counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    main()
