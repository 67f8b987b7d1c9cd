#!/usr/bin/env python3
"""Objects as a client sees them: whole and in ranges, under all sorts of keys, listed by pages, guarded by
conditions, 1 GiB at constant memory, and all of it after kill -9."""

import hashlib
import http.client
import json
import threading
import time
import unittest
from pathlib import Path
from urllib.parse import quote

from support.lakehouse import SANITIZE, TestCase, in_threads, main

MIB = 1 << 20


def path_of(key):
    """The address of a key, every byte of it encoded that may be."""
    return "/storage/" + quote(key if isinstance(key, bytes) else key.encode(), safe="")


class Wire:
    """One kept-alive connection."""

    def __init__(self, service):
        self.connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body=body, headers=headers or {})
        response = self.connection.getresponse()
        return response.status, response.read()

    def close(self):
        self.connection.close()


def pages(service, query="", limit=1000):
    """Every page of a listing, as dictionaries."""
    cursor = ""
    while cursor is not None:
        answer = service.get(f"/storage?limit={limit}{query}" + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200, answer
        page = answer.json()
        yield page
        cursor = page["next"]


def listed_keys(service, query="", limit=1000):
    return [item["key"] for page in pages(service, query, limit) for item in page["items"]]


class Objects(TestCase):
    def test_1_put_get_head_delete(self):
        store = self.service("storaged")
        for size in (0, 1, 4096, 65536, 65537, 262144, 1_000_000):
            body = self.random.randbytes(size)
            etag = hashlib.md5(body).hexdigest()
            answer = store.put("/storage/dir/object", body, {"Content-Type": "text/x-test"})
            self.assertEqual(answer.status, 201 if size == 0 else 200, answer)
            self.assertEqual(answer.json(), {"key": "dir/object", "size": size, "etag": etag})
            got = store.get("/storage/dir/object")
            self.assertEqual((got.status, got.body), (200, body))
            head = store.head("/storage/dir/object")
            self.assertEqual((head.status, head.body), (200, b""))
            for answer in (got, head):
                self.assertEqual(answer.headers["ETag"], f'"{etag}"')
                self.assertEqual(answer.headers["Content-Length"], str(size))
                self.assertEqual(answer.headers["Content-Type"], "text/x-test")
                self.assertEqual(answer.headers["Accept-Ranges"], "bytes")
                self.assertTrue(answer.headers["Last-Modified"].endswith(" GMT"))
        self.assertEqual(store.delete("/storage/dir/object").status, 204)
        self.assertEqual(store.delete("/storage/dir/object").status, 204)
        self.assertProblem(store.get("/storage/dir/object"), 404, "not_found")
        self.assertEqual(store.head("/storage/dir/object").status, 404)
        self.assertEqual(store.get("/health").json()["objects"], 0)

    def test_2_ranges(self):
        store = self.service("storaged")
        for size in (10_000, 700_000):
            body = self.random.randbytes(size)
            store.put("/storage/r", body)
            cases = [("bytes=0-0", 0, 1), ("bytes=5-99", 5, 100), (f"bytes={size - 1}-", size - 1, size),
                     ("bytes=-1", size - 1, size), (f"bytes=-{size * 2}", 0, size),
                     (f"bytes=100-{size * 2}", 100, size), ("bytes=0-", 0, size),
                     (f"bytes={size // 2}-{size // 2 + 5000}", size // 2, min(size, size // 2 + 5001))]
            for header, first, end in cases:
                answer = store.get("/storage/r", {"Range": header})
                self.assertEqual((answer.status, answer.body), (206, body[first:end]), header)
                self.assertEqual(answer.headers["Content-Range"], f"bytes {first}-{end - 1}/{size}")
            for header in (f"bytes={size}-", "bytes=-0"):
                answer = store.get("/storage/r", {"Range": header})
                self.assertProblem(answer, 416, "range_not_satisfiable")
                self.assertEqual(answer.headers["Content-Range"], f"bytes */{size}")
            for header in ("bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=--5"):
                answer = store.get("/storage/r", {"Range": header})
                self.assertEqual((answer.status, answer.body), (200, body), header)
            etag = store.head("/storage/r").headers["ETag"]
            date = store.head("/storage/r").headers["Last-Modified"]
            for value, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200), (date, 206),
                                  ("Thu, 01 Jan 1970 00:00:00 GMT", 200)):
                answer = store.get("/storage/r", {"Range": "bytes=1-2", "If-Range": value})
                self.assertEqual(answer.status, status, value)
        store.put("/storage/r", b"")
        self.assertEqual(store.get("/storage/r", {"Range": "bytes=0-"}).status, 416)

    def test_3_conditions(self):
        store = self.service("storaged")
        star = {"If-None-Match": "*"}
        self.assertProblem(store.put("/storage/c", b"x", {"If-Match": "*"}), 412, "precondition_failed")
        self.assertEqual(store.put("/storage/c", b"one", star).status, 201)
        self.assertProblem(store.put("/storage/c", b"two", star), 412, "precondition_failed")
        etag = store.head("/storage/c").headers["ETag"]
        self.assertProblem(store.put("/storage/c", b"two", {"If-Match": '"0"'}), 412, "precondition_failed")
        self.assertEqual(store.get("/storage/c").body, b"one")

        self.assertEqual(store.get("/storage/c", {"If-Match": etag}).body, b"one")
        self.assertEqual(store.get("/storage/c", {"If-Match": '"0"'}).status, 412)
        unchanged = store.get("/storage/c", {"If-None-Match": f'"0", W/{etag}'})
        self.assertEqual((unchanged.status, unchanged.body, unchanged.headers["ETag"]), (304, b"", etag))
        self.assertEqual(store.head("/storage/c", {"If-None-Match": etag}).status, 304)
        self.assertEqual(store.get("/storage/c", {"If-None-Match": '"0"'}).status, 200)
        date = store.head("/storage/c").headers["Last-Modified"]
        old = "Thu, 01 Jan 1970 00:00:00 GMT"
        self.assertEqual(store.get("/storage/c", {"If-Modified-Since": date}).status, 304)
        self.assertEqual(store.get("/storage/c", {"If-Modified-Since": old}).status, 200)
        self.assertEqual(store.get("/storage/c", {"If-Modified-Since": "yesterday"}).status, 200)
        self.assertEqual(store.get("/storage/c", {"If-Unmodified-Since": old}).status, 412)
        self.assertEqual(store.get("/storage/c", {"If-Unmodified-Since": date}).status, 200)
        # If-None-Match counts before If-Modified-Since (RFC 9110 section 13.2.2)
        both = {"If-None-Match": '"0"', "If-Modified-Since": date}
        self.assertEqual(store.get("/storage/c", both).status, 200)

        self.assertEqual(store.put("/storage/c", b"two", {"If-Match": etag}).status, 200)
        self.assertEqual(store.delete("/storage/c", headers={"If-Match": etag}).status, 412)
        self.assertEqual(store.get("/storage/c").body, b"two")
        etag = store.head("/storage/c").headers["ETag"]
        self.assertEqual(store.delete("/storage/c", headers={"If-Match": etag}).status, 204)
        self.assertEqual(store.delete("/storage/c", headers={"If-Match": etag}).status, 412)

    def test_4_of_many_that_race_one_wins(self):
        store = self.service("storaged")
        threads, rounds = 24, 20
        together = threading.Barrier(threads)

        def race(index):
            wire, won = Wire(store), []
            for number in range(rounds):
                together.wait(60)
                status, _ = wire.ask("PUT", f"/storage/race/{number}", f"by {index}",
                                     {"If-None-Match": "*"})
                self.assertIn(status, (201, 412))
                if status == 201:
                    won.append(number)
            wire.close()
            return won

        winners = in_threads(threads, race)
        for number in range(rounds):
            by = [index for index in range(threads) if number in winners[index]]
            self.assertEqual(len(by), 1)
            self.assertEqual(store.get(f"/storage/race/{number}").text, f"by {by[0]}")

        # A counter kept by If-Match: no increment is lost.
        store.put("/storage/counter", b"0")

        def count(_):
            wire, done = Wire(store), 0
            while done < 10:
                status, body = wire.ask("GET", "/storage/counter")
                etag = f'"{hashlib.md5(body).hexdigest()}"'
                status, _ = wire.ask("PUT", "/storage/counter", str(int(body) + 1), {"If-Match": etag})
                done += status == 200
            wire.close()

        in_threads(8, count)
        self.assertEqual(store.get("/storage/counter").body, b"80")

    def test_5_keys(self):
        store = self.service("storaged")
        keys = ["a", "a/", "a/b", "a/b/c", "a//b", "/a", "A", "..", "../..", "a/../b", ".", "a b", "a+b",
                "a%20b", "%2F", "a%2Fb", "ä", "a\u0308", "日本語/🌊", "a\nb", "a\\b", '"', "'", "?", "#",
                "a?b=c", "&=;,", "*", "~", "x" * 1024, "ü" * 512, "x" * 300 + "/y", "\x01\x7f", "data/00"]
        for number, key in enumerate(keys):
            self.assertEqual(store.put(path_of(key), f"{number}").status, 201, key)
        self.assertEqual(store.put("/storage/plain/slash", b"1").status, 201)
        self.assertEqual(store.get("/storage/plain%2Fslash").body, b"1")
        self.assertEqual(store.get("/storage/a/../b").body, store.get(path_of("a/../b")).body)
        keys.append("plain/slash")
        for _ in range(2):
            for number, key in enumerate(keys[:-1]):
                self.assertEqual(store.get(path_of(key)).text, f"{number}", key)
                self.assertEqual(store.head(path_of(key)).status, 200)
            self.assertEqual(listed_keys(store), sorted(keys, key=str.encode))
            self.assertEqual(listed_keys(store, "&prefix=a%2F"),
                             sorted((key for key in keys if key.startswith("a/")), key=str.encode))
            store.restart()
        for key in keys:
            self.assertEqual(store.delete(path_of(key)).status, 204)
        self.assertEqual(listed_keys(store), [])

    def test_6_a_listing_of_25000_keys(self):
        store = self.service("storaged")
        count, threads = 25_000, 16
        keys = [f"{'even' if number % 2 == 0 else 'odd'}/{number % 50:02d}/{number:06d}"
                for number in range(count)]
        self.random.shuffle(keys)

        def fill(index):
            wire = Wire(store)
            for key in keys[index::threads]:
                status, body = wire.ask("PUT", f"/storage/{key}", key)
                self.assertEqual(status, 201, body)
            wire.close()

        in_threads(threads, fill)
        keys.sort()
        started = time.monotonic()
        self.assertEqual(listed_keys(store), keys)
        whole = time.monotonic() - started
        self.assertEqual(listed_keys(store, "", 777), keys)
        self.assertEqual(len(next(pages(store, "", 1_000_000))["items"]), 1000)
        self.assertEqual(listed_keys(store, "&prefix=odd/07"), [key for key in keys if key[:6] == "odd/07"])

        self.assertEqual([page for page in pages(store, "&delimiter=/")],
                         [{"items": [], "prefixes": ["even/", "odd/"], "next": None}])
        folders = [prefix for page in pages(store, "&delimiter=/&prefix=odd/", 7)
                   for prefix in page["prefixes"]]
        self.assertEqual(folders, [f"odd/{number:02d}/" for number in range(1, 50, 2)])
        item = next(pages(store, "&prefix=even/00/000000"))["items"][0]
        self.assertEqual(item["etag"], hashlib.md5(b"even/00/000000").hexdigest())
        self.assertEqual(item["size"], 14)
        self.assertRegex(item["modified"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        # Two prefixes of 12,500 keys each are found by two seeks.
        started = time.monotonic()
        for _ in range(20):
            store.get("/storage?delimiter=/")
        self.assertLess((time.monotonic() - started) / 20, max(whole / 5, 0.02))

    def test_7_a_gibibyte_at_constant_memory(self):
        store = self.service("storaged")
        size, piece = 1 << 30, 1 << 20
        block = self.random.randbytes(piece)
        store.put("/storage/warm", block)
        store.get("/storage/warm")
        before, highest = store.rss(), 0
        digest = hashlib.md5()

        def body():
            nonlocal highest
            for number in range(size // piece):
                part = number.to_bytes(8, "big") + block[8:]
                digest.update(part)
                if number % 64 == 0:
                    highest = max(highest, store.rss())
                yield part

        answer = store.put("/storage/big", body(), {"Content-Length": str(size)}, timeout=300)
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.json()["etag"], digest.hexdigest())

        back = hashlib.md5()
        connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=300)
        connection.request("GET", "/storage/big")
        response = connection.getresponse()
        self.assertEqual(response.getheader("Content-Length"), str(size))
        received = 0
        while part := response.read(4 * MIB):
            back.update(part)
            received += len(part)
            highest = max(highest, store.rss())
        connection.close()
        self.assertEqual((received, back.digest()), (size, digest.digest()))
        if not SANITIZE:
            self.assertLess(highest - before, 8 * MIB)
        answer = store.get("/storage/big", {"Range": f"bytes={size - 100}-"})
        self.assertEqual(answer.body, block[-100:])
        located = store.get("/storage/big?locate").json()
        self.assertEqual(Path(located["path"]).stat().st_size, size)
        self.assertEqual(store.delete("/storage/big").status, 204)
        deadline = time.monotonic() + 20
        while Path(located["path"]).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertFalse(Path(located["path"]).exists())

    def test_8_incomplete_uploads_leave_nothing(self):
        store = self.service("storaged")
        for size in (1000, 3 * MIB):
            connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
            connection.putrequest("PUT", "/storage/half")
            connection.putheader("Content-Length", str(size))
            connection.endheaders()
            connection.send(b"x" * (size // 2))
            time.sleep(0.1)
            connection.close()
        deadline = time.monotonic() + 20
        while b"storaged_uploads 0" not in store.get("/metrics").body and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(listed_keys(store), [])
        self.assertEqual(self.data_files(store), [])
        self.assertEqual(store.get("/health").json()["objects"], 0)

    def data_files(self, store):
        return [path for path in Path(store.dir, "data/storaged/data").glob("*/*") if path.is_file()]


class Crash(TestCase):
    """kill -9 under load, again and again: every key holds what was acknowledged last, or what was being
    written when the process died. Never less, never a mixture."""

    CYCLES, THREADS, KEYS = 20, 8, 5

    def body(self, key, version):
        """Small and large in turn; 0 is "absent"."""
        seed = hashlib.sha256(f"{key} {version}".encode()).digest()
        return seed * (4 if version % 3 else 3000)

    def write(self, store, index, acknowledged, attempted, stop):
        try:
            wire = Wire(store)
            while not stop.is_set():
                for number in range(self.KEYS):
                    key = f"{index}/{number}"
                    version = attempted.get(key, 0) + 1
                    attempted[key] = version
                    if version % 7 == 0:
                        status, _ = wire.ask("DELETE", f"/storage/{key}")
                    else:
                        status, _ = wire.ask("PUT", f"/storage/{key}", self.body(key, version))
                    self.assertIn(status, (200, 201, 204))
                    acknowledged[key] = version
        except (OSError, http.client.HTTPException):
            pass  # it was killed: what was in flight is neither acknowledged nor refused

    def check(self, store, key, acknowledged, attempted):
        answer = store.get(f"/storage/{key}")
        for version in range(acknowledged.get(key, 0), attempted[key] + 1):
            absent = version % 7 == 0
            if (absent and answer.status == 404) or \
                    (not absent and answer.status == 200 and answer.body == self.body(key, version)):
                acknowledged[key] = version
                return
        self.fail(f"{key}: acknowledged {acknowledged.get(key)}, attempted {attempted[key]}, "
                  f"found {answer.status} with {len(answer.body)} bytes")

    def test_kill_loop(self):
        store = self.service("storaged")
        acknowledged, attempted = {}, {}
        for _ in range(self.CYCLES):
            stop = threading.Event()
            threads = [threading.Thread(target=self.write,
                                        args=(store, index, acknowledged, attempted, stop))
                       for index in range(self.THREADS)]
            for thread in threads:
                thread.start()
            time.sleep(self.random.uniform(0.05, 0.4))
            store.kill()
            stop.set()
            for thread in threads:
                thread.join()
            store.restart()
            for key in attempted:
                self.check(store, key, acknowledged, attempted)
        self.assertGreater(sum(acknowledged.values()), 1000)

        # Rows, figures and files agree.
        items = [item for page in pages(store) for item in page["items"]]
        health = store.get("/health").json()
        self.assertEqual(health["status"], "ok")
        self.assertEqual(health["objects"], len(items))
        self.assertEqual(health["bytes"], sum(item["size"] for item in items))
        large = sum(item["size"] > 65536 for item in items)
        deadline = time.monotonic() + 20
        folder = Path(store.dir, "data/storaged/data")
        while True:
            files = sum(path.is_file() for path in folder.glob("*/*"))
            if files == large or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.assertEqual(files, large)
        print(json.dumps({"cycles": self.CYCLES, "acknowledged": sum(acknowledged.values())}))


if __name__ == "__main__":
    main()
