#!/usr/bin/env python3
"""Every answer of vectord that is not plain success, and the limits it has."""

import http.client
import json
import threading

from support.lakehouse import TestCase, main

VECTOR = [1.0, 2.0, 3.0]


class Vectord(TestCase):
    def start(self, **settings):
        self.vectors = self.service("vectord", **{"vectord.storaged_url": "", **settings})
        return self.vectors

    def create(self, name="docs", **more):
        return self.vectors.post("/vectors", {"name": name, "dimension": 3, "metric": "l2", **more})

    def add(self, items, name="docs"):
        return self.vectors.post(f"/vectors/{name}/add", {"items": items})

    def search(self, body, name="docs"):
        return self.vectors.post(f"/vectors/{name}/search", body)

    def raw(self, path, body, content_type="application/json"):
        return self.vectors.post(path, body, {"Content-Type": content_type})

    def count(self):
        return self.vectors.get("/vectors/docs").json()["count"]

    # ---- indexes ----

    def test_create(self):
        self.start()
        created = self.create(m=8, ef_construction=50)
        self.assertEqual(created.status, 201)
        self.assertEqual(created.json() | {"created": 0, "memory_bytes": 0},
                         {"name": "docs", "status": "ready", "dimension": 3, "metric": "l2", "m": 8,
                          "ef_construction": 50, "quantization": "auto", "created": 0, "count": 0,
                          "deleted": 0, "memory_bytes": 0})
        self.assertEqual(self.create(m=8, ef_construction=50).status, 200)
        for change in ({"m": 16}, {"dimension": 4}, {"metric": "ip"}, {"ef_construction": 51}):
            answer = self.create(**{"m": 8, "ef_construction": 50, **change})
            self.assertProblem(answer, 409, "already_exists")
        self.assertEqual(self.vectors.post("/vectors", {"name": "d", "dimension": 2}).json()["metric"],
                         "cosine")

    def test_create_refused(self):
        self.start()
        for body, status, code in (
                ({"dimension": 3}, 400, "invalid_request"),
                ({"name": "a"}, 400, "invalid_request"),
                ({"name": "a", "dimension": 0}, 400, "invalid_request"),
                ({"name": "a", "dimension": -1}, 400, "invalid_request"),
                ({"name": "a", "dimension": 4097}, 400, "invalid_request"),
                ({"name": "a", "dimension": "3"}, 400, "invalid_request"),
                ({"name": "a", "dimension": 3.5}, 400, "invalid_request"),
                ({"name": "a", "dimension": 3, "metric": "hamming"}, 400, "invalid_request"),
                ({"name": "a", "dimension": 3, "m": 3}, 400, "invalid_request"),
                ({"name": "a", "dimension": 3, "m": 129}, 400, "invalid_request"),
                ({"name": "a", "dimension": 3, "ef_construction": 0}, 400, "invalid_request"),
                ({"name": "a", "dimension": 3, "ef_construction": 4097}, 400, "invalid_request"),
                ({"name": "a", "dimension": 3, "quantization": "pq"}, 400, "invalid_request"),
                ({"name": "a", "dimension": 3, "quantization": 8}, 400, "invalid_request"),
                                ({"name": "a", "dimension": 3, "dim": 3}, 400, "invalid_request"),
                ({"name": "", "dimension": 3}, 400, "invalid_name"),
                ({"name": "1a", "dimension": 3}, 400, "invalid_name"),
                ({"name": "a/b", "dimension": 3}, 400, "invalid_name"),
                ({"name": "..", "dimension": 3}, 400, "invalid_name"),
                ({"name": "ä", "dimension": 3}, 400, "invalid_name"),
                ({"name": "a" * 129, "dimension": 3}, 400, "invalid_name"),
                ([], 400, "invalid_request")):
            self.assertProblem(self.vectors.post("/vectors", body), status, code)
        self.assertProblem(self.raw("/vectors", "{"), 400, "invalid_request")
        self.assertProblem(self.raw("/vectors", "{}", "text/plain"), 415, "unsupported_media_type")
        self.assertEqual(self.vectors.get("/vectors").json()["items"], [])
        self.assertEqual(self.vectors.post("/vectors", {"name": "a" * 128, "dimension": 4096}).status,
                         201)

    def test_unknown_index(self):
        self.start()
        for answer in (self.vectors.get("/vectors/nope"), self.vectors.delete("/vectors/nope"),
                       self.add([], "nope"), self.search({"vector": VECTOR}, "nope"),
                       self.vectors.post("/vectors/nope/delete", {"ids": []}),
                       self.vectors.get("/vectors/nope/items/a")):
            self.assertProblem(answer, 404, "not_found")
        for path in ("/vectors/a%2Fb", "/vectors/..%2Fx", "/vectors/%00"):
            self.assertIn(self.vectors.get(path).status, (400, 404))
        self.assertProblem(self.vectors.get("/vectors/a/b/c"), 404, "route_not_found")
        self.assertProblem(self.vectors.put("/vectors"), 405, "method_not_allowed")

    def test_list_by_pages(self):
        self.start()
        names = [f"{letter}{n}" for letter in "ab" for n in range(7)]
        for name in reversed(names):
            self.create(name)
        found, cursor = [], ""
        while cursor is not None:
            page = self.vectors.get(f"/vectors?limit=4&cursor={cursor}").json()
            self.assertLessEqual(len(page["items"]), 4)
            found += [item["name"] for item in page["items"]]
            cursor = page["next"]
        self.assertEqual(found, names)
        page = self.vectors.get("/vectors?prefix=b&limit=100").json()
        self.assertEqual([item["name"] for item in page["items"]], names[7:])
        self.assertEqual(self.vectors.get("/vectors?prefix=zz").json(), {"items": [], "next": None})
        self.assertProblem(self.vectors.get("/vectors?limit=0"), 400, "invalid_request")
        self.assertProblem(self.vectors.get("/vectors?offset=3"), 400, "invalid_request")

    # ---- items ----

    def test_a_bad_item_stops_the_whole_batch(self):
        self.start()
        self.create()
        self.create("angles", metric="cosine")
        good = {"id": "good", "vector": VECTOR}
        for bad, part in (
                ({"id": "bad", "vector": [1, 2]}, "item 1 (id 'bad'): its vector has 2 components"),
                ({"id": "bad", "vector": [1, 2, 3, 4]}, "has 4 components"),
                ({"id": "bad", "vector": [1, float("nan"), 3]}, "component 1 is not finite"),
                ({"id": "bad", "vector": [float("inf"), 2, 3]}, "component 0 is not finite"),
                ({"id": "bad", "vector": [1, 2, float("-inf")]}, "component 2 is not finite"),
                ({"id": "bad", "vector": [1, 2, 1e39]}, "component 2 is beyond a 32-bit float"),
                ({"id": "bad", "vector": [3e38, 3e38, 3e38]}, "overflows"),
                ({"id": "bad", "vector": [1, "2", 3]}, "component 1 is not a number"),
                ({"id": "bad", "vector": None}, "not an array"),
                ({"id": "bad"}, "no vector"),
                ({"vector": VECTOR}, "item 1: it has no id"),
                ({"id": "", "vector": VECTOR}, "1 to 256 bytes"),
                ({"id": "x" * 257, "vector": VECTOR}, "1 to 256 bytes"),
                ({"id": "\0", "vector": VECTOR}, "NUL"),
                ({"id": 7.5, "vector": VECTOR}, "neither a string nor a whole number"),
                ({"id": "good", "vector": VECTOR}, "the same id as item 0"),
                ({"id": "bad", "vector": VECTOR, "metadata": []}, "not an object"),
                ({"id": "bad", "vector": VECTOR, "metadata": {"a": "x" * 70000}}, "metadata has")):
            problem = self.assertProblem(self.add([good, bad]), 422, "invalid_vector")
            self.assertIn(part, problem["detail"])
            self.assertEqual(self.count(), 0)
        zero = {"id": "zero", "vector": [0, 0, 0]}
        self.assertProblem(self.add([good, zero], "angles"), 422, "invalid_vector")
        self.assertEqual(self.add([good, zero]).status, 200)

    def test_bodies_that_are_no_batch(self):
        self.start()
        self.create()
        path = "/vectors/docs/add"
        for body in ("", "[]", "{}", '{"items":{}}', '{"items":[', '{"itmes":[]}', '{"items":[]}x',
                     '{"items":[{"id":"a","vector":[1,2,3],"payload":{}}]}', "\xff", "null"):
            self.assertProblem(self.raw(path, body), 400, "invalid_request")
        problem = self.assertProblem(self.raw(path, '{"items":[\n{"id":"a" "b"}]}'), 400,
                                     "invalid_request")
        self.assertIn("line 2, column 11", problem["detail"])
        self.assertProblem(self.raw(path, "a,b", "text/csv"), 415, "unsupported_media_type")
        deep = '{"items":[{"id":"a","metadata":' + "[" * 5000 + "]" * 5000 + "}]}"
        self.assertProblem(self.raw(path, deep), 400, "invalid_request")
        self.assertEqual(self.add([]).json(), {"added": 0, "updated": 0, "durable": False})
        self.assertEqual(self.count(), 0)

    def test_id_of_256_bytes_and_odd_ones(self):
        self.start()
        self.create()
        ids = ["x" * 256, "é" * 128, "a b", "%2F", "../..", "\n", '"', "\\", "😀"]
        self.assertEqual(self.add([{"id": i, "vector": VECTOR} for i in ids]).json()["added"], len(ids))
        hits = self.search({"vector": VECTOR, "k": 20}).json()["hits"]
        self.assertEqual(sorted(hit["id"] for hit in hits), sorted(ids))
        self.assertEqual(self.vectors.get("/vectors/docs/items/%252F").json()["id"], "%2F")
        answer = self.vectors.post("/vectors/docs/delete", {"ids": ids})
        self.assertEqual(answer.json()["deleted"], len(ids))

    def test_metadata_comes_back_as_it_was(self):
        self.start()
        self.create()
        metadata = {"text": "é\n\"", "number": 1.5, "big": 2**53 + 1, "list": [1, None, True],
                    "deep": {"a": {"b": {}}}, "": 0}
        self.add([{"id": "a", "vector": VECTOR, "metadata": metadata}])
        self.assertEqual(self.search({"vector": VECTOR}).json()["hits"][0]["metadata"], metadata)
        # Put again without metadata: the new item has none.
        self.add([{"id": "a", "vector": VECTOR}])
        self.assertIsNone(self.vectors.get("/vectors/docs/items/a").json()["metadata"])

    def test_delete_refused(self):
        self.start()
        self.create()
        self.add([{"id": "a", "vector": VECTOR}])
        for body, status, code in (({}, 400, "invalid_request"), ({"ids": "a"}, 400, "invalid_request"),
                                   ({"ids": [1.5]}, 422, "invalid_vector"),
                                   ({"ids": ["a", ""]}, 422, "invalid_vector"),
                                   ({"filter": {}}, 400, "invalid_request"),
                                   ({"filter": {"a": None}}, 400, "invalid_request"),
                                   ({"id": "a"}, 400, "invalid_request")):
            self.assertProblem(self.vectors.post("/vectors/docs/delete", body), status, code)
        self.assertEqual(self.count(), 1)
        answer = self.vectors.post("/vectors/docs/delete", {"ids": ["a", "a", "b"]})
        self.assertEqual(answer.json()["deleted"], 1)
        self.assertProblem(self.vectors.get("/vectors/docs/items/a"), 404, "not_found")

    # ---- searches ----

    def test_search_refused(self):
        self.start()
        self.create()
        self.create("angles", metric="cosine")
        for body, status, code in (
                ({}, 400, "invalid_request"),
                ({"vector": VECTOR, "id": "a"}, 400, "invalid_request"),
                ({"vector": [1, 2]}, 422, "invalid_vector"),
                ({"vector": [1, 2, float("nan")]}, 422, "invalid_vector"),
                ({"vector": [1, 2, 1e39]}, 422, "invalid_vector"),
                ({"vectors": [VECTOR, [1]]}, 422, "invalid_vector"),
                ({"vector": VECTOR, "k": 0}, 400, "invalid_request"),
                ({"vector": VECTOR, "k": 10001}, 400, "invalid_request"),
                ({"vector": VECTOR, "k": "10"}, 400, "invalid_request"),
                ({"vector": VECTOR, "ef": 0}, 400, "invalid_request"),
                ({"vector": VECTOR, "ef": 10001}, 400, "invalid_request"),
                ({"vector": VECTOR, "exact": "yes"}, 400, "invalid_request"),
                ({"vector": VECTOR, "filter": {"a": [1]}}, 400, "invalid_request"),
                ({"vector": VECTOR, "refine": 0}, 400, "invalid_request"),
                ({"vector": VECTOR, "limit": 2}, 400, "invalid_request"),
                ({"id": "nope"}, 404, "not_found")):
            self.assertProblem(self.search(body), status, code)
        self.assertProblem(self.search({"vector": [0, 0, 0]}, "angles"), 422, "invalid_vector")
        self.assertProblem(self.raw("/vectors/docs/search", "{}", "application/x-ndjson"), 415,
                           "unsupported_media_type")

    def test_search_of_few(self):
        self.start()
        self.create()
        empty = self.search({"vector": VECTOR}).json()
        self.assertEqual((empty["hits"], empty["exact"]), ([], True))
        self.assertGreaterEqual(empty["elapsed_ms"], 0)
        self.add([{"id": str(i), "vector": [i, 0, 0]} for i in range(5)])
        hits = self.search({"vector": [0, 0, 0], "k": 10000}).json()["hits"]
        self.assertEqual([hit["distance"] for hit in hits], [0, 1, 2, 3, 4])
        self.assertEqual([hit["id"] for hit in hits], ["0", "1", "2", "3", "4"])
        many = self.search({"vectors": [[4, 0, 0], [1.2, 0, 0]], "k": 1}).json()
        self.assertEqual([r["hits"][0]["id"] for r in many["results"]], ["4", "1"])
        self.assertEqual(self.search({"vectors": []}).json()["results"], [])

    def test_distances(self):
        self.start()
        for metric, expected in (("l2", 2 ** 0.5), ("cosine", 1.0), ("ip", 0.0)):
            self.create(metric, metric=metric)
            self.add([{"id": "a", "vector": [1, 0, 0]}], metric)
            hit = self.search({"vector": [0, 1, 0]}, metric).json()["hits"][0]
            self.assertAlmostEqual(hit["distance"], expected, places=6)
        hit = self.search({"vector": [2, 0, 0]}, "ip").json()["hits"][0]
        self.assertEqual(hit["distance"], -2)
        hit = self.search({"vector": [-5, 0, 0]}, "cosine").json()["hits"][0]
        self.assertEqual(hit["distance"], 2)

    # ---- limits ----

    def test_limits_of_requests(self):
        self.start(**{"vectord.batch_items_max": 3, "vectord.queries_max": 2,
                      "vectord.body_bytes_max": "4KiB", "vectord.k_max": 5, "vectord.ef_max": 20,
                      "vectord.dimension_max": 8, "vectord.metadata_bytes_max": 16})
        self.create()
        items = [{"id": str(i), "vector": VECTOR} for i in range(4)]
        self.assertProblem(self.add(items), 413, "too_large")
        self.assertEqual(self.add(items[:3]).status, 200)
        self.assertProblem(self.vectors.post("/vectors/docs/delete", {"ids": list("abcd")}), 413,
                           "too_large")
        self.assertProblem(self.search({"vectors": [VECTOR] * 3}), 413, "too_large")
        self.assertEqual(self.search({"vectors": [VECTOR] * 2}).status, 200)
        self.assertProblem(self.search({"vector": VECTOR, "k": 6}), 400, "invalid_request")
        self.assertProblem(self.search({"vector": VECTOR, "ef": 21}), 400, "invalid_request")
        large = {"items": [{"id": "a", "vector": VECTOR, "metadata": {"x": "y" * 5000}}]}
        self.assertProblem(self.vectors.post("/vectors/docs/add", large), 413, "too_large")
        chunked = self.vectors.post("/vectors/docs/add",
                                    iter([json.dumps(large).encode()]),
                                    {"Content-Type": "application/json"})
        self.assertProblem(chunked, 413, "too_large")
        self.assertProblem(self.add([{"id": "a", "vector": VECTOR, "metadata": {"abc": "0123456789"}}]),
                           422, "invalid_vector")
        self.assertProblem(self.vectors.post("/vectors", {"name": "b", "dimension": 9}), 400,
                           "invalid_request")
        self.assertEqual(self.count(), 3)

    def test_chunked_body(self):
        self.start()
        self.create()
        body = json.dumps({"items": [{"id": str(i), "vector": VECTOR} for i in range(5000)]}).encode()
        pieces = iter([body[i:i + 7777] for i in range(0, len(body), 7777)])
        answer = self.vectors.post("/vectors/docs/add", pieces, {"Content-Type": "application/json"})
        self.assertEqual(answer.json()["added"], 5000)

    def test_number_of_indexes(self):
        self.start(**{"vectord.indexes_max": 2})
        self.assertEqual(self.create("a").status, 201)
        self.assertEqual(self.create("b").status, 201)
        self.assertProblem(self.create("c"), 507, "index_memory")
        self.assertEqual(self.create("b").status, 200)
        self.vectors.delete("/vectors/a")
        self.assertEqual(self.create("c").status, 201)

    def test_memory(self):
        """Beyond the limit: 507, nothing of the batch is there, and what is there still answers."""
        self.start(**{"vectord.memory_limit": "1MiB"})
        self.create()
        added = 0
        answer = None
        for start in range(0, 20000, 100):
            answer = self.add([{"id": str(i), "vector": VECTOR} for i in range(start, start + 100)])
            if answer.status != 200:
                break
            added += 100
        self.assertProblem(answer, 507, "index_memory")
        self.assertGreater(added, 1000)
        self.assertEqual(self.count(), added)
        self.assertEqual(len(self.search({"vector": VECTOR}).json()["hits"]), 10)
        self.vectors.delete("/vectors/docs")
        self.create()
        self.assertEqual(self.add([{"id": "a", "vector": VECTOR}]).status, 200)

    def test_bodies_in_memory_are_bounded(self):
        """A body that waits for its end keeps its share; another is told to come later."""
        self.start(**{"vectord.body_budget_bytes": "1MiB"})
        self.create()
        held = http.client.HTTPConnection("127.0.0.1", self.vectors.port, timeout=30)
        held.putrequest("POST", "/vectors/docs/add")
        held.putheader("Content-Type", "application/json")
        held.putheader("Content-Length", "1000000")
        held.endheaders()
        held.send(b'{"items":[' + b" " * 500000)
        self.addCleanup(held.close)
        body = {"items": [{"id": "a", "vector": VECTOR, "metadata": {"x": "y" * 60000}}]}
        for _ in range(100):
            answer = self.vectors.post("/vectors/docs/add", body)
            if answer.status != 200:
                break
        problem = self.assertProblem(answer, 503, "busy")
        self.assertIn("Retry-After", answer.headers)
        self.assertTrue(problem["detail"])

    def test_searches_go_on_during_a_large_add(self):
        self.start()
        self.create()
        self.add([{"id": "first", "vector": VECTOR}])
        items = [{"id": str(i), "vector": [i % 100, i % 7, i % 13]} for i in range(10000)]
        adding = threading.Thread(target=lambda: self.add(items))
        adding.start()
        searches = 0
        while adding.is_alive():
            hits = self.search({"vector": VECTOR, "k": 1}).json()["hits"]
            self.assertEqual(len(hits), 1)
            searches += 1
        adding.join()
        self.assertGreater(searches, 3)
        self.assertEqual(self.count(), 10001)


if __name__ == "__main__":
    main()
