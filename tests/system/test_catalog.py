#!/usr/bin/env python3
"""The catalog on a real object store: the six cases of its contract, commits from many sides at once, and
everything that can happen to a manifest."""

import http.client
import signal
import threading
import time
import uuid
from pathlib import Path

from support.lakehouse import SANITIZE, SLOWDOWN, Service, TestCase, in_threads, main
from support.slowpeer import SlowPeer

NAMESPACE = uuid.UUID("a8f3c1d2-4e5b-5a6c-9d8e-7f0a1b2c3d4e")
SCHEMA = [{"name": "id", "type": "BIGINT", "nullable": False}, {"name": "city", "type": "VARCHAR"}]


def dataset_id(name):
    return str(uuid.uuid5(NAMESPACE, name))


def manifest_path(name):
    return f"/storage/_catalog/manifests/{dataset_id(name)}.parquet"


class CatalogCase(TestCase):
    def start(self, **settings):
        stack = self.stack("storaged", "catalogd", **settings)
        self.store, self.catalog = stack.storaged, stack.catalogd

    def second_catalog(self, url=None, **settings):
        return self.service("catalogd", {"storaged": url or self.store.url}, **settings)

    def register(self, name="sales", fingerprint="f1", catalog=None, **members):
        body = {"name": name, "fingerprint": fingerprint, "schema": SCHEMA, **members}
        return (catalog or self.catalog).post("/catalog/datasets", body)

    def put_object(self, key, size=100):
        self.assertIn(self.store.put(f"/storage/{key}", b"x" * size).status, (200, 201))
        return {"key": key, "rows": 10, "bytes": size, "stats": {"id": {"min": 1, "max": 9, "nulls": 0}}}

    def commit(self, mode, number, name="sales", catalog=None, **members):
        """A commit of one object, whose content id is its number."""
        thing = self.put_object(f"datasets/main/{name}/data/{number}.parquet")
        return self.register(name, catalog=catalog, mode=mode, objects=[thing],
                             content_id=f"c{number}", **members)

    def get(self, name="sales", query="", catalog=None):
        response = (catalog or self.catalog).get(f"/catalog/datasets/{name}{query}")
        self.assertEqual(response.status, 200, response)
        return response.json()

    def keys(self, name="sales", query="", catalog=None):
        return [one["key"].rsplit("/", 1)[-1].removesuffix(".parquet")
                for one in self.get(name, query, catalog)["objects"]]

    def names(self, catalog=None):
        return [item["dataset"] for item in (catalog or self.catalog).get("/catalog/datasets").json()["items"]]


class SixCases(CatalogCase):
    """What every version of the catalog has promised."""

    def setUp(self):
        super().setUp()
        self.start()

    def test_1_new(self):
        response = self.register()
        self.assertEqual(response.status, 201, response)
        answer = response.json()
        self.assertEqual(answer["dataset"], "sales")
        self.assertEqual(answer["dataset_id"], dataset_id("sales"))
        self.assertEqual((answer["snapshot"], answer["status"]), (1, "created"))

    def test_2_same_again(self):
        first, second = self.register(), self.register()
        self.assertEqual((first.status, second.status), (201, 200))
        self.assertEqual(first.json()["dataset_id"], second.json()["dataset_id"])
        self.assertEqual(second.json()["status"], "unchanged")

    def test_3_another_fingerprint(self):
        self.register()
        self.assertProblem(self.register(fingerprint="f2"), 409, "fingerprint_conflict")
        self.assertEqual(self.get()["fingerprint"], "f1")

    def test_4_empty_name_and_fingerprint(self):
        self.assertProblem(self.register(name=""), 400, "invalid_name")
        self.assertProblem(self.register(fingerprint=""), 400, "invalid_request")
        self.assertEqual(self.names(), [])

    def test_5_list_and_get(self):
        self.commit("create", 1)
        self.register("eu.sales")
        self.assertEqual(self.names(), ["eu.sales", "sales"])
        answer = self.get()
        self.assertEqual(answer["schema"], [{"name": "id", "type": "BIGINT", "nullable": False},
                                            {"name": "city", "type": "VARCHAR", "nullable": True}])
        self.assertEqual((answer["rows"], answer["bytes"], answer["snapshot"]), (10, 100, 1))
        self.assertEqual(answer["objects"], [{
            "key": "datasets/main/sales/data/1.parquet", "rows": 10, "bytes": 100, "snapshot": 1,
            "stats": {"id": {"min": 1, "max": 9, "nulls": 0}}, "content_id": "c1"}])
        self.assertEqual(self.get("main.sales"), answer)
        self.assertProblem(self.catalog.get("/catalog/datasets/nothing"), 404, "not_found")

    def test_6_kill_and_restart(self):
        for number in range(5):
            self.register(f"d{number}", fingerprint=f"f{number}")
        self.commit("create", 1)
        self.commit("append", 2)
        self.commit("replace", 3)
        before = [self.get(name) for name in self.names()]
        history = self.catalog.get("/catalog/datasets/sales/history").json()
        self.catalog.kill()
        self.catalog.restart()
        self.assertEqual([self.get(name) for name in self.names()], before)
        self.assertEqual(self.catalog.get("/catalog/datasets/sales/history").json(), history)
        self.store.kill()
        self.catalog.kill()
        self.store.restart()
        self.catalog.restart()
        self.assertEqual([self.get(name) for name in self.names()], before)

    def test_7_wiped_and_registered_again(self):
        before = self.register().json()["dataset_id"]
        self.start()  # another store, another catalog, nothing in common
        self.assertEqual(self.names(), [])
        response = self.register()
        self.assertEqual((response.status, response.json()["dataset_id"]), (201, before))


class Snapshots(CatalogCase):
    def setUp(self):
        super().setUp()
        self.start()

    def test_time_travel(self):
        self.commit("create", 1)
        time.sleep(0.01)
        self.commit("append", 2)
        time.sleep(0.01)
        self.commit("replace", 3)
        self.assertEqual(self.keys(), ["3"])
        self.assertEqual(self.keys(query="?snapshot=2"), ["1", "2"])
        self.assertEqual(self.get(query="?snapshot=1")["rows"], 10)
        items = self.catalog.get("/catalog/datasets/sales/history").json()["items"]
        self.assertEqual([(one["snapshot"], one["operation"], one["rows_added"], one["rows_removed"])
                          for one in items], [(3, "replace", 10, 20), (2, "append", 10, 0), (1, "create", 10, 0)])
        for one in items:
            self.assertEqual(self.get(query=f"?as_of={one['time']}")["snapshot"], one["snapshot"])
        self.assertProblem(self.catalog.get("/catalog/datasets/sales?as_of=2001-01-01T00:00:00Z"), 404, "not_found")

    def test_restore(self):
        self.commit("create", 1)
        self.commit("replace", 2)
        response = self.catalog.post("/catalog/datasets/sales/restore", {"snapshot": 1})
        self.assertEqual((response.status, response.json()["status"], response.json()["snapshot"]),
                         (200, "restored", 3))
        self.assertEqual(self.keys(), ["1"])
        self.assertEqual(self.keys(query="?snapshot=2"), ["2"])
        again = self.catalog.post("/catalog/datasets/sales/restore", {"snapshot": 3}).json()
        self.assertEqual((again["status"], again["snapshot"]), ("unchanged", 3))
        self.store.delete("/storage/datasets/main/sales/data/2.parquet")
        self.assertProblem(self.catalog.post("/catalog/datasets/sales/restore", {"snapshot": 2}), 422, "bad_data")
        self.assertEqual(self.keys(), ["1"])
        self.catalog.restart()
        self.assertEqual(self.keys(), ["1"])

    def test_old_snapshots_are_forgotten(self):
        self.catalog.restart(**{"catalogd.snapshots_max": 3})
        for number in range(1, 6):
            self.commit("append", number)
        items = self.catalog.get("/catalog/datasets/sales/history").json()["items"]
        self.assertEqual([one["snapshot"] for one in items], [5, 4, 3])
        self.assertEqual(self.keys(), ["1", "2", "3", "4", "5"])
        self.assertProblem(self.catalog.get("/catalog/datasets/sales?snapshot=2"), 404, "not_found")
        self.assertEqual(self.commit("append", 1).json()["status"], "unchanged")

    def test_delete_and_purge(self):
        self.commit("create", 1)
        self.commit("replace", 2)
        shared = self.put_object("datasets/main/sales/data/2.parquet")
        self.register("other", mode="append", objects=[shared])
        self.assertEqual(self.catalog.delete("/catalog/datasets/sales?purge=true").status, 204)
        self.assertEqual([item["key"] for item in self.store.get("/storage").json()["items"]],
                         [manifest_path("other").removeprefix("/storage/"), "datasets/main/sales/data/2.parquet"])
        self.assertProblem(self.catalog.delete("/catalog/datasets/sales"), 404, "not_found")
        self.assertEqual(self.catalog.delete("/catalog/datasets/other").status, 204)
        self.assertEqual(self.store.head("/storage/datasets/main/sales/data/2.parquet").status, 200)
        self.catalog.restart()
        self.assertEqual(self.names(), [])
        again = self.commit("create", 1)
        self.assertEqual((again.status, again.json()["snapshot"]), (201, 1))


class Rename(CatalogCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.commit("create", 1)
        self.commit("append", 2)

    def rename(self, name, to):
        return self.catalog.post(f"/catalog/datasets/{name}/rename", {"to": to})

    def test_rename(self):
        response = self.rename("sales", "eu.sales")
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.json()["dataset_id"], dataset_id("eu.sales"))
        self.assertEqual(self.names(), ["eu.sales"])
        self.assertEqual(self.keys("eu.sales"), ["1", "2"])
        self.assertEqual(self.keys("eu.sales", "?snapshot=1"), ["1"])
        self.assertProblem(self.catalog.get("/catalog/datasets/sales"), 404, "not_found")
        self.assertEqual(self.store.head(manifest_path("sales")).status, 404)
        self.catalog.kill()
        self.catalog.restart()
        self.assertEqual(self.names(), ["eu.sales"])
        self.register("sales", "another")
        self.assertProblem(self.rename("eu.sales", "sales"), 409, "already_exists")
        self.assertProblem(self.rename("nothing", "x"), 404, "not_found")
        self.assertEqual(self.rename("sales", "main.sales").json()["status"], "unchanged")

    def test_a_crash_before_the_old_manifest_is_removed(self):
        old = self.store.get(manifest_path("sales")).body
        self.rename("sales", "b")
        self.rename("b", "c")
        self.catalog.kill()
        self.store.put(manifest_path("sales"), old)  # as if it had never been removed
        self.catalog.restart()
        self.assertEqual(self.names(), ["c"])
        self.assertEqual(self.store.head(manifest_path("sales")).status, 404)

    def test_a_dataset_made_later_under_the_old_name_stays(self):
        self.rename("sales", "b")
        self.register("sales", "another")
        self.catalog.restart()
        self.assertEqual(self.names(), ["b", "sales"])
        self.assertEqual(self.get("sales")["fingerprint"], "another")


class ManyWriters(CatalogCase):
    def check_line(self, count):
        """All commits are there, each once, one after the other."""
        history = []
        cursor = ""
        while cursor is not None:
            page = self.catalog.get(f"/catalog/datasets/sales/history?limit=50{cursor}").json()
            history += page["items"]
            cursor = page["next"] and f"&cursor={page['next']}"
        self.assertEqual([one["snapshot"] for one in history], list(range(count, 0, -1)))
        self.assertEqual(sorted(one["content_id"] for one in history), sorted(f"c{i}" for i in range(count)))
        self.assertEqual([one["rows"] for one in history], [10 * n for n in range(count, 0, -1)])
        self.assertEqual(sorted(self.keys(), key=int), [str(n) for n in range(count)])

    def test_one_catalog(self):
        self.start()
        count = 120
        responses = in_threads(24, lambda thread: [
            self.commit("append", number) for number in range(thread, count, 24)])
        for response in sum(responses, []):
            self.assertIn(response.status, (200, 201), response)
        self.check_line(count)
        self.catalog.kill()
        self.catalog.restart()
        self.check_line(count)

    def test_two_catalogs(self):
        """Each sees the other's commits by the condition of its own put; none is lost or done twice."""
        self.start()
        other = self.second_catalog()
        count = 60
        responses = in_threads(8, lambda thread: [
            self.commit("append", number, catalog=(self.catalog, other)[thread % 2])
            for number in range(thread, count, 8)])
        for response in sum(responses, []):
            self.assertIn(response.status, (200, 201), response)
        self.assertEqual(sorted(r.json()["snapshot"] for r in sum(responses, [])), list(range(1, count + 1)))
        self.catalog.restart()
        self.check_line(count)
        # What one does, the other notices as soon as it writes, or would answer from what it remembers.
        self.assertEqual(self.catalog.delete("/catalog/datasets/sales").status, 204)
        self.assertEqual(self.commit("append", 1, catalog=other).status, 201)
        self.assertEqual(self.commit("append", 2, expect_snapshot=1).json()["snapshot"], 2)
        self.assertEqual(self.commit("create", 2, catalog=other).json()["status"], "unchanged")
        self.assertEqual(self.catalog.post("/catalog/datasets/sales/rename", {"to": "b"}).status, 200)
        # The other one still knows it as "sales": what it deletes are not the objects of "b".
        self.assertProblem(other.delete("/catalog/datasets/sales?purge=true"), 503, "unavailable")
        self.assertProblem(other.delete("/catalog/datasets/sales"), 404, "not_found")
        self.assertEqual(self.store.head("/storage/datasets/main/sales/data/1.parquet").status, 200)
        self.assertEqual(other.delete("/catalog/datasets/b?purge=true").status, 204)
        self.assertEqual(self.store.head("/storage/datasets/main/sales/data/1.parquet").status, 404)

    def test_killed_while_committing(self):
        """What was acknowledged is there; what was not is there whole or not at all."""
        self.start()
        acknowledged, stop = set(), threading.Event()

        def work(thread):
            number = thread
            while not stop.is_set():
                try:
                    if self.commit("append", number).status in (200, 201):
                        acknowledged.add(str(number))
                        number += 4
                except (OSError, http.client.HTTPException):
                    time.sleep(0.01)  # the catalog is down: the same commit again

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            time.sleep(0.2 + 0.2 * self.random.random())
            self.catalog.kill()
            self.catalog.restart()
        time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join()
        keys = self.keys()
        self.assertEqual(len(keys), len(set(keys)))
        self.assertLessEqual(acknowledged, set(keys))
        answer = self.get()
        self.assertEqual(answer["snapshot"], len(keys))
        self.assertEqual(answer["rows"], 10 * len(keys))


class Damage(CatalogCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.commit("create", 1)
        self.register("good")
        self.path = manifest_path("sales")
        self.bytes = self.store.get(self.path).body

    def damage(self, data):
        self.store.put(self.path, data)
        self.catalog.restart()

    def test_quarantine(self):
        flipped = bytearray(self.bytes)
        flipped[len(flipped) // 4] ^= 1
        foreign = self.store.get(manifest_path("good")).body
        newer = self.bytes.replace(b"lakehouse.manifest\x18\x011", b"lakehouse.manifest\x18\x019")
        for data, code in ((bytes(flipped), "corrupt"), (self.bytes[:-9], "corrupt"), (b"", "corrupt"),
                           (b"no Parquet", "corrupt"), (foreign, "corrupt"), (newer, "unsupported")):
            with self.subTest(code=code, length=len(data)):
                self.damage(data)
                self.assertEqual(self.get("good")["snapshot"], 1)
                problem = self.catalog.get("/catalog/datasets/sales").json()
                self.assertEqual(problem["code"], code)
                self.assertIn(dataset_id("sales"), problem["detail"])
                health = self.catalog.get("/health")
                self.assertEqual((health.status, health.json()["status"]), (200, "degraded"))
                self.assertIn(dataset_id("sales"), health.text)
                items = self.catalog.get("/catalog/datasets").json()["items"]
                self.assertEqual([(item["dataset"], item["status"]) for item in items],
                                 [("good", "ok"), (None, "damaged")])
                self.assertEqual(items[1]["dataset_id"], dataset_id("sales"))
                for mode in ("create", "append", "replace"):
                    self.assertEqual(self.commit(mode, 2).json()["code"], code)
                self.assertEqual(self.catalog.delete("/catalog/datasets/sales").json()["code"], code)
                self.assertEqual(self.catalog.post("/catalog/datasets/good/rename", {"to": "sales"}).json()["code"],
                                 code)
                self.assertEqual(self.store.get(self.path).body, data, "a damaged manifest is never written over")

    def test_a_repaired_manifest_is_found_without_a_restart(self):
        self.damage(self.bytes[:-1])
        self.assertProblem(self.catalog.get("/catalog/datasets/sales"), 500, "corrupt")
        self.store.put(self.path, self.bytes)
        time.sleep(1.1)
        self.assertEqual(self.keys(), ["1"])
        self.assertEqual(self.catalog.get("/health").json()["status"], "ok")
        self.assertEqual(self.commit("append", 2).status, 200)

    def test_a_removed_one_as_well(self):
        self.damage(b"junk")
        self.store.delete(self.path)
        self.assertEqual(self.commit("create", 1).status, 201)

    def test_other_objects_below_the_prefix(self):
        self.store.put("/storage/_catalog/manifests/readme.txt", b"hello")
        self.catalog.restart()
        self.assertEqual(self.names(), ["good", "sales"])
        self.assertEqual(self.catalog.get("/health").json()["status"], "ok")

    def test_too_large(self):
        self.catalog.restart(**{"catalogd.manifest_bytes_max": "64KiB", "catalogd.objects_max": 100000})
        things = [self.put_object(f"k/{uuid.UUID(int=self.random.getrandbits(128))}") for _ in range(50)]
        self.assertEqual(self.register(mode="append", objects=things).status, 200)
        head = self.get()["snapshot"]
        for thing in things:
            thing["key"] += "2"
            self.store.put(f"/storage/{thing['key']}", b"x" * 100)
            thing["stats"] = {str(self.random.random()): {"min": self.random.random()} for _ in range(100)}
        self.assertProblem(self.register(mode="append", objects=things), 413, "too_large")
        self.assertEqual(self.get()["snapshot"], head)


def through(port, rule):
    """A behaviour for SlowPeer: passes each request on to `port`. rule(request) says what becomes of it:
    None = answered; "drop" = done, but the answer is lost; "refuse" = not done, and no answer."""
    def behave(peer, connection, request):
        verdict = rule(request)
        if verdict == "refuse":
            return False
        method, target, _ = request.line.split(" ")
        upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {name: value for name, value in request.headers if name.lower() not in ("host", "expect")}
        upstream.request(method, target, body=request.body or None, headers=headers)
        answer = upstream.getresponse()
        body = answer.read()
        upstream.close()
        if verdict == "drop":
            return False
        head = [f"HTTP/1.1 {answer.status} x"] + [f"{name}: {value}" for name, value in answer.getheaders()
                                                  if name.lower() not in ("connection", "transfer-encoding")]
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + (b"" if method == "HEAD" else body))
        return True
    return behave


class UnsureStore(CatalogCase):
    """Answers that do not come: what was written is found out, never guessed."""

    def setUp(self):
        super().setUp()
        self.start()
        self.verdicts = []  # for the next puts of a manifest
        self.puts = 0
        self.peer = SlowPeer(through(self.store.port, self.rule))
        self.addCleanup(self.peer.close)
        self.catalog = self.second_catalog(self.peer.url, **{"catalogd.storage_timeout": "4s"})

    def rule(self, request):
        if request.line.startswith("PUT /storage/_catalog/"):
            self.puts += 1
            return self.verdicts.pop(0) if self.verdicts else None
        if request.line.startswith("DELETE "):
            return self.verdicts.pop(0) if self.verdicts else None
        return None

    def test_the_answer_is_lost(self):
        self.verdicts = ["drop"]
        self.assertEqual(self.commit("create", 1).status, 201)
        self.verdicts = ["drop", "drop"]
        self.assertEqual(self.commit("append", 2).json()["status"], "appended")
        self.assertEqual(self.keys(), ["1", "2"])

    def test_the_request_is_lost(self):
        self.verdicts = ["refuse"]
        self.assertEqual(self.commit("create", 1).status, 201)
        self.verdicts = ["refuse"]
        self.assertEqual(self.commit("append", 2).json()["snapshot"], 2)

    def test_all_requests_are_lost(self):
        self.commit("create", 1)
        self.verdicts = ["refuse"] * 20
        response = self.commit("append", 2)
        self.assertIn(response.status, (502, 503, 504), response)
        self.assertEqual(self.keys(), ["1"], "memory is as before")
        self.verdicts = []
        self.assertEqual(self.commit("append", 2).json()["status"], "appended")
        self.assertEqual(self.keys(), ["1", "2"])

    def test_delete(self):
        self.commit("create", 1)
        self.verdicts = ["drop"]
        self.assertEqual(self.catalog.delete("/catalog/datasets/sales").status, 204)
        self.assertEqual(self.names(), [])


class LateService(Service):
    """Starts without waiting until it is ready."""

    def wait_ready(self, seconds=0):
        return super().wait_ready(seconds) if seconds else self


def wait_stopped(pid):
    """SIGSTOP was sent; each thread of a busy process stops when it is told, which may be a moment later."""
    def states():
        return {stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")}
    while states() != {"T"}:
        time.sleep(0.001)


class StoreAway(CatalogCase):
    def test_at_start(self):
        """Not ready while storaged is away, alive all the same; ready soon after it comes."""
        self.start()
        self.commit("create", 1)
        self.store.kill()
        self.catalog.kill()
        late = self._started(LateService("catalogd", self.folder / "late", {"storaged": self.store.url}))
        deadline = time.monotonic() + 10 * SLOWDOWN
        statuses = {}
        while time.monotonic() < deadline and len(statuses) < 4:
            for path in ("/livez", "/health", "/readyz", "/catalog/datasets"):
                try:
                    statuses[path] = late.get(path).status
                except OSError:
                    time.sleep(0.05)
        self.assertEqual(statuses, {"/livez": 200, "/health": 200, "/readyz": 503, "/catalog/datasets": 503})
        self.store.restart()
        late.wait_ready(10)
        self.assertEqual(self.names(late), ["sales"])

    def test_stopped_while_waiting(self):
        late = self._started(LateService("catalogd", self.folder / "late", {"storaged": "http://127.0.0.1:9"}))
        time.sleep(0.3 * SLOWDOWN)
        self.assertEqual(late.stop(5), 0)

    def test_later(self):
        """Reads go on from memory, changes fail at once, /health says so; all is well without a restart."""
        self.start()
        self.commit("create", 1)
        self.store.kill()
        begin = time.monotonic()
        self.assertProblem(self.register("new"), 503, "unavailable")
        self.assertProblem(self.catalog.delete("/catalog/datasets/sales"), 503, "unavailable")
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(self.keys(), ["1"])
        self.assertEqual(self.catalog.get("/health").json()["status"], "degraded")
        self.store.restart()
        self.assertEqual(self.catalog.get("/health").json()["status"], "ok")
        self.assertEqual(self.register("new").status, 201)
        self.assertEqual(self.commit("append", 2).status, 200)


    def hang(self, **members):
        """A commit while the store takes requests and does not answer; then again, when it does."""
        self.store.process.send_signal(signal.SIGSTOP)
        try:
            wait_stopped(self.store.pid)
            begin = time.monotonic()
            response = self.register(mode="append", **members)
            self.assertIn(response.status, (503, 504), response)
            self.assertLess(time.monotonic() - begin, 8 * SLOWDOWN)
            begin = time.monotonic()
            self.assertEqual(self.get()["snapshot"], self.snapshot, "reads go on, and show what is acknowledged")
            self.assertEqual(self.catalog.get("/health").json()["status"], "degraded")
            self.assertLess(time.monotonic() - begin, 4 * SLOWDOWN)
        finally:
            self.store.process.send_signal(signal.SIGCONT)
        for _ in range(2):
            response = self.register(mode="append", **members)
            self.assertEqual(response.status, 200, response)
            self.assertEqual(response.json()["snapshot"], self.snapshot + 1, "once, whatever became of the first")
        self.snapshot += 1

    def test_hanging(self):
        self.start(**{"catalogd.storage_timeout": "2s"})
        self.commit("create", 1)
        self.snapshot = 1
        thing = self.put_object("datasets/main/sales/data/2.parquet")
        self.hang(objects=[thing], content_id="c2")  # hangs when it looks for the object
        self.hang(content_id="c3")  # hangs in the put of the manifest
        self.catalog.restart()
        self.assertEqual((self.get()["snapshot"], self.keys()), (3, ["1", "2"]))


class Changes(CatalogCase):
    def setUp(self):
        super().setUp()
        self.start()

    def changes(self, cursor=None, wait_ms=0):
        since = "" if cursor is None else f"&since={cursor}"
        response = self.catalog.get(f"/catalog/changes?wait_ms={wait_ms}{since}")
        self.assertEqual(response.status, 200, response)
        return response.json()

    def test_feed(self):
        self.register("a")
        first = self.changes()
        self.assertTrue(first["reset"])
        self.assertEqual([(c["dataset"], c["op"], c["snapshot"]) for c in first["changes"]], [("a", "commit", 1)])
        self.assertEqual(self.changes(first["cursor"])["changes"], [])
        self.commit("create", 1)
        self.commit("append", 2)
        self.catalog.post("/catalog/datasets/sales/rename", {"to": "b"})
        self.catalog.delete("/catalog/datasets/a")
        self.register("b")  # changes nothing, so it is no change
        second = self.changes(first["cursor"])
        self.assertFalse(second["reset"])
        self.assertEqual([(c["dataset"], c["op"], c.get("snapshot")) for c in second["changes"]],
                         [("sales", "commit", 1), ("sales", "commit", 2), ("sales", "delete", None),
                          ("b", "commit", 2), ("a", "delete", None)])
        self.assertEqual(second["changes"][3]["version"], self.get("b")["version"])

    def test_restart_is_a_reset(self):
        self.register("a")
        cursor = self.changes()["cursor"]
        self.catalog.restart()
        answer = self.changes(cursor)
        self.assertTrue(answer["reset"])
        self.assertEqual([change["dataset"] for change in answer["changes"]], ["a"])
        self.assertTrue(self.changes("nonsense")["reset"])

    def test_long_poll(self):
        cursor = self.changes()["cursor"]
        begin = time.monotonic()
        self.assertEqual(self.changes(cursor, wait_ms=300)["changes"], [])
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        answers = []
        waiter = threading.Thread(target=lambda: answers.append(self.changes(cursor, wait_ms=20000)))
        waiter.start()
        time.sleep(0.2)
        begin = time.monotonic()
        self.register("a")
        waiter.join()
        self.assertLess(time.monotonic() - begin, 2)
        self.assertEqual([change["dataset"] for change in answers[0]["changes"]], ["a"])

    def test_many_waiters_and_stop(self):
        self.catalog.restart(**{"catalogd.waiters_max": 4})
        cursor = self.changes()["cursor"]
        statuses = []

        def wait():
            response = self.catalog.get(f"/catalog/changes?wait_ms=20000&since={cursor}")
            statuses.append(response.status)

        threads = [threading.Thread(target=wait) for _ in range(7)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 10
        while len(statuses) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(statuses, [503] * 3)
        self.assertEqual(self.register("a").status, 201, "changes go on while readers wait")
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(statuses), [200] * 4 + [503] * 3)

        cursor = self.changes()["cursor"]
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.2)
        begin = time.monotonic()
        self.assertEqual(self.catalog.stop(), 0)
        waiter.join()
        self.assertLess(time.monotonic() - begin, 3, "a wait ends when the service stops")
        self.assertEqual(statuses[-1], 200)

    def test_a_reader_that_leaves_frees_its_place(self):
        self.catalog.restart(**{"catalogd.waiters_max": 1})
        cursor = self.changes()["cursor"]
        gone = http.client.HTTPConnection("127.0.0.1", self.catalog.port)
        gone.request("GET", f"/catalog/changes?wait_ms=20000&since={cursor}")
        time.sleep(0.2)
        self.assertEqual(self.catalog.get(f"/catalog/changes?wait_ms=1000&since={cursor}").status, 503)
        gone.close()
        deadline = time.monotonic() + 10
        status = 503
        while status == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
            status = self.catalog.get(f"/catalog/changes?wait_ms=10&since={cursor}").status
        self.assertEqual(status, 200)


class Start(CatalogCase):
    def test_thousands_of_datasets(self):
        """The start reads every manifest; no cap, nothing left out."""
        self.start()
        count = 300 if SANITIZE else 1000
        in_threads(8, lambda thread: [self.register(f"d{n:05}") for n in range(thread, count, 8)])
        self.catalog.restart()
        loaded = [line for line in self.catalog.log() if line["message"] == "catalog loaded"][-1]
        self.assertEqual(loaded["datasets"], count)
        names, cursor = [], ""
        while cursor is not None:
            page = self.catalog.get(f"/catalog/datasets?prefix=d&limit=700{cursor}").json()
            names += [item["dataset"] for item in page["items"]]
            cursor = page["next"] and f"&cursor={page['next']}"
        self.assertEqual(names, [f"d{n:05}" for n in range(count)])
        self.assertEqual(len(self.catalog.get("/catalog/changes").json()["changes"]), count)


if __name__ == "__main__":
    main()
