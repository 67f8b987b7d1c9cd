#!/usr/bin/env python3
"""Snapshots on demand, and that filters, numbers as ids and raw items come back after a kill."""

import struct
import threading

from support.lakehouse import TestCase, main


class Snapshots(TestCase):
    def lake(self, **settings):
        lake = self.stack("storaged", "vectord", **settings)
        lake.vectord.post("/vectors", {"name": "docs", "dimension": 2, "metric": "l2"})
        return lake

    def add(self, lake, first, count):
        items = [{"id": i, "vector": [i, 1], "metadata": {"n": i, "even": i % 2 == 0}}
                 for i in range(first, first + count)]
        self.assertEqual(lake.vectord.post("/vectors/docs/add", {"items": items}).json()["added"], count)

    def found(self, lake, condition):
        hits = lake.vectord.post("/vectors/docs/search",
                                 {"vector": [0, 0], "k": 1000, "filter": condition}).json()["hits"]
        return {int(hit["id"]) for hit in hits}

    def test_a_snapshot_has_everything(self):
        lake = self.lake()
        self.add(lake, 0, 100)
        self.add(lake, 100, 10)
        taken = lake.vectord.post("/vectors/docs/snapshot")
        self.assertEqual(taken.status, 200)
        self.assertEqual((taken.json()["snapshot_sequence"], taken.json()["log_objects"]), (2, 0))
        bytes_ = taken.json()["snapshot_bytes"]
        again = lake.vectord.post("/vectors/docs/snapshot").json()
        self.assertEqual((again["snapshot_sequence"], again["snapshot_bytes"]), (2, bytes_))
        self.assertEqual(lake.storaged.get("/storage?prefix=_vectors/docs/log/").json()["items"], [])
        self.add(lake, 110, 5)
        self.assertEqual(lake.vectord.post("/vectors/docs/snapshot").json()["snapshot_sequence"], 3)
        self.assertProblem(lake.vectord.post("/vectors/nope/snapshot"), 404, "not_found")

    def test_everything_is_there_after_a_kill(self):
        lake = self.lake()
        self.add(lake, 0, 50)
        lake.vectord.post("/vectors/docs/snapshot")
        self.add(lake, 50, 50)
        raw = b"".join(struct.pack("<Q2f", i, i, 1) for i in range(95, 105))
        answer = lake.vectord.post("/vectors/docs/add", raw, {"Content-Type": "application/x-lakehouse-f32"})
        self.assertEqual(answer.json(), {"added": 5, "updated": 5, "durable": True})
        lake.vectord.post("/vectors/docs/delete", {"filter": {"n": {"$lt": 10}}})
        wanted = {i for i in range(10, 95) if i % 2 == 0}
        for _ in range(2):
            self.assertEqual(self.found(lake, {"even": True}), wanted)
            self.assertEqual(self.found(lake, {"n": {"$exists": False}}), set(range(95, 105)))
            lake.vectord.kill()
            lake.vectord.start()

    def test_many_ask_at_the_same_time(self):
        lake = self.lake()
        answers = []

        def work(number):
            self.add(lake, number * 100, 100)
            answers.append(lake.vectord.post("/vectors/docs/snapshot").status)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 8)
        stats = lake.vectord.get("/vectors/docs").json()
        self.assertEqual((stats["count"], stats["log_objects"]), (800, 0))

    def test_changes_that_wait_to_be_saved_are_in_it(self):
        lake = self.lake(**{"vectord.durability": "async"})
        self.add(lake, 0, 100)
        taken = lake.vectord.post("/vectors/docs/snapshot").json()
        self.assertEqual((taken["pending_bytes"], taken["log_objects"]), (0, 0))
        lake.vectord.kill()
        lake.vectord.start()
        self.assertEqual(lake.vectord.get("/vectors/docs").json()["count"], 100)

    def test_storaged_is_away(self):
        lake = self.lake(**{"vectord.storage_timeout": "1s"})
        self.add(lake, 0, 10)
        lake.storaged.kill()
        self.assertIn(lake.vectord.post("/vectors/docs/snapshot").status, (503, 504))
        lake.storaged.start()
        self.assertEqual(lake.vectord.post("/vectors/docs/snapshot").status, 200)


if __name__ == "__main__":
    main()
