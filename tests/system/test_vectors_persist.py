#!/usr/bin/env python3
"""8: vectors_persist. What was acknowledged is there after kill -9; what is damaged is named and left alone;
what was deleted is gone."""

import json
import signal
import struct
import time

from support.lakehouse import SLOWDOWN, TestCase, in_threads, main
from support.vectors import add_all, clustered, recall

DIMENSION = 16


class Persist(TestCase):
    def start(self, **settings):
        self.stack_ = self.stack("storaged", "vectord", **settings)
        self.storage, self.vectors = self.stack_.storaged, self.stack_.vectord

    def keys(self, prefix="_vectors/"):
        listing = self.storage.get(f"/storage?prefix={prefix}&limit=1000").json()
        return [item["key"] for item in listing["items"]]

    def create(self, name="docs", metric="l2"):
        answer = self.vectors.post("/vectors",
                                   {"name": name, "dimension": DIMENSION, "metric": metric})
        self.assertEqual(answer.status, 201, answer)

    def add(self, name, items):
        return self.vectors.post(f"/vectors/{name}/add", {"items": items})

    def restart(self, **settings):
        self.vectors.kill()
        self.vectors.restart(**settings)

    def stats(self, name="docs"):
        answer = self.vectors.get(f"/vectors/{name}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def wait_for(self, what, condition, seconds=15):
        deadline = time.monotonic() + seconds * SLOWDOWN
        while time.monotonic() < deadline:
            result = condition()
            if result:
                return result
            time.sleep(0.05)
        self.fail(f"{what} did not happen within {seconds} s")

    def assertFindsItself(self, vectors, name="docs"):
        for i in range(0, len(vectors), max(1, len(vectors) // 50)):
            hit = self.vectors.post(f"/vectors/{name}/search",
                                    {"vector": vectors[i], "k": 1}).json()["hits"][0]
            self.assertEqual(hit["distance"], 0)

    # ---- the eight cases ----

    def test_1_create_add_search(self):
        self.start()
        self.create()
        vectors = clustered(self.random, 300, DIMENSION)
        add_all(self.vectors, "docs", vectors, batch=100)
        answer = self.add("docs", [{"id": "0", "vector": vectors[0], "metadata": {"new": 1}}])
        self.assertEqual(answer.json(), {"added": 0, "updated": 1, "durable": True})
        self.assertFindsItself(vectors)
        self.assertEqual(self.keys(), ["_vectors/docs.lhv1"] + [
            f"_vectors/docs/log/{n:020}.lhvl" for n in range(1, 5)])

    def check_kill(self, metric, **settings):
        self.start(**settings)
        self.create(metric=metric)
        vectors = clustered(self.random, 3100, DIMENSION)
        vectors, queries = vectors[:3000], vectors[3000:]
        add_all(self.vectors, "docs", vectors, batch=500, metadata=lambda i: {"i": i})
        self.vectors.post("/vectors/docs/delete", {"ids": [str(i) for i in range(10)]})
        self.add("docs", [{"id": "10", "vector": vectors[11]}])
        before = self.stats()
        found = recall(self.vectors, "docs", queries)
        answers = [self.vectors.post("/vectors/docs/search", {"vector": q}).json()["hits"]
                   for q in queries[:20]]
        self.restart()
        after = self.stats()
        self.assertEqual(after["count"], 2990)
        for member in ("count", "created", "dimension", "metric", "m", "sequence"):
            self.assertEqual(after[member], before[member])
        if metric != "ip":
            self.assertFindsItself(vectors[100:])
        self.assertEqual(recall(self.vectors, "docs", queries), found)
        for query, hits in zip(queries, answers):
            self.assertEqual(self.vectors.post("/vectors/docs/search", {"vector": query})
                             .json()["hits"], hits)
        self.assertEqual(self.vectors.get("/vectors/docs/items/5").status, 404)
        self.assertEqual(self.vectors.get("/vectors/docs/items/10").json()["metadata"], None)
        self.assertEqual(self.vectors.get("/vectors/docs/items/42").json()["metadata"], {"i": 42})

    def test_2_kill_and_replay(self):
        self.check_kill("cosine")

    def test_3_kill_after_a_fold(self):
        self.check_kill("l2", **{"vectord.fold_log_objects": 3})
        self.wait_for("the fold", lambda: self.stats()["snapshot_sequence"] > 0)

    def test_4_recall_is_the_same_for_ip(self):
        self.check_kill("ip")

    def test_5_and_6_delete_removes_the_objects(self):
        self.start()
        self.create("keep")
        self.create("docs")
        add_all(self.vectors, "docs", clustered(self.random, 50, DIMENSION), batch=10)
        self.assertEqual(len(self.keys("_vectors/docs")), 6)
        self.assertEqual(self.vectors.delete("/vectors/docs").status, 204)
        self.assertEqual(self.keys(), ["_vectors/keep.lhv1"])
        self.assertProblem(self.vectors.delete("/vectors/docs"), 404, "not_found")

        # And after a restart it is still gone.
        self.restart()
        self.assertProblem(self.vectors.get("/vectors/docs"), 404, "not_found")
        self.assertEqual([i["name"] for i in self.vectors.get("/vectors").json()["items"]], ["keep"])
        self.create("docs")
        self.assertEqual(self.stats("docs")["count"], 0)

    def test_7_damage_is_quarantined(self):
        self.start(**{"vectord.fold_log_objects": 2})
        vectors = clustered(self.random, 200, DIMENSION)
        kinds = ("flipped", "cut", "nothing", "swapped", "log", "gap")
        for name in kinds + ("sound",):
            self.create(name)
            add_all(self.vectors, name, vectors, batch=50)
            self.wait_for("a fold", lambda: self.stats(name)["snapshot_sequence"] >= 2)
            for number in range(3):  # something behind the snapshot
                self.add(name, [{"id": f"late {number}", "vector": vectors[0]}])
        self.vectors.stop()
        self.vectors.settings["vectord.fold_log_objects"] = 1000
        snapshot = lambda name: f"/storage/_vectors/{name}.lhv1"
        whole = self.storage.get(snapshot("flipped")).body
        self.storage.put(snapshot("flipped"), whole[:9000] + bytes([whole[9000] ^ 4]) + whole[9001:])
        self.storage.put(snapshot("cut"), self.storage.get(snapshot("cut")).body[:-100])
        self.storage.put(snapshot("nothing"), b"")
        self.storage.put(snapshot("swapped"), self.storage.get(snapshot("sound")).body)
        logs = lambda name: self.keys(f"_vectors/{name}/log/")
        for name in ("log", "gap"):  # whatever a fold covered meanwhile, there is a log behind
            if len(logs(name)) < 2:
                self.vectors.start()
                for number in range(3):
                    self.add(name, [{"id": f"later {number}", "vector": vectors[0]}])
                self.vectors.stop()
        key = f"/storage/{logs('log')[-1]}"
        record = self.storage.get(key).body
        self.storage.put(key, record[:60] + bytes([record[60] ^ 1]) + record[61:])
        self.storage.delete(f"/storage/{logs('gap')[-2]}")
        damaged = {name: self.storage.get(snapshot(name)).body for name in kinds}

        self.vectors.start()
        health = self.vectors.get("/health").json()
        self.assertEqual(health["status"], "degraded")
        listed = {item["name"]: item for item in self.vectors.get("/vectors").json()["items"]}
        for name in kinds:
            self.assertEqual(listed[name]["status"], "corrupt", listed[name])
            self.assertTrue(listed[name]["problem"])
            self.assertIn(f"'{name}'", json.dumps(health))
            for answer in (self.vectors.get(f"/vectors/{name}"),
                           self.vectors.post(f"/vectors/{name}/search", {"vector": vectors[0]}),
                           self.add(name, [{"id": "x", "vector": vectors[0]}]),
                           self.vectors.get(f"/vectors/{name}/items/1"),
                           self.vectors.post("/vectors", {"name": name, "dimension": DIMENSION})):
                self.assertProblem(answer, 503, "index_corrupt")
        self.assertEqual(listed["sound"]["status"], "ready")
        self.assertFindsItself(vectors, "sound")
        self.assertEqual(self.add("sound", [{"id": "x", "vector": vectors[0]}]).status, 200)
        self.assertEqual({name: self.storage.get(snapshot(name)).body for name in kinds}, damaged)
        # It is the user's to delete.
        self.assertEqual(self.vectors.delete("/vectors/flipped").status, 204)
        self.assertEqual(self.keys("_vectors/flipped"), [])

    def test_8_memory_only(self):
        self.start()
        alone = self.service("vectord", **{"vectord.storaged_url": ""})
        self.assertEqual(alone.get("/health").json()["durability"], "ephemeral")
        self.assertEqual(self.vectors.get("/health").json()["durability"], "sync")
        alone.post("/vectors", {"name": "docs", "dimension": 2})
        alone.post("/vectors/docs/add", {"items": [{"id": "a", "vector": [1, 0]}]})
        self.assertEqual(self.keys(), [])
        alone.kill()
        alone.start()
        self.assertEqual(alone.get("/vectors").json()["items"], [])

    # ---- beyond ----

    def test_every_acknowledged_add_survives_kills(self):
        """Killed in the middle of adds, ten times; with folds going on."""
        self.start(**{"vectord.fold_log_objects": 4})
        self.create()
        vectors = clustered(self.random, 2000, DIMENSION)
        acknowledged = set()
        number = 0
        for _ in range(10):
            deadline = time.monotonic() + self.random.uniform(0.05, 0.3)
            while time.monotonic() < deadline and number < 2000:
                item = {"id": str(number), "vector": vectors[number]}
                if self.add("docs", [item]).status == 200:
                    acknowledged.add(number)
                number += 1
            self.restart()
            self.assertGreaterEqual(self.stats()["count"], len(acknowledged))
        for i in acknowledged:
            self.assertEqual(self.vectors.get(f"/vectors/docs/items/{i}").status, 200, i)

    def test_writers_share_log_objects(self):
        """Group commit: what comes while one object is being written goes into the next one together."""
        self.start()
        self.create()
        vectors = clustered(self.random, 400, DIMENSION)

        def work(number):
            for i in range(number * 25, number * 25 + 25):
                answer = self.add("docs", [{"id": str(i), "vector": vectors[i]}])
                self.assertEqual(answer.json(), {"added": 1, "updated": 0, "durable": True})

        in_threads(16, work)
        stats = self.stats()
        self.assertEqual(stats["count"], 400)
        print(f"400 adds of 16 writers: {stats['sequence']} log objects")
        self.assertLess(stats["sequence"], 300)
        self.restart()
        self.assertEqual(self.stats()["count"], 400)

    def test_storaged_away_and_back(self):
        self.start(**{"vectord.storage_timeout": "1s"})
        self.create()
        vectors = clustered(self.random, 20, DIMENSION)
        add_all(self.vectors, "docs", vectors)
        self.storage.kill()
        answer = self.add("docs", [{"id": "lost", "vector": vectors[0]}])
        self.assertProblem(answer, 503, "unavailable")
        self.assertEqual(self.vectors.get("/vectors/docs/items/lost").status, 404)
        self.assertFindsItself(vectors)
        self.assertEqual(self.vectors.get("/health").json()["status"], "degraded")
        self.assertProblem(self.vectors.post("/vectors", {"name": "b", "dimension": 2}),
                           503, "unavailable")
        self.storage.restart()
        self.wait_for("health", lambda: self.vectors.get("/health").json()["status"] == "ok")
        self.assertEqual(self.add("docs", [{"id": "kept", "vector": vectors[0]}]).status, 200)
        self.restart()
        self.assertEqual(self.stats()["count"], 21)

    def test_outcome_unknown(self):
        """storaged hangs, the add times out, storaged goes on and makes it durable after all. Memory
        must agree with what a restart would find, and the next add must not overwrite it."""
        self.start(**{"vectord.storage_timeout": "500ms"})
        self.create()
        vectors = clustered(self.random, 20, DIMENSION)
        add_all(self.vectors, "docs", vectors)
        many = lambda name: [{"id": f"{name} {i}", "vector": vectors[0]} for i in range(1000)]
        self.storage.process.send_signal(signal.SIGSTOP)
        answer = self.add("docs", many("a") + [{"id": "unknown", "vector": vectors[0]}])
        self.assertEqual(answer.status, 504, answer)
        self.storage.process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        answer = self.add("docs", many("b") + [{"id": "next", "vector": vectors[1]}])
        self.assertEqual(answer.status, 200, answer)
        there = self.vectors.get("/vectors/docs/items/unknown").status
        self.assertEqual(self.vectors.get("/vectors/docs/items/next").status, 200)
        count = self.stats()["count"]
        self.restart()
        self.assertEqual(self.stats()["count"], count)
        self.assertEqual(self.vectors.get("/vectors/docs/items/unknown").status, there)
        self.assertEqual(self.vectors.get("/vectors/docs/items/next").status, 200)

    def test_outcome_unknown_then_deleted(self):
        """A delete that was answered holds, also of an item whose add was not."""
        self.start(**{"vectord.storage_timeout": "500ms"})
        self.create()
        self.storage.process.send_signal(signal.SIGSTOP)
        answer = self.add("docs", [{"id": "unknown", "vector": [1] * DIMENSION}])
        self.assertEqual(answer.status, 504, answer)
        self.storage.process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        gone = self.vectors.post("/vectors/docs/delete", {"ids": ["unknown"]})
        self.assertEqual(gone.status, 200)
        self.assertEqual(self.vectors.get("/vectors/docs/items/unknown").status, 404)
        self.add("docs", [{"id": "later", "vector": [1] * DIMENSION}])
        self.assertEqual(self.vectors.get("/vectors/docs/items/unknown").status, 404)
        self.restart()
        self.assertEqual(self.stats()["count"], 1)

    def test_drop_while_storaged_is_away(self):
        self.start(**{"vectord.storage_timeout": "500ms"})
        self.create()
        add_all(self.vectors, "docs", clustered(self.random, 20, DIMENSION))
        self.storage.kill()
        self.assertProblem(self.vectors.delete("/vectors/docs"), 503, "unavailable")
        listed = self.vectors.get("/vectors").json()["items"]
        self.assertEqual([item["status"] for item in listed], ["dropping"])
        self.assertEqual(self.add("docs", [{"id": "x", "vector": [1] * DIMENSION}]).status, 404)
        again = self.vectors.post("/vectors", {"name": "docs", "dimension": DIMENSION})
        self.assertProblem(again, 503, "unavailable")
        self.storage.restart()
        self.wait_for("the drop", lambda: not self.keys())
        self.assertEqual(self.vectors.get("/vectors").json()["items"], [])
        self.create()

    def test_started_before_storaged(self):
        self.start()
        self.create()
        self.storage.kill()
        self.vectors.kill()
        wait_ready, self.vectors.wait_ready = self.vectors.wait_ready, lambda: None
        self.vectors.start()
        self.vectors.wait_ready = wait_ready
        self.wait_for("an answer", lambda: self.responds())
        self.assertEqual(self.vectors.get("/readyz").status, 503)
        self.assertProblem(self.vectors.get("/vectors"), 503, "not_ready")
        self.storage.restart()
        self.vectors.wait_ready()
        self.assertEqual(self.stats()["status"], "ready")

    def responds(self):
        try:
            return self.vectors.get("/livez").status == 200
        except OSError:
            return False

    def test_a_slow_index_holds_up_nobody(self):
        """A load that runs out of time is unavailable, others serve, and it comes later."""
        self.start()
        self.create("small")
        self.create("large")
        add_all(self.vectors, "large", clustered(self.random, 8000, DIMENSION), batch=4000)
        self.restart(**{"vectord.load_timeout": "100ms"})
        listed = {i["name"]: i["status"] for i in self.vectors.get("/vectors").json()["items"]}
        self.assertEqual(listed, {"small": "ready", "large": "unavailable"})
        self.assertProblem(self.vectors.get("/vectors/large"), 503, "unavailable")
        self.assertIn("'large'", self.vectors.get("/health").text)
        self.restart(**{"vectord.load_timeout": "2m"})
        self.assertEqual(self.stats("large")["count"], 8000)

    def test_leftovers_of_a_deleted_index(self):
        """A log without a snapshot is swept; one of another index of the same name is not replayed."""
        self.start()
        self.create("old")
        add_all(self.vectors, "old", clustered(self.random, 10, DIMENSION))
        record = self.storage.get("/storage/_vectors/old/log/00000000000000000001.lhvl").body
        self.vectors.stop()
        self.storage.delete("/storage/_vectors/old.lhv1")
        self.vectors.start()
        self.assertEqual(self.keys(), [])
        self.create("old")
        # One that was on its way when the index was deleted, and landed late.
        self.storage.put("/storage/_vectors/old/log/00000000000000000001.lhvl", record)
        self.assertEqual(self.add("old", [{"id": "new", "vector": [1] * DIMENSION}]).status, 200)
        self.assertEqual(self.stats("old")["count"], 1)
        self.restart()
        self.assertEqual(self.stats("old")["count"], 1)

    def test_async(self):
        self.start(**{"vectord.durability": "async", "vectord.storage_timeout": "500ms"})
        self.create()
        vectors = clustered(self.random, 20, DIMENSION)
        answer = self.add("docs", [{"id": "0", "vector": vectors[0]}])
        self.assertFalse(answer.json()["durable"])
        self.wait_for("the save", lambda: self.stats()["sequence"] == 1)
        self.storage.kill()
        for i in range(1, 20):
            self.assertEqual(self.add("docs", [{"id": str(i), "vector": vectors[i]}]).status, 200)
        self.assertFindsItself(vectors)
        health = self.wait_for("degraded", lambda: (
            lambda h: h if h["status"] == "degraded" else None)(self.vectors.get("/health").json()))
        self.assertEqual(health["durability"], "async")
        self.assertGreater(self.failures(), 0)
        self.storage.restart()
        self.wait_for("the save", lambda: self.vectors.get("/health").json()["status"] == "ok"
                      and self.stats()["pending_bytes"] == 0 and self.stats()["sequence"] >= 2)
        self.restart()
        self.assertEqual(self.stats()["count"], 20)
        self.add("docs", [{"id": "last", "vector": vectors[0]}])
        self.assertEqual(self.vectors.stop(), 0)  # a clean end saves what waits
        self.vectors.start()
        self.assertEqual(self.stats()["count"], 21)

    def failures(self):
        for line in self.vectors.get("/metrics").text.splitlines():
            if line.startswith("lakehouse_vectord_commit_failures_total"):
                return float(line.split()[1])

    def test_rebuild(self):
        """More than 20 % dead: the index is copied without the dead, and the snapshot, too."""
        self.start()
        self.create()
        vectors = clustered(self.random, 3000, DIMENSION)
        add_all(self.vectors, "docs", vectors, metadata=lambda i: {"i": i})
        self.vectors.post("/vectors/docs/delete", {"ids": [str(i) for i in range(1200)]})
        self.wait_for("the rebuild", lambda: self.stats()["deleted"] == 0)
        self.assertEqual(self.stats()["count"], 1800)
        self.wait_for("the fold", lambda: self.stats()["log_objects"] == 0)
        self.assertFindsItself(vectors[1200:])
        self.assertEqual(self.keys(), ["_vectors/docs.lhv1"])
        self.restart()
        self.assertEqual((self.stats()["count"], self.stats()["deleted"]), (1800, 0))
        self.assertFindsItself(vectors[1200:])
        self.assertEqual(self.vectors.get("/vectors/docs/items/2000").json()["metadata"], {"i": 2000})

    def test_a_resting_log_is_folded(self):
        self.start(**{"vectord.fold_idle": "500ms"})
        self.create("small")
        self.add("small", [{"id": "a", "vector": [1] * DIMENSION}])
        self.create()
        vectors = clustered(self.random, 4000, DIMENSION)
        add_all(self.vectors, "docs", vectors, metadata=lambda i: {"text": "x" * 250})
        self.wait_for("the fold", lambda: self.stats()["log_objects"] == 0)
        self.assertEqual(self.stats("small")["log_objects"], 1)  # not worth it
        self.restart()
        self.assertFindsItself(vectors)

    def test_the_snapshot_is_what_the_format_says(self):
        self.start(**{"vectord.fold_log_objects": 1})
        self.create()
        vectors = clustered(self.random, 100, DIMENSION)
        add_all(self.vectors, "docs", vectors)
        self.wait_for("the fold", lambda: self.stats()["log_objects"] == 0)
        body = self.storage.get("/storage/_vectors/docs.lhv1").body
        self.assertEqual(body[:4], b"LHV1")
        length = struct.unpack(">I", body[4:8])[0]
        self.assertEqual((8 + length) % 4096, 0)
        envelope = json.loads(body[8:8 + length])
        self.assertEqual(len(body), 8 + length + envelope["graph_bytes"])
        self.assertEqual((envelope["name"], envelope["count"], envelope["metric"],
                          envelope["dimension"]), ("docs", 100, "l2", DIMENSION))
        self.assertEqual((envelope["version"], envelope["sections"][0]["name"]), (2, "sums"))
        self.assertEqual(envelope["sections"][-1]["name"], "vectors")
        start = 8 + length + envelope["sections"][-1]["offset"]
        row = struct.unpack(f"<{DIMENSION}f", body[start:start + 4 * DIMENSION])
        self.assertEqual(list(row), vectors[0])
        for section in envelope["sections"]:
            self.assertEqual(section["offset"] % 64, 0)


if __name__ == "__main__":
    main()
