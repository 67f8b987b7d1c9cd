#!/usr/bin/env python3
"""Filters of vectord: searches and deletes of the items whose metadata fulfil them, raw bodies,
statistics on demand."""

import json
import random
import struct
import threading
import urllib.parse

from support.lakehouse import TestCase, main
from support.vectors import add_all, clustered, nearest

RAW = "application/x-lakehouse-f32"
HITS = "application/x-lakehouse-hits"
DIMENSION = 16
COUNT = 6000


def raw_vectors(vectors):
    return b"".join(struct.pack(f"<{len(v)}f", *v) for v in vectors)


def read_hits(body):
    """[(ids, distances, exact)] of an answer in raw bytes."""
    results, at = [], 0
    while at < len(body):
        count, flags = struct.unpack_from("<II", body, at)
        at += 8
        distances = list(struct.unpack_from(f"<{count}f", body, at))
        at += 4 * count
        lengths = struct.unpack_from(f"<{count}H", body, at)
        at += 2 * count
        ids = []
        for length in lengths:
            ids.append(body[at:at + length].decode())
            at += length
        at += -at % 4
        results.append((ids, distances, bool(flags & 1)))
    return results


class Filters(TestCase):
    def start(self, **settings):
        self.vectors = self.service("vectord", **{"vectord.storaged_url": "", **settings})
        return self.vectors

    def create(self, name="docs", dimension=DIMENSION, **more):
        return self.vectors.post("/vectors",
                                 {"name": name, "dimension": dimension, "metric": "l2", **more})

    def search(self, body, name="docs"):
        return self.vectors.post(f"/vectors/{name}/search", body)

    def fill(self):
        """COUNT items; `part` says for which shares a filter on it selects."""
        self.start()
        self.create()
        self.random = random.Random(7)
        self.data = clustered(self.random, COUNT, DIMENSION)
        add_all(self.vectors, "docs", self.data, metadata=self.metadata)

    def metadata(self, i):
        return {"part": i % 1000, "near": self.data[i][0] > 0, "text": f"t{i % 10}",
                "tags": [i % 3, "even" if i % 2 == 0 else "odd"]}

    # ---- searching ----

    def test_never_fewer_hits_than_match(self):
        self.fill()
        queries = clustered(self.random, 20, DIMENSION)
        for share in (500, 100, 10, 1):
            self.check_share(queries, {"part": {"$lt": share}},
                             [i for i in range(COUNT) if i % 1000 < share])

    def test_filters_that_point_away_from_the_query(self):
        """All that match lie on the other side."""
        self.fill()
        queries = [[abs(x) + 2 if i == 0 else x for i, x in enumerate(query)]
                   for query in clustered(self.random, 20, DIMENSION)]
        self.check_share(queries, {"near": False},
                         [i for i in range(COUNT) if not self.data[i][0] > 0])

    def check_share(self, queries, condition, matching):
        results = self.search({"vectors": queries, "k": 10, "filter": condition}).json()["results"]
        right = wanted = 0
        rows = [self.data[i] for i in matching]
        for query, result in zip(queries, results):
            found = [int(hit["id"]) for hit in result["hits"]]
            self.assertEqual(len(found), min(10, len(matching)))
            self.assertLessEqual(set(found), set(matching))
            truth = {matching[i] for i in nearest("l2", rows, query, 10)}
            right += len(truth & set(found))
            wanted += len(truth)
        self.assertGreaterEqual(right / wanted, 0.95, condition)

    def test_few_match_or_none(self):
        self.fill()
        query = self.data[0]
        for condition, count in (({"part": 7, "text": "t7"}, 6), ({"part": 7, "text": "t8"}, 0),
                                 ({"absent": 1}, 0), ({"part": {"$in": [1, 2]}}, 12),
                                 ({"tags": "odd", "part": {"$gte": 998}}, 6), ({}, 50)):
            hits = self.search({"vector": query, "k": 50, "filter": condition}).json()["hits"]
            self.assertEqual(len(hits), count, condition)
        exact = self.search({"vector": query, "k": 5, "exact": True, "filter": {"part": 7}}).json()
        self.assertTrue(exact["exact"])
        self.assertEqual([hit["metadata"]["part"] for hit in exact["hits"]], [7] * 5)

    def test_a_filter_sees_changes_at_once(self):
        self.start()
        self.create(dimension=2)
        for round in range(70):
            for i in range(3):
                self.vectors.post("/vectors/docs/add", {"items": [
                    {"id": str(i), "vector": [i, round], "metadata": {"round": round}}]})
            self.vectors.post("/vectors/docs/delete", {"ids": ["0"]})
            for wanted, ids in ((round, ["1", "2"]), (round - 1, [])):
                hits = self.search({"vector": [0, 0], "filter": {"round": wanted}}).json()["hits"]
                self.assertEqual(sorted(hit["id"] for hit in hits), ids)

    def test_items_that_change_are_never_missing(self):
        """Every item matches all the time, however often it is replaced."""
        self.start()
        self.create(dimension=2)
        items = [{"id": str(i), "vector": [i, i % 7], "metadata": {"on": True}} for i in range(40)]
        self.vectors.post("/vectors/docs/add", {"items": items})
        stop, failures = threading.Event(), []

        def change():
            while not stop.is_set():
                answer = self.vectors.post("/vectors/docs/add", {"items": items[:20]})
                if answer.status != 200:
                    failures.append(answer)

        writer = threading.Thread(target=change)
        writer.start()
        try:
            for _ in range(300):
                hits = self.search({"vector": [3, 3], "k": 40, "filter": {"on": True}}).json()["hits"]
                self.assertEqual(len({hit["id"] for hit in hits}), len(hits))
                self.assertEqual(len(hits), 40)
        finally:
            stop.set()
            writer.join()
        self.assertEqual(failures, [])

    def test_neighbours_of_an_item(self):
        self.fill()
        hits = self.search({"id": "5", "k": 4, "filter": {"tags": "odd"}}).json()["hits"]
        self.assertEqual(len(hits), 4)
        self.assertNotIn("5", [hit["id"] for hit in hits])
        self.assertTrue(all("odd" in hit["metadata"]["tags"] for hit in hits))

    def test_metadata_on_demand(self):
        self.fill()
        for wanted in (True, False):
            hits = self.search({"vector": self.data[0], "metadata": wanted}).json()["hits"]
            self.assertTrue(all(("metadata" in hit) == wanted for hit in hits))

    def test_bad_filters_name_their_place(self):
        self.start()
        self.create(dimension=2)
        problem = self.assertProblem(
            self.search({"vector": [1, 2], "filter": {"$or": [{"a": 1}, {"b": {"$grt": 1}}]}}),
            400, "invalid_request")
        self.assertIn("$or[1].b.$grt", problem["detail"])
        self.assertIn("$gt", problem["hint"])

    def test_memory_of_filters_is_counted(self):
        self.start(**{"vectord.memory_limit": "3MiB"})
        self.create(dimension=2, m=4)
        for start in range(0, 10000, 1000):
            self.vectors.post("/vectors/docs/add", {"items": [
                {"id": str(i), "vector": [i, 1], "metadata": {"n": f"{i:060}"}}
                for i in range(start, start + 1000)]})
        before = self.vectors.get("/vectors/docs").json()["count"]
        self.assertGreater(before, 1000)
        self.assertProblem(self.search({"vector": [1, 1], "filter": {"n": "1"}}), 507, "index_memory")
        self.assertEqual(self.search({"vector": [1, 1]}).status, 200)

    # ---- deleting ----

    def test_delete_by_filter(self):
        self.fill()
        answer = self.vectors.post("/vectors/docs/delete", {"filter": {"part": {"$lt": 250}}})
        self.assertEqual(answer.json(), {"deleted": COUNT // 4, "durable": False})
        answer = self.vectors.post("/vectors/docs/delete", {"filter": {"part": {"$lt": 250}}})
        self.assertEqual(answer.json()["deleted"], 0)
        self.assertEqual(self.vectors.get("/vectors/docs").json()["count"], COUNT - COUNT // 4)
        hits = self.search({"vector": self.data[0], "k": 100}).json()["hits"]
        self.assertTrue(all(hit["metadata"]["part"] >= 250 for hit in hits))

    def test_delete_by_filter_in_several_batches(self):
        self.start(**{"vectord.batch_items_max": "100"})
        self.create(dimension=2)
        for start in range(0, 1000, 100):
            self.vectors.post("/vectors/docs/add", {"items": [
                {"id": i, "vector": [i, 1], "metadata": {"n": i}}
                for i in range(start, start + 100)]})
        answer = self.vectors.post("/vectors/docs/delete", {"filter": {"n": {"$gte": 50}}})
        self.assertEqual(answer.json()["deleted"], 950)
        self.assertEqual(self.vectors.get("/vectors/docs").json()["count"], 50)

    # ---- ids ----

    def test_numbers_as_ids(self):
        self.start()
        self.create(dimension=2)
        ids = [0, 7, -1, 2 ** 63, 2 ** 64 - 1, -2 ** 63]
        answer = self.vectors.post("/vectors/docs/add",
                                   {"items": [{"id": i, "vector": [1, 2]} for i in ids]})
        self.assertEqual(answer.json()["added"], len(ids))
        self.assertEqual(self.vectors.post("/vectors/docs/add", {"items": [
            {"id": "7", "vector": [1, 2]}]}).json()["updated"], 1)
        hits = self.search({"vector": [1, 2]}).json()["hits"]
        self.assertEqual({hit["id"] for hit in hits}, {str(i) for i in ids})
        self.assertEqual(self.vectors.get("/vectors/docs/items/18446744073709551615").status, 200)
        self.assertEqual(len(self.search({"id": 7}).json()["hits"]), len(ids) - 1)
        self.assertEqual(self.vectors.post("/vectors/docs/delete", {"ids": ids}).json()["deleted"],
                         len(ids))

    # ---- raw bodies ----

    def raw(self, path, body, content_type=RAW, **headers):
        return self.vectors.post(path, body, {"Content-Type": content_type, **headers})

    def test_raw_bodies_say_the_same_as_json(self):
        self.fill()
        queries = clustered(self.random, 30, DIMENSION)
        condition = {"part": {"$lt": 300}}
        by_json = self.search({"vectors": queries, "k": 7, "ef": 50, "filter": condition}).json()
        path = "/vectors/docs/search?" + urllib.parse.urlencode(
            {"k": 7, "ef": 50, "filter": json.dumps(condition)})
        by_raw = self.raw(path, raw_vectors(queries)).json()
        self.assertEqual(by_raw["results"], by_json["results"])
        answer = self.raw(path, raw_vectors(queries), "application/octet-stream", Accept=HITS)
        self.assertEqual(answer.headers["content-type"], HITS)
        results = read_hits(answer.body)
        self.assertEqual(len(results), len(queries))
        for (ids, distances, exact), wanted in zip(results, by_json["results"]):
            self.assertEqual(ids, [hit["id"] for hit in wanted["hits"]])
            for distance, hit in zip(distances, wanted["hits"]):
                self.assertAlmostEqual(distance, hit["distance"], places=4)
            self.assertEqual(exact, wanted["exact"])
        one = self.vectors.post("/vectors/docs/search", {"vector": queries[0], "k": 3},
                                {"Accept": HITS})
        self.assertEqual(len(read_hits(one.body)[0][0]), 3)

    def test_raw_items(self):
        self.start()
        self.create(dimension=3)
        numbers = b"".join(struct.pack("<Q3f", i, i, 2, 3) for i in range(1000))
        self.assertEqual(self.raw("/vectors/docs/add", numbers).json()["added"], 1000)
        texts = b""
        for i in range(990, 1010):
            name = f"item {i}".encode() if i >= 1000 else str(i).encode()
            texts += struct.pack("<H", len(name)) + name
            texts += b"\0" * (-len(texts) % 4) + struct.pack("<3f", i, 2, 3)
        self.assertEqual(self.raw("/vectors/docs/add?ids=text", texts).json(),
                         {"added": 10, "updated": 10, "durable": False})
        self.assertEqual(self.vectors.get("/vectors/docs/items/item%201009").json()["vector"],
                         [1009, 2, 3])
        self.assertProblem(self.raw("/vectors/docs/add", numbers[:-1]), 400, "invalid_request")
        self.assertProblem(self.raw("/vectors/docs/add?ids=u32", numbers), 400, "invalid_request")
        self.assertProblem(self.raw("/vectors/docs/add", numbers[:20] * 2), 422, "invalid_vector")
        bad = struct.pack("<Q3f", 5, float("nan"), 2, 3)
        problem = self.assertProblem(self.raw("/vectors/docs/add", bad), 422, "invalid_vector")
        self.assertIn("item 0 (id '5')", problem["detail"])
        self.assertEqual(self.raw("/vectors/docs/add", b"").json()["added"], 0)

    def test_raw_searches_refused(self):
        self.start()
        self.create(dimension=3)
        for path, body, status in (
                ("?k=0", bytes(12), 400), ("?ef=x", bytes(12), 400), ("?exact=1", bytes(12), 400),
                ("?refine=0", bytes(12), 400), ("?filter={", bytes(12), 400),
                ("?filter={}x", bytes(12), 400), ("?top=1", bytes(12), 400), ("", bytes(11), 400),
                ("", b"", 400), ("", bytes(12 * 1001), 413),
                ("", struct.pack("<3f", 1, 2, float("inf")), 422)):
            self.assertEqual(self.raw("/vectors/docs/search" + path, body).status, status, path)
        self.assertProblem(self.vectors.post("/vectors/docs/search?k=3", {"vector": [1, 2, 3]}), 400,
                           "invalid_request")

    # ---- lines without end ----

    def test_lines_come_in_parts(self):
        """More lines than a batch may have; what is before a bad line is there."""
        self.start(**{"vectord.batch_items_max": "100", "vectord.body_bytes_max": "20KiB"})
        self.create(dimension=2)
        lines = [json.dumps({"id": i, "vector": [i, 1], "metadata": {"n": i}}) for i in range(1050)]
        answer = self.raw("/vectors/docs/add", "\n".join(lines), "application/x-ndjson")
        self.assertEqual(answer.json()["added"], 1050)
        lines[730] = '{"id": "x", "vector": [1]}'
        problem = self.assertProblem(
            self.raw("/vectors/docs/add", "\n".join(lines), "application/x-ndjson"), 422,
            "invalid_vector")
        self.assertIn("the first 700 items were put", problem["detail"])
        self.assertIn("item 730 (id 'x')", problem["detail"])
        lines[730] = '{"id": 7 "vector": [1]}'
        problem = self.assertProblem(
            self.raw("/vectors/docs/add", "\n".join(lines), "application/x-ndjson"), 400,
            "invalid_request")
        self.assertIn("line 731", problem["detail"])
        self.assertEqual(self.raw("/vectors/docs/add", "", "application/x-ndjson").json()["added"], 0)
        long = json.dumps({"id": 1, "vector": [1, 1], "metadata": {"a": "x" * (6 << 20)}})
        self.assertEqual(self.raw("/vectors/docs/add", long, "application/x-ndjson").status, 413)

    # ---- care ----

    def test_recall(self):
        self.fill()
        answer = self.vectors.post("/vectors/docs/recall", {"sample": 50, "k": 10, "ef": 200})
        self.assertEqual(answer.status, 200)
        self.assertGreaterEqual(answer.json()["recall"], 0.95)
        self.assertEqual(answer.json()["sample"], 50)
        filtered = self.vectors.post("/vectors/docs/recall",
                                     {"sample": 20, "filter": {"part": {"$lt": 500}}}).json()
        self.assertGreaterEqual(filtered["recall"], 0.9)
        self.assertEqual(self.vectors.post("/vectors/docs/recall").status, 200)
        for bad in ({"sample": 0}, {"k": 0}, {"samples": 3}, {"filter": []}, {"refine": 0}, []):
            self.assertProblem(self.vectors.post("/vectors/docs/recall", bad), 400,
                               "invalid_request")
        self.create("empty")
        self.assertEqual(self.vectors.post("/vectors/empty/recall").json()["sample"], 0)

    def test_what_an_index_is_made_of(self):
        self.fill()
        self.search({"vector": self.data[0], "filter": {"part": 3}})
        stats = self.vectors.get("/vectors/docs").json()
        memory = stats["memory"]
        self.assertEqual(memory["vectors"], COUNT * DIMENSION * 4)
        self.assertGreater(memory["links"], COUNT * 2 * 16 * 4 - 1)
        self.assertGreater(memory["fields"], COUNT * 4 - 1)
        self.assertGreaterEqual(stats["levels"], 2)
        self.assertEqual(stats["codes"] is None, memory["codes"] == 0)
        self.create("exact", quantization="none")
        self.assertIsNone(self.vectors.get("/vectors/exact").json()["codes"])

    def test_no_snapshot_without_a_store(self):
        self.start()
        self.create(dimension=2)
        self.assertProblem(self.vectors.post("/vectors/docs/snapshot"), 501, "unsupported")

    def test_quantization_is_a_setting(self):
        self.start()
        for kind in ("auto", "none", "sq8"):
            created = self.create(kind, quantization=kind)
            self.assertEqual((created.status, created.json()["quantization"]), (201, kind))
            self.assertEqual(self.create(kind, quantization=kind).status, 200)
        self.assertProblem(self.create("none", quantization="sq8"), 409, "already_exists")
        self.assertEqual(self.create("other").json()["quantization"], "auto")


if __name__ == "__main__":
    main()
