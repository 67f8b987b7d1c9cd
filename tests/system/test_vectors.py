#!/usr/bin/env python3
"""7: vectors. 10,000 vectors find their neighbours under each metric; items are updated and deleted."""

from support.lakehouse import TestCase, in_threads, main, shared
from support.vectors import add_all, clustered, distance, float32, nearest, read_f32, recall

COUNT, DIMENSION, QUERIES = 10000, 32, 100


class Vectors(TestCase):
    def memory_only(self, **settings):
        return self.service("vectord", **{"vectord.storaged_url": "", **settings})

    def check_recall(self, metric):
        service = self.memory_only()
        vectors = clustered(self.random, COUNT + QUERIES, DIMENSION)
        vectors, queries = vectors[:COUNT], vectors[COUNT:]
        created = service.post("/vectors", {"name": "docs", "dimension": DIMENSION, "metric": metric})
        self.assertEqual(created.status, 201, created)
        add_all(service, "docs", vectors, metadata=lambda i: {"number": i})
        self.assertEqual(service.get("/vectors/docs").json()["count"], COUNT)

        # The service's exact search is the truth only if it agrees with one that we compute.
        for query in queries[:10]:
            answer = service.post("/vectors/docs/search", {"vector": query, "exact": True}).json()
            self.assertTrue(answer["exact"])
            self.assertEqual([int(hit["id"]) for hit in answer["hits"]],
                             nearest(metric, vectors, query, 10))
            for hit in answer["hits"]:
                self.assertEqual(hit["metadata"], {"number": int(hit["id"])})
                true = distance(metric, vectors[int(hit["id"])], query)
                self.assertAlmostEqual(hit["distance"], true, delta=1e-5 * max(1, abs(true)))

        fast = service.post("/vectors/docs/search", {"vector": queries[0]}).json()
        self.assertFalse(fast["exact"])
        self.assertEqual(len(fast["hits"]), 10)
        found = recall(service, "docs", queries)
        print(f"{metric}: recall@10 at the default ef: {found:.4f}")
        self.assertGreaterEqual(found, 0.95)
        self.assertGreaterEqual(recall(service, "docs", queries, ef=400), found)

    def test_1_cosine(self):
        self.check_recall("cosine")

    def test_2_l2(self):
        self.check_recall("l2")

    def test_3_ip(self):
        self.check_recall("ip")

    def check_shared(self, file, dimension, metric):
        base = read_f32(shared(f"vectors/{file}_base.f32"), dimension, 10000)
        queries = read_f32(shared(f"vectors/{file}_query.f32"), dimension, QUERIES)
        service = self.memory_only()
        service.post("/vectors", {"name": "text", "dimension": dimension, "metric": metric})
        add_all(service, "text", base)
        found = recall(service, "text", queries)
        print(f"{file} {metric}: recall@10 at the default ef: {found:.4f}")
        self.assertGreaterEqual(found, 0.95)

    def test_4_real_embeddings_128(self):
        self.check_shared("text128", 128, "l2")

    def test_5_real_embeddings_768(self):
        self.check_shared("text768", 768, "cosine")

    def test_upsert_and_delete(self):
        service = self.memory_only()
        vectors = clustered(self.random, 3000, 16)
        service.post("/vectors", {"name": "docs", "dimension": 16, "metric": "l2"})
        add_all(service, "docs", vectors)
        # Every third item moves to another's place, every fifth goes.
        moved = {i: vectors[(i + 1) % 3000] for i in range(0, 3000, 3)}
        items = [{"id": str(i), "vector": v, "metadata": {"moved": True}} for i, v in moved.items()]
        answer = service.post("/vectors/docs/add", {"items": items}).json()
        self.assertEqual((answer["added"], answer["updated"]), (0, len(items)))
        gone = [i for i in range(0, 3000, 5)]
        answer = service.post("/vectors/docs/delete",
                              {"ids": [str(i) for i in gone] + ["never was"]}).json()
        self.assertEqual(answer["deleted"], len(gone))
        model = {i: moved.get(i, vectors[i]) for i in range(3000) if i % 5 != 0}
        stats = service.get("/vectors/docs").json()
        self.assertEqual(stats["count"], len(model))

        for i in range(0, 3000, 100):
            answer = service.get(f"/vectors/docs/items/{i}")
            self.assertEqual(answer.status, 404 if i % 5 == 0 else 200)
        item = service.get("/vectors/docs/items/3").json()
        self.assertEqual((item["id"], item["metadata"]), ("3", {"moved": True}))
        self.assertEqual([float32(x) for x in item["vector"]], model[3])  # bit by bit

        values = list(model.values())
        for query in clustered(self.random, 20, 16):
            tenth = distance("l2", values[nearest("l2", values, query, 10)[-1]], query)
            for exact in (False, True):
                hits = service.post("/vectors/docs/search",
                                    {"vector": query, "exact": exact, "ef": 200}).json()["hits"]
                self.assertFalse({int(hit["id"]) for hit in hits} & set(gone), "a deleted item")
                right = sum(hit["distance"] <= tenth * 1.00001 for hit in hits)
                self.assertGreaterEqual(right, 10 if exact else 9)

    def test_search_by_id(self):
        service = self.memory_only()
        vectors = clustered(self.random, 500, 8)
        service.post("/vectors", {"name": "docs", "dimension": 8, "metric": "l2"})
        add_all(service, "docs", vectors)
        hits = service.post("/vectors/docs/search", {"id": "7", "k": 5}).json()["hits"]
        expected = [i for i in nearest("l2", vectors, vectors[7], 6) if i != 7]
        self.assertEqual([int(hit["id"]) for hit in hits], expected)
        missing = service.post("/vectors/docs/search", {"id": "x", "k": 5})
        self.assertProblem(missing, 404, "not_found")

    def test_ndjson_and_odd_ids(self):
        service = self.memory_only()
        service.post("/vectors", {"name": "docs", "dimension": 2, "metric": "l2"})
        lines = ('{"id":"a/b c?","vector":[1,0]}\n'
                 '{"id":"\\u00e9\\ud83d\\ude00","vector":[0,1],"metadata":{"t":"\\u20ac"}}\n\n')
        answer = service.post("/vectors/docs/add", lines,
                              {"Content-Type": "application/x-ndjson; charset=utf-8"})
        self.assertEqual(answer.json(), {"added": 2, "updated": 0, "durable": False})
        self.assertEqual(service.get("/vectors/docs/items/a%2Fb%20c%3F").json()["id"], "a/b c?")
        item = service.get("/vectors/docs/items/%C3%A9%F0%9F%98%80").json()
        self.assertEqual(item["metadata"], {"t": "€"})

    def test_a_thousand_deletes_do_not_empty_answers(self):
        """Whatever is deleted: k hits, as long as there are k."""
        service = self.memory_only()
        vectors = clustered(self.random, 5000, 8, clusters=5)
        service.post("/vectors", {"name": "docs", "dimension": 8, "metric": "l2"})
        add_all(service, "docs", vectors)
        near = nearest("l2", vectors, vectors[0], 1200)
        answer = service.post("/vectors/docs/delete", {"ids": [str(i) for i in near]}).json()
        self.assertEqual(answer["deleted"], 1200)
        hits = service.post("/vectors/docs/search", {"vector": vectors[0], "k": 50}).json()["hits"]
        self.assertEqual(len(hits), 50)
        self.assertFalse({int(hit["id"]) for hit in hits} & set(near))

    def test_many_at_once(self):
        """Writers and readers together; nothing is lost, nothing half there."""
        service = self.memory_only()
        service.post("/vectors", {"name": "docs", "dimension": 8, "metric": "cosine"})
        vectors = clustered(self.random, 2400, 8)

        def work(number):
            for start in range(0, 300, 50):
                mine = range(number * 300 + start, number * 300 + start + 50)
                answer = service.post("/vectors/docs/add", {"items": [
                    {"id": str(i), "vector": vectors[i], "metadata": {"i": i}} for i in mine]})
                self.assertEqual(answer.json()["added"], 50)
                hits = service.post("/vectors/docs/search",
                                    {"vector": vectors[mine[0]], "k": 1}).json()["hits"]
                self.assertEqual(hits[0]["distance"], 0)
                for hit in hits:
                    self.assertEqual(hit["metadata"], {"i": int(hit["id"])})
                gone = service.post("/vectors/docs/delete", {"ids": [str(mine[0])]})
                self.assertEqual(gone.json()["deleted"], 1)

        in_threads(8, work)
        self.assertEqual(service.get("/vectors/docs").json()["count"], 2400 - 48)

    def test_memory_only_says_so(self):
        service = self.memory_only()
        self.assertEqual(service.get("/health").json()["durability"], "ephemeral")
        service.post("/vectors", {"name": "docs", "dimension": 2})
        answer = service.post("/vectors/docs/add", {"items": [{"id": "a", "vector": [1, 0]}]})
        self.assertFalse(answer.json()["durable"])
        service.kill()
        service.start()
        self.assertEqual(service.get("/vectors").json(), {"items": [], "next": None})


if __name__ == "__main__":
    main()
