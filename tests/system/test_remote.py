#!/usr/bin/env python3
"""The whole lakehouse on an external S3 store: ingest, SQL, objects and vectors, with another storaged as the
store; killed and started again, and with the store away for a while."""

import os
import threading
import time

from support.faultproxy import FaultProxy
from support.journey import Journey, people_csv, sql
from support.lakehouse import SLOWDOWN, TestCase, main
from support.s3 import S3, Signer

KEY_ID, SECRET = "outer-key", "outer-secret-0123456789"


class OnExternalStore(TestCase):
    def setUp(self):
        super().setUp()
        self.outer = self.service("storaged", **{"keys.id": KEY_ID, "keys.secret": SECRET})
        self.s3 = S3(self.outer.port, Signer(KEY_ID, SECRET))
        self.assertEqual(self.s3.put("/lakehouse").status, 200)
        self.proxy = FaultProxy(self.outer.port)
        self.addCleanup(self.proxy.close)
        self.settings = {
            "storaged.backend": "s3", "storaged.s3_endpoint": self.proxy.url,
            "storaged.s3_bucket": "lakehouse", "storaged.s3_prefix": "prod/",
            "storaged.s3_access_key": KEY_ID, "storaged.s3_secret_key": SECRET}

    def keys_at_outer(self):
        return self.s3.get("/lakehouse", "list-type=2").texts("Contents/Key")

    def test_journey_and_restart(self):
        stack = self.stack(**self.settings)
        Journey(self, stack.gateway, stored=200).all()
        keys = self.keys_at_outer()
        self.assertTrue(any(key.startswith("prod/datasets/main/people/") for key in keys), keys)
        self.assertTrue(any(key.startswith("prod/_vectors/") for key in keys), keys)
        self.assertFalse([key for key in keys if not key.startswith("prod/") or "_probe" in key])
        self.assertFalse(os.listdir(stack.folder / "data" / "storaged")
                         if (stack.folder / "data" / "storaged").exists() else [])
        for service in reversed(list(stack.services.values())):
            self.assertEqual(service.stop(), 0, service.name)
        for service in stack.services.values():
            service.start()
        Journey(self, stack.gateway).check()

    def test_journey_and_kill_of_all(self):
        stack = self.stack(**self.settings)
        Journey(self, stack.gateway, stored=200).all()
        for service in (*stack.services.values(), self.outer):
            service.kill()
        self.outer.start()
        for service in stack.services.values():
            service.start()
        Journey(self, stack.gateway).check()

    def test_faults_all_along(self):
        """Every third request to the store meets some fault; nobody notices."""
        faults = ["busy", "lose", "refuse", "half", "error", "fail", "garbage"]
        count = 0
        lock = threading.Lock()
        choose = self.proxy._choose

        def choose_now_and_then(method, target):
            nonlocal count
            with lock:
                count += 1
                if count % 3 == 0:
                    return faults[count // 3 % len(faults)]
            return choose(method, target)
        stack = self.stack(**self.settings)
        self.proxy._choose = choose_now_and_then
        Journey(self, stack.gateway, stored=200).all()
        self.assertGreater(count, 30)
        self.assertGreater(stack.storaged.get("/health").json()["repeats"], 3)

    def test_the_store_is_away(self):
        stack = self.stack(**{**self.settings, "storaged.s3_tries_max": 2})
        journey = Journey(self, stack.gateway, stored=200)
        journey.all()
        self.outer.kill()
        answer = stack.gateway.post("/v1/ingest?dataset=later", people_csv(0, 10), {"Content-Type": "text/csv"})
        self.assertGreaterEqual(answer.status, 500, answer)
        self.assertEqual(stack.storaged.get("/health").json()["status"], "degraded")
        # What is cached goes on.
        self.assertEqual(sql(stack.gateway, "select count(*) from people")[0][0] > 0, True)
        self.outer.start()
        deadline = time.monotonic() + 30 * SLOWDOWN
        while time.monotonic() < deadline:
            answer = stack.gateway.post("/v1/ingest?dataset=later", people_csv(0, 10),
                                        {"Content-Type": "text/csv"})
            if answer.status in (200, 201):
                break
            time.sleep(0.2)
        self.assertIn(answer.status, (200, 201), answer)
        self.assertEqual(sql(stack.gateway, "select count(*) from later"), [[10]])
        self.assertEqual(stack.gateway.delete("/v1/catalog/datasets/later").status, 204)
        journey.check()


class Supervised(TestCase):
    def test_lakehouse_serve_with_secrets_in_the_environment(self):
        outer = self.service("storaged", **{"keys.id": KEY_ID, "keys.secret": SECRET})
        self.assertEqual(S3(outer.port, Signer(KEY_ID, SECRET)).put("/lakehouse").status, 200)
        secrets = {"LAKEHOUSE_STORAGED__S3_ACCESS_KEY": KEY_ID, "LAKEHOUSE_STORAGED__S3_SECRET_KEY": SECRET}
        os.environ.update(secrets)
        try:
            whole = self.lakehouse(**{"storaged.backend": "s3", "storaged.s3_endpoint": outer.url,
                                      "storaged.s3_bucket": "lakehouse"})
        finally:
            for name in secrets:
                del os.environ[name]
        Journey(self, whole, stored=200).all()
        self.assertNotIn(SECRET, whole.log_text())
        for process in os.listdir("/proc"):
            if process.isdigit():
                try:
                    with open(f"/proc/{process}/cmdline", "rb") as line:
                        self.assertNotIn(SECRET.encode(), line.read())
                except (FileNotFoundError, ProcessLookupError):
                    continue


if __name__ == "__main__":
    main()
