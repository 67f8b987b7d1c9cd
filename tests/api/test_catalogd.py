#!/usr/bin/env python3
"""Every answer of catalogd that is not plain success: names, bodies, questions, limits. After each one the
catalog is as before and goes on."""

import json
import socket
import time
from urllib.parse import quote

from support.lakehouse import TestCase, main

SCHEMA = [{"name": "id", "type": "BIGINT", "nullable": False}]


class Catalogd(TestCase):
    def setUp(self):
        super().setUp()
        stack = self.stack("storaged", "catalogd")
        self.store, self.catalog = stack.storaged, stack.catalogd

    def post(self, **members):
        body = {"name": "sales", "fingerprint": "f1", "schema": SCHEMA, **members}
        return self.catalog.post("/catalog/datasets", {k: v for k, v in body.items() if v is not ...})

    def object(self, key="datasets/main/sales/data/1.parquet", size=3, **members):
        self.store.put(f"/storage/{key}", b"x" * 3)
        return {"key": key, "rows": 1, "bytes": size, **members}

    def names(self):
        return [item["dataset"] for item in self.catalog.get("/catalog/datasets").json()["items"]]


class Names(Catalogd):
    VALID = {
        "a": "a", "_": "_", "Sales": "Sales", "s-1_2": "s-1_2", "x" * 128: "x" * 128, "main.a": "a",
        "eu.sales": "eu.sales", "EU.sales": "EU.sales", "n" * 128 + "." + "x" * 128: "n" * 128 + "." + "x" * 128,
    }
    INVALID = [
        "", ".", "..", "a.", ".a", "a.b.c", "1a", "-a", "a b", " a", "a/b", "../a", "a\\b", "a'b", 'a"b', "a;b", "a\tb",
        "a\nb", "a:b", "a*", "%41", "é", "a\u202eb", "名", "x" * 129, "n" * 129 + ".x", "main." + "x" * 129, "a" * 3000,
    ]

    def test_valid(self):
        for name, canonical in self.VALID.items():
            response = self.post(name=name)
            self.assertIn(response.status, (200, 201), response)
            self.assertEqual(response.json()["dataset"], canonical)
            self.assertEqual(self.catalog.get(f"/catalog/datasets/{name}").json()["dataset"], canonical)

    def test_invalid(self):
        for name in self.INVALID:
            with self.subTest(name=name[:20]):
                problem = self.assertProblem(self.post(name=name), 400, "invalid_name")
                self.assertIn("namespace.name", problem["hint"])
        self.post()
        for name in self.INVALID:
            with self.subTest(rename=name[:20]):
                self.assertProblem(self.catalog.post("/catalog/datasets/sales/rename", {"to": name}), 400, "invalid_name")
        self.assertEqual(self.names(), ["sales"])

    def test_in_the_path(self):
        for raw in ("a%2fb", "%2e%2e", "a%00", "%ff", "a%20", "-a", "a.b.c", "x" * 129, "%e2%80%ae"):
            for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/history")):
                with self.subTest(raw=raw, method=method):
                    self.assertProblem(self.catalog.request(method, f"/catalog/datasets/{raw}{path}"), 400,
                                       "invalid_name")
        self.assertEqual(self.catalog.get("/catalog/datasets/a%2").status, 400)


class Bodies(Catalogd):
    def test_not_a_body(self):
        for data, kind, status, code in (
                (b"", "application/json", 400, "invalid_request"),
                (b"{", "application/json", 400, "invalid_request"),
                (b"[]", "application/json", 400, "invalid_request"),
                (b"null", "application/json", 400, "invalid_request"),
                (b'{"name":"a","fingerprint":"f"} x', "application/json", 400, "invalid_request"),
                (b'{"name":"a","name":"b","fingerprint":"f"}', "application/json", 400, "invalid_request"),
                (b'{"name":"a\xff","fingerprint":"f"}', "application/json", 400, "invalid_request"),
                (b'{"name":"a","fingerprint":"\\u0000"}', "application/json", 400, "invalid_request"),
                (b"[" * 100000, "application/json", 400, "invalid_request"),
                (b"name=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
                (b"<a/>", "text/xml", 415, "unsupported_media_type")):
            with self.subTest(data=data[:30]):
                response = self.catalog.post("/catalog/datasets", data, {"Content-Type": kind})
                self.assertProblem(response, status, code)

    def test_members(self):
        thing = self.object()
        refused = [
            ({"fingerprint": ...}, 400, "invalid_request"),
            ({"fingerprint": ""}, 400, "invalid_request"),
            ({"fingerprint": "f" * 129}, 400, "invalid_request"),
            ({"fingerprint": 1}, 400, "invalid_request"),
            ({"name": ...}, 400, "invalid_request"),
            ({"name": None}, 400, "invalid_request"),
            ({"mode": "upsert"}, 400, "invalid_request"),
            ({"expect_snapshot": -1}, 400, "invalid_request"),
            ({"expect_snapshot": "1"}, 400, "invalid_request"),
            ({"expect_snapshot": 1}, 412, "precondition_failed"),
            ({"content_id": "c" * 129}, 400, "invalid_request"),
            ({"snapshot": 1}, 400, "invalid_request"),
            ({"schema": {}}, 400, "invalid_request"),
            ({"schema": [{"name": "a"}]}, 400, "invalid_request"),
            ({"schema": [{"name": "", "type": "T"}]}, 400, "invalid_request"),
            ({"schema": [{"name": "a", "type": ""}]}, 400, "invalid_request"),
            ({"schema": [{"name": "a", "type": "T"}] * 2}, 400, "invalid_request"),
            ({"schema": [{"name": "a", "type": "T", "comment": ""}]}, 400, "invalid_request"),
            ({"objects": [1]}, 400, "invalid_request"),
            ({"objects": [{}]}, 400, "invalid_request"),
            ({"objects": [dict(thing, key="")]}, 400, "invalid_key"),
            ({"objects": [dict(thing, key="k" * 1025)]}, 400, "key_too_long"),
            ({"objects": [dict(thing, key="_catalog/manifests/x.parquet")]}, 400, "invalid_key"),
            ({"objects": [dict(thing, key="_vectors/x.lhv1")]}, 400, "invalid_key"),
            ({"objects": [dict(thing, rows=-1)]}, 400, "invalid_request"),
            ({"objects": [dict(thing, rows=1.5)]}, 400, "invalid_request"),
            ({"objects": [dict(thing, bytes=2**63)]}, 400, "invalid_request"),
            ({"objects": [dict(thing, stats=[])]}, 400, "invalid_request"),
            ({"objects": [dict(thing, stats={"id": {"min": {}}})]}, 400, "invalid_request"),
            ({"objects": [thing, thing]}, 422, "bad_data"),
            ({"objects": [dict(thing, key="nowhere")]}, 422, "bad_data"),
            ({"objects": [dict(thing, bytes=4)]}, 422, "bad_data"),
        ]
        for members, status, code in refused:
            with self.subTest(members=str(members)[:80]):
                self.assertProblem(self.post(**members), status, code)
                self.assertEqual(self.names(), [])
        self.assertEqual(self.post(objects=[thing]).status, 201)

    def test_a_misspelt_member_is_named(self):
        problem = self.post(fingerprnt="x").json()
        self.assertIn("fingerprnt", problem["detail"])
        self.assertIn("fingerprint", problem.get("hint", "") + problem["detail"])
        problem = self.post(objects=[self.object(row=1)]).json()
        self.assertIn("objects[0]", problem["detail"])

    def test_odd_texts_come_back_as_they_were(self):
        names = ['"', "a\"b'c", "naïve", "日本", "a b", "\\", "a\tb", "x" * 1024, "\U0001f600", "<script>"]
        keys = ["datasets/ä/ %2F/..//.", "k" * 1024]
        things = []
        for key in keys:
            self.store.put("/storage/" + quote(key), b"xxx")
            things.append({"key": key, "rows": 1, "bytes": 3, "stats": {names[0]: {"min": "\u2028", "max": 1e300}}})
        columns = [{"name": name, "type": "STRUCT(\"a b\" INTEGER, b VARCHAR[])", "nullable": True} for name in names]
        self.assertEqual(self.post(schema=columns, objects=things, fingerprint='"\'é').status, 201)
        for _ in range(2):
            answer = self.catalog.get("/catalog/datasets/sales").json()
            self.assertEqual(answer["schema"], columns)
            self.assertEqual([one["key"] for one in answer["objects"]], keys)
            self.assertEqual(answer["objects"][0]["stats"], things[0]["stats"])
            self.assertEqual(answer["fingerprint"], '"\'é')
            self.catalog.restart()


class Conflicts(Catalogd):
    def test_modes(self):
        one, two = self.object(), self.object("datasets/main/sales/data/2.parquet")
        self.assertEqual(self.post(objects=[one], content_id="c1").status, 201)
        self.assertEqual(self.post(objects=[one], content_id="c1").json()["status"], "unchanged")
        problem = self.assertProblem(self.post(objects=[two], content_id="c2"), 409, "already_exists")
        self.assertIn("append", problem["hint"])
        for mode in ("create", "append", "replace"):
            self.assertProblem(self.post(mode=mode, fingerprint="f2", content_id="c2"), 409, "fingerprint_conflict")
        self.assertProblem(self.post(mode="append", objects=[one], content_id="c2"), 422, "bad_data")
        self.assertProblem(self.post(mode="append", objects=[two], expect_snapshot=7), 412, "precondition_failed")
        self.assertEqual(self.post(mode="append", objects=[two], expect_snapshot=1, content_id="c2").json()["snapshot"], 2)
        repeat = self.post(mode="append", objects=[two], expect_snapshot=1, content_id="c2")
        self.assertEqual((repeat.status, repeat.json()["status"], repeat.json()["snapshot"]), (200, "unchanged", 2))
        self.assertEqual(self.post(mode="replace", objects=[two], content_id="c2").json()["status"], "replaced")

    def test_what_is_not_there(self):
        for method, path, body in (("GET", "", None), ("DELETE", "", None), ("GET", "/history", None),
                                   ("POST", "/restore", {"snapshot": 1}), ("POST", "/rename", {"to": "b"})):
            with self.subTest(method=method, path=path):
                self.assertProblem(self.catalog.request(method, f"/catalog/datasets/nothing{path}", body), 404,
                                   "not_found")

    def test_restore_and_rename_bodies(self):
        self.post()
        for path, body in (("restore", {}), ("restore", {"snapshot": "1"}), ("restore", {"snapshot": 1, "x": 1}),
                           ("restore", []), ("rename", {}), ("rename", {"to": 1}), ("rename", {"from": "a"})):
            with self.subTest(path=path, body=body):
                self.assertProblem(self.catalog.post(f"/catalog/datasets/sales/{path}", body), 400, "invalid_request")
        for snapshot in (-1, 0, 2, 2**62):
            self.assertProblem(self.catalog.post("/catalog/datasets/sales/restore", {"snapshot": snapshot}), 404,
                               "not_found")
        self.assertProblem(self.catalog.post("/catalog/datasets/sales/rename", b" " * 5000,
                                             {"Content-Type": "application/json"}), 413, "too_large")


class Questions(Catalogd):
    def test_parameters(self):
        self.post()
        for path in ("/catalog/datasets?limit=0", "/catalog/datasets?limit=x", "/catalog/datasets?limit=-1",
                     "/catalog/datasets?nothing=1", "/catalog/datasets/sales?snapshot=0",
                     "/catalog/datasets/sales?snapshot=x", "/catalog/datasets/sales?as_of=yesterday",
                     "/catalog/datasets/sales?as_of=", "/catalog/datasets/sales?snapshot=1&as_of=2026-01-01",
                     "/catalog/datasets/sales/history?cursor=x", "/catalog/changes?wait_ms=x",
                     "/catalog/changes?wait_ms=-1", "/catalog/datasets/sales?limit=1"):
            with self.subTest(path=path):
                self.assertProblem(self.catalog.get(path), 400, "invalid_request")
        self.assertProblem(self.catalog.delete("/catalog/datasets/sales?purge=maybe"), 400, "invalid_request")
        self.assertProblem(self.catalog.get("/catalog/datasets/sales?snapshot=2"), 404, "not_found")
        self.assertProblem(self.catalog.get("/catalog/nothing"), 404, "route_not_found")
        self.assertProblem(self.catalog.put("/catalog/datasets/sales", b""), 405, "method_not_allowed")

    def test_pages(self):
        names = [f"a{n}" for n in range(5)] + [f"b{n}" for n in range(5)] + ["n.a0", "n.a1"]
        for name in names:
            self.post(name=name)
        for prefix, expected in (("", names), ("a", names[:5]), ("b", names[5:10]), ("n.", names[10:]), ("zz", []),
                                 ("a0x", []), ("%21", [])):
            for limit in (1, 2, 3, 5, 1000, 10**15):
                found, cursor = [], ""
                while cursor is not None:
                    page = self.catalog.get(f"/catalog/datasets?prefix={prefix}&limit={limit}{cursor}").json()
                    self.assertLessEqual(len(page["items"]), limit)
                    found += [item["dataset"] for item in page["items"]]
                    cursor = page["next"] and f"&cursor={page['next']}"
                self.assertEqual(found, expected, (prefix, limit))

    def test_a_page_goes_on_where_its_last_dataset_was(self):
        for name in "abcd":
            self.post(name=name)
        page = self.catalog.get("/catalog/datasets?limit=2").json()
        self.catalog.delete("/catalog/datasets/b")
        self.post(name="bb")
        rest = self.catalog.get(f"/catalog/datasets?cursor={page['next']}").json()
        self.assertEqual([item["dataset"] for item in rest["items"]], ["bb", "c", "d"])

    def test_head_and_openapi(self):
        self.post()
        response = self.catalog.head("/catalog/datasets/sales")
        self.assertEqual((response.status, response.body), (200, b""))
        paths = self.catalog.get("/openapi.json").json()["paths"]
        for path in ("/catalog/datasets", "/catalog/datasets/{name}", "/catalog/datasets/{name}/history",
                     "/catalog/datasets/{name}/restore", "/catalog/datasets/{name}/rename", "/catalog/changes"):
            self.assertIn(path, paths)

    def test_many_objects_are_streamed(self):
        things = [self.object(f"k/{n:05}", stats={"id": {"min": n, "max": "x" * 200, "nulls": 0}}) for n in range(1500)]
        self.assertEqual(self.post(objects=things).status, 201)
        answer = self.catalog.get("/catalog/datasets/sales")
        self.assertGreater(len(answer.body), 300_000)
        self.assertEqual([one["key"] for one in answer.json()["objects"]], [thing["key"] for thing in things])
        self.assertEqual(answer.json()["rows"], 1500)


class Limits(Catalogd):
    def test_limits(self):
        self.catalog.restart(**{
            "catalogd.datasets_max": 2, "catalogd.columns_max": 3, "catalogd.objects_max": 2,
            "catalogd.body_bytes_max": "4KiB"})
        columns = [{"name": f"c{n}", "type": "T"} for n in range(4)]
        self.assertProblem(self.post(schema=columns), 413, "too_large")
        self.assertProblem(self.post(objects=[self.object(f"k{n}") for n in range(3)]), 413, "too_large")
        self.assertProblem(self.post(content_id="c" * 5000), 413, "too_large")
        self.assertEqual(self.post(schema=columns[:3], objects=[self.object(f"k{n}") for n in range(2)]).status, 201)
        self.assertEqual(self.post(name="two").status, 201)
        problem = self.assertProblem(self.post(name="three"), 507, "storage_full")
        self.assertIn("datasets_max", problem["hint"])
        self.assertEqual(self.post(name="two").status, 200)
        self.catalog.delete("/catalog/datasets/two")
        self.assertEqual(self.post(name="three").status, 201)

    def test_a_body_that_ends_early_changes_nothing(self):
        body = json.dumps({"name": "cut", "fingerprint": "f"}).encode()
        with socket.create_connection(("127.0.0.1", self.catalog.port)) as connection:
            connection.sendall(b"POST /catalog/datasets HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                               b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body)
        time.sleep(0.2)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.store.get("/storage").json()["items"], [])

    def test_metrics_and_health(self):
        self.post()
        text = self.catalog.get("/metrics").text
        self.assertIn("\nlakehouse_catalogd_datasets 1\n", text)
        self.assertIn("\nlakehouse_catalogd_commits_total 1\n", text)
        health = self.catalog.get("/health").json()
        self.assertEqual((health["service"], health["status"], health["datasets"]), ("catalogd", "ok", 1))

    def test_idle_memory(self):
        self.assertLess(self.catalog.rss(), 45 << 20)


if __name__ == "__main__":
    main()
