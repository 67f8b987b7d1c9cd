#!/usr/bin/env python3
"""Keys: who comes in to the native REST and to S3, roles and patterns, reading the file again under load, the
internal key of the services, and which addresses may be listened on."""

import os
import signal
import subprocess
import threading
import time
import unittest

from support.lakehouse import BIN, PORTS, SLOWDOWN, TestCase, in_threads, main, sanitizer_environment
from support.s3 import S3, Signer

ADMIN, WRITER, READER, APP = ("admin-secret-0123456789", "writer-secret-0123456789", "reader-secret-0123456789",
                              "app-secret-0123456789")
KEYS = f"""
[[key]]
id = "root"
secret = "{ADMIN}"
role = "admin"
[[key]]
id = "writer"
secret = "{WRITER}"
role = "write"
[[key]]
id = "reader"
secret = "{READER}"
role = "read"
[[key]]
id = "app"
secret = "{APP}"
role = "write"
pattern = ["lake/app/*", "other"]
"""


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


class KeysTestCase(TestCase):
    def start(self, keys=KEYS, **settings):
        self.keys = self.folder / "keys.toml"
        self.keys.write_text(keys)
        self.keys.chmod(0o600)
        return self.service("storaged", **{"keys.file": self.keys, **settings})

    def wait_log(self, program, message, count=1):
        deadline = time.monotonic() + 20 * SLOWDOWN
        while time.monotonic() < deadline:
            lines = [line for line in program.log() if line.get("msg", line.get("message")) == message]
            if len(lines) >= count:
                return lines
            time.sleep(0.02)
        self.fail(f"no {message!r} in the log")


class Native(KeysTestCase):
    def test_nobody_without_a_key(self):
        store = self.start()
        for method, path in (("GET", "/storage"), ("GET", "/storage/a"), ("HEAD", "/storage/a"),
                             ("PUT", "/storage/a"), ("DELETE", "/storage/a"), ("GET", "/storage/a?locate")):
            for headers, wrong in (({}, False), (bearer("x"), True), ({"X-Api-Key": ADMIN + "x"}, True),
                                   ({"Authorization": "Bearer"}, False), ({"Authorization": f"Basic {ADMIN}"}, False),
                                   ({"Authorization": ADMIN}, False), (bearer("root"), True)):
                answer = store.request(method, path, b"1" if method == "PUT" else None, headers)
                self.assertEqual(answer.status, 401, (method, path, headers, answer))
                self.assertTrue(answer.headers["WWW-Authenticate"].startswith('Bearer realm="lakehouse"'))
                self.assertEqual("invalid_token" in answer.headers["WWW-Authenticate"], wrong, headers)
        self.assertProblem(store.get("/storage/a"), 401, "unauthenticated")
        for open_path in ("/health", "/livez", "/readyz", "/metrics", "/openapi.json"):
            self.assertEqual(store.get(open_path).status, 200, open_path)

    def test_a_body_is_refused_before_it_is_sent(self):
        store = self.start()
        answer = store.put("/storage/a", b"x", {"Expect": "100-continue"})
        self.assertEqual(answer.status, 401)

    def test_roles(self):
        store = self.start()
        self.assertEqual(store.put("/storage/a", b"1", bearer(WRITER)).status, 201)
        self.assertEqual(store.put("/storage/a", b"2", {"X-Api-Key": ADMIN}).status, 200)
        self.assertProblem(store.put("/storage/a", b"3", bearer(READER)), 403, "forbidden")
        self.assertProblem(store.delete("/storage/a", headers=bearer(READER)), 403, "forbidden")
        self.assertEqual(store.get("/storage/a", bearer(READER)).body, b"2")
        self.assertEqual(store.get("/storage/a", {"authorization": f"bearer {READER}"}).body, b"2")
        self.assertEqual(store.get("/storage", bearer(READER)).status, 200)
        self.assertProblem(store.get("/storage/a?locate", bearer(WRITER)), 403, "forbidden")
        self.assertEqual(store.get("/storage/a?locate", bearer(ADMIN)).status, 200)
        self.assertEqual(store.delete("/storage/a", headers=bearer(WRITER)).status, 204)

    def test_patterns(self):
        store = self.start()
        self.assertEqual(store.put("/storage/app/a", b"1", bearer(APP)).status, 201)
        self.assertEqual(store.get("/storage?prefix=app/", bearer(APP)).json()["items"][0]["key"], "app/a")
        for answer in (store.put("/storage/apple", b"1", bearer(APP)), store.get("/storage/b", bearer(APP)),
                       store.get("/storage", bearer(APP)), store.get("/storage?prefix=ap", bearer(APP))):
            self.assertProblem(answer, 403, "forbidden")

    def test_an_encoded_key_is_judged_decoded(self):
        store = self.start()
        self.assertEqual(store.put("/storage/app%2Fx", b"1", bearer(APP)).status, 201)
        self.assertProblem(store.put("/storage/app%2f..%2fx/../../y".replace("app", "apq"), b"1", bearer(APP)),
                           403, "forbidden")


class SettingsKey(KeysTestCase):
    def test_one_key_without_a_file(self):
        store = self.service("storaged", **{"keys.id": "root", "keys.secret": ADMIN})
        self.assertEqual(store.get("/storage").status, 401)
        self.assertEqual(store.get("/storage", bearer(ADMIN)).status, 200)
        self.assertNotIn(ADMIN, store.log_text())

    def refused(self, **settings):
        lines = "".join(f"{key} = \"{value}\"\n" for key, value in settings.items())
        config = self.folder / "bad.toml"
        config.write_text(f"data_dir = \"{self.folder}/bad\"\n[keys]\n{lines}"
                          f"[storaged]\nlisten = \"127.0.0.1:{PORTS.take()}\"\n")
        done = subprocess.run([BIN / "storaged", "-config", config], capture_output=True, text=True,
                              timeout=30 * SLOWDOWN, env=sanitizer_environment())
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_what_is_refused_at_start(self):
        self.assertIn("go together", self.refused(id="root"))
        self.assertIn("cannot", self.refused(file="/nowhere/keys.toml").lower())
        bad = self.folder / "keys.toml"
        bad.write_text(KEYS + KEYS)
        message = self.refused(file=bad)
        self.assertIn('two keys with the id "', message)
        self.assertNotIn(ADMIN, message)

    def test_secrets_are_not_shown(self):
        config = self.folder / "lakehouse.toml"
        config.write_text(f"[keys]\nid = \"root\"\nsecret = \"{ADMIN}\"\n")
        shown = subprocess.run([BIN / "lakehouse", "config", "show", "--config", config], capture_output=True,
                               text=True, env=sanitizer_environment())
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertNotIn(ADMIN, shown.stdout)
        self.assertIn('secret = "(set)"', shown.stdout)

    def test_a_new_key_works(self):
        made = subprocess.run([BIN / "lakehouse", "config", "keys", "new", "--role", "read"], capture_output=True,
                              text=True, env=sanitizer_environment())
        secret = made.stdout.split('secret = "')[1].split('"')[0]
        store = self.start(made.stdout)
        self.assertEqual(store.get("/storage", bearer(secret)).status, 200)
        self.assertEqual(store.put("/storage/a", b"1", bearer(secret)).status, 403)
        wrong = subprocess.run([BIN / "lakehouse", "config", "keys", "new", "--role", "root"], capture_output=True,
                               text=True, env=sanitizer_environment())
        self.assertEqual(wrong.returncode, 2)


class Reload(KeysTestCase):
    def test_sighup_reads_the_file_again(self):
        store = self.start()
        self.keys.write_text(KEYS.replace(READER, "a-new-reader-secret").replace('id = "app"', 'id = "app2"'))
        store.process.send_signal(signal.SIGHUP)
        self.wait_log(store, "keys loaded again")
        self.assertEqual(store.get("/storage", bearer(READER)).status, 401)
        self.assertEqual(store.get("/storage", bearer("a-new-reader-secret")).status, 200)
        log = store.log_text()
        for said in ("key added", "key changed", "key removed"):
            self.assertIn(said, log)
        for secret in (ADMIN, WRITER, READER, APP, "a-new-reader-secret"):
            self.assertNotIn(secret, log)

    def test_a_broken_file_changes_nothing(self):
        store = self.start()
        for text in (KEYS + "[[key]\n", "", KEYS + KEYS):
            self.keys.write_text(text)
            before = store.log_text().count("the keys stay as they were")
            store.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 20 * SLOWDOWN
            while store.log_text().count("the keys stay as they were") == before:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            self.assertEqual(store.get("/storage", bearer(READER)).status, 200)
            self.assertEqual(store.get("/storage").status, 401)

    def test_warnings(self):
        self.keys = self.folder / "keys.toml"
        store = self.start(KEYS.replace(APP, "short"))
        self.assertIn("the secret of a key is short", store.log_text())
        self.assertNotIn("everybody on this host", store.log_text())
        self.keys.chmod(0o644)
        store.process.send_signal(signal.SIGHUP)
        self.wait_log(store, "keys loaded again")
        self.assertIn("everybody on this host may read the keys", store.log_text())

    def test_under_load(self):
        store = self.start()
        store.put("/storage/a", b"1", bearer(WRITER))
        stop = threading.Event()

        def read(_):
            while not stop.is_set():
                self.assertEqual(store.get("/storage/a", bearer(READER)).status, 200)

        def reload_often():
            for i in range(40):
                self.keys.with_suffix(".new").write_text(KEYS + f"# {i}\n")
                os.replace(self.keys.with_suffix(".new"), self.keys)
                store.process.send_signal(signal.SIGHUP)
                time.sleep(0.02)
            stop.set()

        turner = threading.Thread(target=reload_often)
        turner.start()
        in_threads(4, read)
        turner.join()


class Addresses(KeysTestCase):
    def run_on_all(self, keys, *arguments):
        port = PORTS.take()
        config = self.folder / f"all-{port}.toml"
        config.write_text(f"data_dir = \"{self.folder}/{port}\"\n[storaged]\nlisten = \"0.0.0.0:{port}\"\n{keys}")
        process = subprocess.Popen([BIN / "storaged", "-config", config, *arguments], stderr=subprocess.PIPE,
                                   text=True, env=sanitizer_environment())
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_others_may_come_when_keys_are_asked_for(self):
        process = self.run_on_all("")
        self.assertEqual(process.wait(30 * SLOWDOWN), 2)
        self.assertIn("keys.file", process.stderr.read())
        process = self.run_on_all(f"[keys]\nid = \"a\"\nsecret = \"{ADMIN}\"\n")
        self.assertIn("listening", self.first_words(process))
        process = self.run_on_all("", "-insecure")
        self.assertIn("listening", self.first_words(process))

    def first_words(self, process):
        for line in process.stderr:
            if '"listening"' in line:
                return line
        return ""


class Internal(KeysTestCase):
    def test_the_whole_works_with_keys(self):
        self.keys = self.folder / "keys.toml"
        self.keys.write_text(KEYS)
        whole = self.lakehouse(**{"keys.file": self.keys})
        answer = whole.post("/v1/ingest?dataset=numbers", b"a,b\n1,2\n3,4\n", {"Content-Type": "text/csv"})
        self.assertEqual(answer.status, 201, answer)
        answer = whole.post("/v1/sql", {"sql": "SELECT sum(a) FROM numbers"})
        self.assertEqual(answer.json()["rows"], [[4]], answer)
        # Nobody gets the services' own key by way of the gateway.
        self.assertEqual(whole.get("/v1/storage").status, 401)
        self.assertEqual(whole.get("/v1/storage", bearer(READER)).status, 200)
        # SIGHUP to the supervisor reaches all.
        self.keys.write_text(KEYS.replace(READER, "a-new-reader-secret"))
        whole.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20 * SLOWDOWN
        while whole.get("/v1/storage", bearer("a-new-reader-secret")).status != 200:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        for process in os.listdir("/proc"):
            try:
                with open(f"/proc/{process}/cmdline", "rb") as arguments:
                    self.assertNotIn(b"keys.internal", arguments.read())
            except OSError:
                pass

    def test_services_by_hand_share_it(self):
        self.keys = self.folder / "keys.toml"
        self.keys.write_text(KEYS)
        stack = self.stack("storaged", "catalogd", **{"keys.file": self.keys,
                                                      "keys.internal": "the-services-own-token"})
        made = stack.catalogd.post("/catalog/datasets", {
            "name": "t", "fingerprint": "f" * 64, "mode": "create", "objects": [],
            "schema": [{"name": "a", "type": "BIGINT", "nullable": True}]})
        self.assertIn(made.status, (200, 201, 400), made)
        self.assertNotEqual(made.status, 401)
        self.assertEqual(stack.storaged.get("/storage", bearer("the-services-own-token")).status, 200)
        self.assertNotIn("the-services-own-token", stack.storaged.log_text() + stack.catalogd.log_text())


class S3Door(KeysTestCase):
    def test_roles_and_patterns(self):
        store = self.start()
        root, app, reader = (S3(store.port, Signer(name, secret))
                             for name, secret in (("root", ADMIN), ("app", APP), ("reader", READER)))
        self.assertEqual(root.put("/other").status, 200)
        self.assertEqual(root.put("/third").status, 200)
        self.assertEqual(app.put("/other/a", b"1").status, 200)
        self.assertEqual(app.put("/third/a", b"1").status, 403)
        self.assertEqual(app.put("/fourth").status, 403)
        self.assertEqual(reader.get("/other/a").body, b"1")
        self.assertEqual(reader.put("/other/a", b"2").status, 403)
        self.assertEqual(S3(store.port, Signer("root", APP)).get("/other/a").status, 403)
        self.assertEqual(S3(store.port, Signer("nobody", APP)).get("/other/a").status, 403)


if __name__ == "__main__":
    main()
