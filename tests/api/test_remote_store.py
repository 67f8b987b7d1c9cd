#!/usr/bin/env python3
"""storaged with backend = "s3", in front of another storaged, through a proxy that spoils requests: the
native REST is what it is over the local disk, and every fault on the way is repaired, or told.

LAKEHOUSE_TEST_S3_PORT=9000 (with LAKEHOUSE_TEST_S3_KEY=id:secret) tests against a server of another make."""

import base64
import hashlib
import http.client
import os
import re
import socket
import threading
import time
import unittest
import zlib
from email.utils import formatdate

from support.faultproxy import FaultProxy, error_body
from support.lakehouse import PORTS, SANITIZE, TestCase, in_threads, main
from support.s3 import S3, Signer, quote

MIB = 1 << 20
KEY_ID, SECRET = os.environ.get("LAKEHOUSE_TEST_S3_KEY", "outer-key:outer-secret-0123456789").split(":")


class Remote(TestCase):
    PART = 5 * MIB

    def setUp(self):
        super().setUp()
        port = os.environ.get("LAKEHOUSE_TEST_S3_PORT")
        if not port:
            self.backing = self.service("storaged", **{"keys.id": KEY_ID, "keys.secret": SECRET})
            port = self.backing.port
        self.outer = S3(int(port), Signer(KEY_ID, SECRET))
        self.bucket = "remote-" + os.urandom(6).hex()  # the server may be there longer than this test
        self.assertEqual(self.outer.put(f"/{self.bucket}").status, 200)
        self.proxy = FaultProxy(self.outer.port)
        self.addCleanup(self.proxy.close)

    def settings(self, **more):
        return {"storaged.backend": "s3", "storaged.s3_endpoint": self.proxy.url,
                "storaged.s3_bucket": self.bucket, "storaged.s3_prefix": "in/ner ",
                "storaged.s3_access_key": KEY_ID, "storaged.s3_secret_key": SECRET,
                "storaged.s3_part_bytes": self.PART, **more}

    def start(self, **more):
        self.store = self.service("storaged", **self.settings(**more))
        self.proxy.clear()
        return self.store

    def target(self, key):
        """What a key of ours is called on the way out; a pattern."""
        return re.escape(f"/{self.bucket}/in/ner%20{quote(key, safe='/-_.~')}")

    def at_outer(self, key):
        """The object as the external store has it, or None."""
        answer = self.outer.get(f"/{self.bucket}/in/ner%20{quote(key, safe='/-_.~')}")
        return None if answer.status == 404 else answer.body

    def uploads(self):
        """Uploads in parts that were begun and not ended."""
        return self.outer.get(f"/{self.bucket}", "uploads=").texts("Upload/UploadId")

    def health(self):
        return self.store.get("/health").json()

    def parts_with_conditions(self):
        return self.health()["conditions_in_parts"] == "yes"

    # ---- the native REST ----

    def test_objects_come_back(self):
        store = self.start()
        for size in (0, 1, 65536, 65537, MIB, self.PART - 1, self.PART, self.PART + 1, 2 * self.PART,
                     2 * self.PART + 7):
            body = self.random.randbytes(size)
            for name, sent in (("plain", body), ("chunked", iter([body[at:at + 70000]
                                                                  for at in range(0, size, 70000)]))):
                key = f"{name}/{size}"
                answer = store.put(f"/storage/{key}", sent, {"Content-Type": f"x/{name}"})
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.json()["size"], size)
                got = store.get(f"/storage/{key}")
                self.assertEqual((got.status, got.headers["Content-Type"]), (200, f"x/{name}"))
                self.assertTrue(got.body == body, key)
                self.assertEqual(got.headers["ETag"], f'"{answer.json()["etag"]}"')
                self.assertEqual(int(store.head(f"/storage/{key}").headers["Content-Length"]), size)
                self.assertEqual(store.get(f"/storage/{key}?locate").json(),
                                 {"path": None, "size": size, "etag": answer.json()["etag"]})
                self.assertTrue(self.at_outer(key) == body, key)
        self.assertEqual(self.uploads(), [])

    def test_keys_are_bytes(self):
        store = self.start()
        keys = ["a b/ü+%2F", "a//b", "a/", "a", "..", "x/../y", "plus+", "q?&=#", "*'()!", "\u2028", "~._-", "a\\b",
                "k" * (1024 - len("in/ner "))]
        for key in keys:
            path = f"/storage/{quote(key, safe='/-_.~')}"
            self.assertEqual(store.put(path, key.encode()).status, 200, key)
            self.assertEqual(store.get(path).body, key.encode())
            self.assertEqual(self.at_outer(key), key.encode())
        listed = [item["key"] for item in store.get("/storage").json()["items"]]
        self.assertEqual(listed, sorted(keys, key=lambda key: key.encode()))
        self.assertProblem(store.put("/storage/" + "k" * 1020, b""), 400, "key_too_long")
        self.assertProblem(store.put("/storage/%FF", b""), 400, "invalid_key")
        for key in keys:
            self.assertEqual(store.delete(f"/storage/{quote(key, safe='/-_.~')}").status, 204)
        self.assertEqual(store.get("/storage").json()["items"], [])

    def test_conditions(self):
        store = self.start()
        for size in (3, self.PART + 1) if self.parts_with_conditions() else (3,):
            path, body = f"/storage/c{size}", b"x" * size
            first = store.put(path, body, {"If-None-Match": "*"})
            self.assertEqual(first.status, 201, first)
            self.assertProblem(store.put(path, body, {"If-None-Match": "*"}), 412, "precondition_failed")
            second = store.put(path, body + b"2", {"If-Match": first.headers["ETag"]})
            self.assertEqual(second.status, 200, second)
            self.assertProblem(store.put(path, body, {"If-Match": first.headers["ETag"]}), 412,
                               "precondition_failed")
            self.assertProblem(store.put(path + "none", body, {"If-Match": '"00"'}), 412, "precondition_failed")
            self.assertTrue(store.get(path).body == body + b"2")
            etag = second.headers["ETag"]
            for headers, status in (({"If-Match": etag}, 200), ({"If-Match": '"0"'}, 412),
                                    ({"If-None-Match": etag}, 304), ({"If-None-Match": '"0"'}, 200),
                                    ({"If-Modified-Since": formatdate(time.time() + 60, usegmt=True)}, 304),
                                    ({"If-Unmodified-Since": formatdate(0, usegmt=True)}, 412)):
                self.assertEqual(store.get(path, headers).status, status, headers)
                self.assertEqual(store.head(path, headers).status, status, headers)
            self.assertProblem(store.delete(path, headers={"If-Match": first.headers["ETag"]}), 412,
                               "precondition_failed")
            self.assertEqual(store.delete(path, headers={"If-Match": etag}).status, 204)
            self.assertProblem(store.delete(path, headers={"If-Match": etag}), 412, "precondition_failed")
            self.assertEqual(store.delete(path).status, 204)
            self.assertProblem(store.get(path), 404, "not_found")
            self.assertEqual(store.head(path).status, 404)
        for headers in ({"If-Match": "*"}, {"If-Match": '"a", "b"'}, {"If-None-Match": '"a"'}):
            self.assertProblem(store.put("/storage/u", b"", headers), 501, "unsupported")
        self.assertEqual(self.uploads(), [])

    def test_one_of_many_wins(self):
        store = self.start()
        answers = in_threads(8, lambda index: store.put("/storage/race", str(index), {"If-None-Match": "*"}))
        self.assertEqual(sorted(answer.status for answer in answers), [201] + [412] * 7)
        winner = next(index for index, answer in enumerate(answers) if answer.status == 201)
        self.assertEqual(store.get("/storage/race").text, str(winner))

    def test_ranges(self):
        store = self.start()
        body = self.random.randbytes(100_000)
        etag = store.put("/storage/r", body).headers["ETag"]
        for text, part in (("bytes=0-0", body[:1]), ("bytes=5-9", body[5:10]), ("bytes=99990-", body[99990:]),
                           ("bytes=-7", body[-7:]), ("bytes=99999-200000", body[99999:])):
            got = store.get("/storage/r", {"Range": text})
            self.assertEqual((got.status, got.body), (206, part), text)
            first = len(body) - len(part) if text != "bytes=5-9" and text != "bytes=0-0" else int(text[6])
            self.assertEqual(got.headers["Content-Range"], f"bytes {first}-{first + len(part) - 1}/100000")
        for text in ("bytes=a-b", "bytes=9-5", "lines=1-2", "bytes=0-1,5-6"):
            self.assertEqual(store.get("/storage/r", {"Range": text}).status, 200, text)
        self.assertProblem(store.get("/storage/r", {"Range": "bytes=100000-"}), 416, "range_not_satisfiable")
        self.assertEqual(store.get("/storage/r", {"Range": "bytes=0-4", "If-Range": etag}).body, body[:5])
        self.assertEqual(store.get("/storage/r", {"Range": "bytes=0-4", "If-Range": '"0"'}).status, 200)

    def test_digests(self):
        store = self.start()
        for size in (5, self.PART + 5):
            body = self.random.randbytes(size)
            md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
            sha256 = hashlib.sha256(body).hexdigest()
            for headers in ({"Content-MD5": "A" * 22 + "=="}, {"x-amz-content-sha256": "0" * 64}):
                self.assertProblem(store.put("/storage/d", body, headers), 400, "bad_digest")
                self.assertIsNone(self.at_outer("d"))
            self.assertEqual(store.put("/storage/d", body, {"Content-MD5": md5,
                                                            "x-amz-content-sha256": sha256}).status, 200)
            self.assertEqual(store.delete("/storage/d").status, 204)
        self.assertProblem(store.put("/storage/d", b"", {"Content-MD5": "?"}), 400, "invalid_request")
        self.assertProblem(store.put("/storage/d", b"", {"Content-Encoding": "gzip"}), 501, "unsupported")
        self.assertEqual(self.uploads(), [])

    def test_listing(self):
        store = self.start()
        keys = [f"l/{number % 7}/{number:03d}" for number in range(40)] + ["m", "l/x"]
        in_threads(8, lambda index: [store.put(f"/storage/{key}", key) for key in keys[index::8]])
        page = store.get("/storage?delimiter=/").json()
        self.assertEqual(([item["key"] for item in page["items"]], page["prefixes"], page["next"]),
                         (["m"], ["l/"], None))
        self.assertProblem(store.get("/storage?prefix=%FF"), 400, "invalid_request")
        self.assertProblem(store.get("/storage?cursor=none"), 400, "invalid_request")
        page = store.get("/storage?prefix=l/&delimiter=/").json()
        self.assertEqual(page["prefixes"], [f"l/{number}/" for number in range(7)])
        self.assertEqual([item["key"] for item in page["items"]], ["l/x"])
        self.assertEqual(page["items"][0]["size"], 3)
        self.assertRegex(page["items"][0]["modified"], r"^20\d\d-\d\d-\d\dT")
        for query in ("", "prefix=l/&", "prefix=l/3/&", "prefix=none&", "prefix=l/x&"):
            found, cursor = [], ""
            while cursor is not None:
                page = store.get(f"/storage?{query}limit=3{cursor and '&cursor=' + quote(cursor)}").json()
                self.assertLessEqual(len(page["items"]), 3)
                found += [item["key"] for item in page["items"]]
                cursor = page["next"]
            prefix = query[len("prefix="):-1]
            self.assertEqual(found, sorted(key for key in keys if key.startswith(prefix)))

    def test_the_s3_door_sends_to_the_store_itself(self):
        store = self.start()
        answer = S3(store.port, Signer("open", "door")).get(f"/{self.bucket}/in/ner%20x")
        self.assertEqual((answer.status, answer.code), (501, "NotImplemented"))
        self.assertIn("external S3 store", answer.text)

    # ---- what is tried at the start ----

    def assertNoStart(self, pattern, **more):
        with self.assertRaisesRegex(AssertionError, pattern):
            self.start(**more)

    def test_a_store_that_ignores_conditions_is_refused(self):
        def deaf(header):
            def answer(method, target, headers):
                if method == "PUT" and headers.get(header):
                    return 200, {"ETag": '"1"'}, b""
            return answer
        for header in ("If-None-Match", "If-Match"):
            self.proxy.answer_hook = deaf(header)
            self.assertNoStart(f"ignores {header} on PUT: two writers would overwrite")
        self.proxy.answer_hook = None
        self.proxy.fault("PUT", "_probe", (501, "NotImplemented"))
        self.assertNoStart("cannot be used.*NotImplemented")

    def test_a_store_that_ignores_the_condition_of_delete_is_helped(self):
        def forgetful(method, target, headers):
            if method == "DELETE":
                del headers["If-Match"]  # passed on without
        self.proxy.answer_hook = forgetful
        store = self.start()
        self.assertEqual(self.health()["conditional_delete"], "looked up")
        etag = store.put("/storage/d", b"1").headers["ETag"]
        self.assertProblem(store.delete("/storage/d", headers={"If-Match": '"0"'}), 412, "precondition_failed")
        self.assertEqual(store.delete("/storage/d", headers={"If-Match": etag}).status, 204)
        self.assertProblem(store.delete("/storage/d", headers={"If-Match": etag}), 412, "precondition_failed")

    def test_what_is_wrong_is_said_at_the_start(self):
        nobody = PORTS.take()
        for pattern, more in (
                ("s3_endpoint is not set", {"storaged.s3_endpoint": ""}),
                ("s3_bucket is not set", {"storaged.s3_bucket": ""}),
                ("is not the address of an S3 store", {"storaged.s3_endpoint": "ftp://x"}),
                ("is not the address of an S3 store", {"storaged.s3_endpoint": "http://x/path"}),
                ("an access key needs its secret", {"storaged.s3_secret_key": ""}),
                ("must hold a part", {"storaged.upload_budget_bytes": "1MiB"}),
                ("NoSuchBucket", {"storaged.s3_bucket": "no-such-bucket-here"}),
                ("no connection to", {"storaged.s3_endpoint": f"http://127.0.0.1:{nobody}",
                                      "storaged.s3_tries_max": 2})):
            self.assertNoStart(pattern, **more)
        if not os.environ.get("LAKEHOUSE_TEST_S3_PORT"):
            self.assertNoStart("SignatureDoesNotMatch",
                               **{"storaged.s3_secret_key": "another-secret-0123456789"})
        for program in self.programs:
            self.assertNotIn(SECRET, program.log_text())

    # ---- faults ----

    def test_every_fault_of_a_put_is_repaired(self):
        store = self.start()
        for fault in ("busy", "error", "refuse", "garbage", "lose", "fail", (400, "RequestTimeout"),
                      (409, "ConditionalRequestConflict"), (429, "TooManyRequests"), (400, "BadDigest"),
                      (504, "GatewayTimeout")):
            for condition in ({}, {"If-None-Match": "*"}, "If-Match"):
                with self.subTest(fault=fault, condition=condition):
                    key = f"f/{fault}/{condition}".replace(" ", "")
                    path = f"/storage/{quote(key, safe='/')}"
                    if condition == "If-Match":
                        condition = {"If-Match": store.put(path, b"before").headers["ETag"]}
                    self.proxy.clear()
                    self.proxy.fault("PUT", self.target(key), fault)
                    answer = store.put(path, b"after", condition)
                    self.assertIn(answer.status, (200, 201), answer)
                    self.assertEqual(self.proxy.count("PUT"), 2)
                    self.assertEqual(self.at_outer(key), b"after")
                    self.assertEqual(store.get(path).headers["ETag"], answer.headers["ETag"])
        self.assertEqual(self.health()["status"], "ok")
        self.assertGreater(self.health()["repeats"], 30)

    def test_somebody_else_wins_meanwhile(self):
        """The answer is lost, and before the repeat somebody else has put the key: that is a 412."""
        store = self.start()
        path = f"/{self.bucket}/in/ner%20k"

        def lose_and_overwrite(method, target, headers):
            if method == "PUT" and headers.get("If-None-Match"):
                self.proxy.answer_hook = None
                self.outer.put(path, b"theirs")
                return 500, {}, error_body("InternalError")
        self.proxy.answer_hook = lose_and_overwrite
        self.assertProblem(store.put("/storage/k", b"ours", {"If-None-Match": "*"}), 412, "precondition_failed")
        self.assertEqual(store.get("/storage/k").body, b"theirs")

    def test_every_fault_of_an_upload_in_parts_is_repaired(self):
        store = self.start()
        body = self.random.randbytes(2 * self.PART + 11)
        cases = [("POST", r"\?uploads", fault) for fault in ("busy", "refuse", "lose", "fail")]
        cases += [("PUT", r"partNumber=2", fault) for fault in ("busy", "refuse", "lose", "fail", "garbage")]
        cases += [("POST", r"\?uploadId", fault) for fault in ("busy", "refuse", "lose", "fail", "hidden")]
        for number, (method, pattern, fault) in enumerate(cases):
            for condition in ({}, {"If-None-Match": "*"}) if self.parts_with_conditions() else ({},):
                with self.subTest(method=method, pattern=pattern, fault=fault, condition=condition):
                    key = f"p{number}{len(condition)}"
                    self.proxy.clear()
                    self.proxy.fault(method, pattern, fault)
                    answer = store.put(f"/storage/{key}", body, condition)
                    self.assertIn(answer.status, (200, 201), answer)
                    self.assertTrue(store.get(f"/storage/{key}").body == body)
                    self.assertEqual(store.delete(f"/storage/{key}",
                                                  headers={"If-Match": answer.headers["ETag"]}).status, 204)

    def test_a_failed_upload_leaves_nothing(self):
        store = self.start(**{"storaged.s3_tries_max": 2})
        body = bytes(3 * self.PART)
        for method, pattern, fault in (("PUT", "partNumber=3", "error"), ("POST", r"\?uploadId", "hidden"),
                                       ("PUT", "partNumber=1", (403, "AccessDenied"))):
            self.proxy.clear()
            self.proxy.fault(method, pattern, fault, times=-1)
            self.assertProblem(store.put("/storage/u", body), 502, "bad_upstream")
            self.assertEqual(self.uploads(), [])
            self.assertIsNone(self.at_outer("u"))
        self.proxy.clear()
        # A client that goes in the middle of its body.
        with socket.create_connection(("127.0.0.1", store.port)) as raw:
            raw.sendall(b"PUT /storage/u HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
            raw.sendall(body[:2 * self.PART])
            time.sleep(0.3)
        deadline = time.monotonic() + 20
        while self.uploads() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.uploads(), [])
        self.assertEqual(store.put("/storage/u", body).status, 200)
        self.assertIn(b"lakehouse_storaged_upload_bytes 0\n", store.get("/metrics").body)

    def test_every_fault_of_a_read_is_repaired(self):
        store = self.start(**{"storaged.s3_timeout": "400ms" if not SANITIZE else "3s"})
        body = self.random.randbytes(2 * MIB)
        self.assertEqual(store.put("/storage/g", body).status, 200)
        for fault in ("busy", "error", "refuse", "garbage", "half", "stall", "lose"):
            for headers, expected in (({}, body), ({"Range": "bytes=1000-999999"}, body[1000:1000000])):
                with self.subTest(fault=fault, headers=headers):
                    self.proxy.clear()
                    self.proxy.fault("GET", self.target("g"), fault)
                    got = store.get("/storage/g", headers)
                    self.assertEqual(got.status, 206 if headers else 200)
                    self.assertTrue(got.body == expected)
                    self.assertEqual(self.proxy.count("GET"), 2)
        for fault in ("busy", "refuse", "garbage", "lose"):
            self.proxy.clear()
            for method in ("HEAD", "DELETE"):
                self.proxy.fault(method, self.target("g"), fault)
            self.proxy.fault("GET", "list-type=2", fault)
            self.assertEqual(store.head("/storage/g").status, 200)
            self.assertEqual([item["key"] for item in store.get("/storage?prefix=g").json()["items"]], ["g"])
            etag = store.head("/storage/g").headers["ETag"]
            self.assertEqual(store.delete("/storage/g", headers={"If-Match": etag}).status, 204, fault)
            self.assertEqual(store.put("/storage/g", body).status, 200)

    def test_a_stream_that_broke_never_mixes_two_objects(self):
        store = self.start(**{"storaged.s3_tries_max": 3})
        self.assertEqual(store.put("/storage/m", b"1" * MIB).status, 200)
        path = f"/{self.bucket}/in/ner%20m"

        def replace(method, target, headers):
            if headers.get("Range"):
                self.proxy.answer_hook = None
                self.outer.put(path, b"2" * MIB)
        self.proxy.answer_hook = replace
        self.proxy.fault("GET", self.target("m"), "half")
        with self.assertRaises(http.client.IncompleteRead) as raised:
            store.get("/storage/m")
        self.assertEqual(set(raised.exception.partial), {ord("1")})
        self.assertEqual(store.get("/storage/m").body, b"2" * MIB)

    def test_damage_on_the_way_is_noticed(self):
        store = self.start()
        body = self.random.randbytes(300_000)
        crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        answer = self.outer.put(f"/{self.bucket}/in/ner%20c", body, headers={"x-amz-checksum-crc32": crc})
        self.assertEqual(answer.status, 200, answer)
        self.assertTrue(store.get("/storage/c").body == body)
        self.proxy.fault("GET", self.target("c"), "corrupt")
        with self.assertRaises((http.client.HTTPException, OSError)):
            store.get("/storage/c")
        self.assertTrue(store.get("/storage/c").body == body)

    def test_another_clock(self):
        store = self.start()
        ahead = 3600

        def picky(method, target, headers):
            stamp = time.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
            now = time.time() + ahead
            if abs(time.mktime(stamp) - time.timezone - now) > 900:
                return 403, {"Date": formatdate(now, usegmt=True)}, error_body("RequestTimeTooSkewed")
            return 200, {"ETag": '"0123456789abcdef0123456789abcdef"'}, b""
        self.proxy.answer_hook = picky
        self.assertEqual(store.put("/storage/t", b"1").status, 200)
        self.assertEqual(self.proxy.count("PUT"), 2)
        self.assertEqual(store.put("/storage/t", b"1").status, 200)
        self.assertEqual(self.proxy.count("PUT"), 3)

    # ---- a store that is down ----

    def test_a_store_that_is_down_is_told_and_not_hammered(self):
        store = self.start()
        store.put("/storage/x", b"1")
        self.proxy.clear()
        self.proxy.fault("*", "", "busy", times=-1)
        answer = store.get("/storage/x")
        self.assertProblem(answer, 503, "busy")
        self.assertIn("Retry-After", answer.headers)
        self.assertEqual(self.proxy.count("GET"), 5)  # s3_tries_max
        health = self.health()
        self.assertEqual(health["status"], "degraded")
        self.assertIn("503", health["last_error"])
        in_threads(8, lambda _: [store.get("/storage/x") for _ in range(5)])
        # 41 calls; of repeats there are fifty in hand.
        self.assertLessEqual(self.proxy.count("GET"), 41 + 50 + 2)
        self.proxy.clear()
        self.assertEqual(store.get("/storage/x").body, b"1")
        self.assertEqual(self.health()["status"], "ok")
        metrics = store.get("/metrics").text
        self.assertIn("lakehouse_storaged_remote_failing 0\n", metrics)
        self.assertRegex(metrics, r"lakehouse_storaged_remote_repeats_total [45]\d\n")

    def test_what_is_wrong_with_bucket_or_keys_is_nobodys_404(self):
        store = self.start()
        for fault, words in (((403, "AccessDenied"), "AccessDenied"), ((404, "NoSuchBucket"), "NoSuchBucket"),
                             ("moved", "PermanentRedirect")):
            for method, path in (("GET", "/storage/x"), ("GET", "/storage"), ("DELETE", "/storage/x"),
                                 ("PUT", "/storage/x")):
                self.proxy.clear()
                self.proxy.fault("*", "", fault)
                self.assertProblem(store.request(method, path, b"" if method == "PUT" else None), 502,
                                   "bad_upstream")
                self.assertIn(words, self.health()["last_error"])

    def test_a_404_that_is_not_of_the_store_is_no_answer(self):
        store = self.start()
        self.assertEqual(store.put("/storage/x", b"1").status, 200)
        self.proxy.answer_hook = lambda method, target, headers: (404, {"Content-Type": "text/html"},
                                                                  b"<html>no such route</html>")
        for path in ("/storage/x", "/storage", "/storage/none"):
            self.assertProblem(store.get(path), 502, "bad_upstream")
        self.proxy.answer_hook = None
        self.assertProblem(store.get("/storage/none"), 404, "not_found")

    def test_the_client_is_gone(self):
        store = self.start()
        store.put("/storage/x", b"1" * MIB)
        self.proxy.fault("GET", self.target("x"), "stall")
        with socket.create_connection(("127.0.0.1", store.port)) as raw:
            raw.sendall(b"GET /storage/x HTTP/1.1\r\nHost: x\r\n\r\n")
            raw.recv(1000)
        deadline = time.monotonic() + 10
        while b"lakehouse_http_requests_in_flight 1\n" not in (metrics := store.get("/metrics").body):
            self.assertLess(time.monotonic(), deadline, metrics)
            time.sleep(0.05)

    # ---- memory ----

    def test_memory_is_bounded(self):
        store = self.start()
        block = self.random.randbytes(MIB)
        total = 64

        def put(index):
            answer = store.put(f"/storage/big{index}", (block for _ in range(total)), timeout=120)
            self.assertEqual(answer.status, 200, answer)
        in_threads(2, put)

        def slow_read(index):
            """A reader that is slower than the store holds nothing up but itself."""
            connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
            connection.request("GET", f"/storage/big{index}")
            answer, digest, size = connection.getresponse(), hashlib.md5(), 0
            while piece := answer.read(MIB):
                digest.update(piece)
                size += len(piece)
            connection.close()
            return size, digest.hexdigest()
        expected = hashlib.md5(block * total).hexdigest()
        self.assertEqual(in_threads(2, slow_read), [(total * MIB, expected)] * 2)
        if not SANITIZE:
            self.assertLess(store.rss(), 80 * MIB)

    def test_the_upload_budget(self):
        store = self.start(**{"storaged.upload_budget_bytes": self.PART})
        held = threading.Event()

        def slowly():
            yield b"x" * MIB
            held.wait(20)
            yield b"x" * (self.PART - MIB)
        thread = threading.Thread(target=store.put, args=("/storage/slow", slowly()))
        thread.start()
        deadline = time.monotonic() + 20
        while b"storaged_upload_bytes 0\n" in store.get("/metrics").body and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        answer = store.put("/storage/more", b"x" * self.PART)
        self.assertProblem(answer, 503, "busy")
        self.assertEqual(store.put("/storage/little", b"x").status, 200)
        held.set()
        thread.join()
        self.assertEqual(store.put("/storage/more", b"x" * self.PART).status, 200)
        self.assertEqual(store.head("/storage/slow").headers["Content-Length"], str(self.PART))


if __name__ == "__main__":
    main()
