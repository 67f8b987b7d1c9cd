#!/usr/bin/env python3
"""Every answer of storaged that is not plain success: bad keys, bad bodies, bad questions, full and broken
disks, damaged bytes. After each one the store is as before and goes on."""

import base64
import hashlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import time
import unittest
from pathlib import Path

from support.lakehouse import SANITIZE, TestCase, main

MIB = 1 << 20
BLOCK = 256 << 10


def b64(digest):
    return base64.b64encode(digest).decode()


class Raw:
    """A request by hand, for what no client library sends."""

    def __init__(self, service):
        self.socket = socket.create_connection(("127.0.0.1", service.port), timeout=60)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def answer(self):
        """Status, headers and body up to the end of the connection or of the body."""
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        body = response.read()
        self.socket.close()
        return response.status, response.headers, body


class Storaged(TestCase):
    def setUp(self):
        super().setUp()
        self.store = None

    def start(self, **settings):
        self.store = self.service("storaged", **settings)
        self.assertEqual(self.store.put("/storage/keep", b"kept").status, 201)
        return self.store

    def assertUntouched(self, objects=1):
        """What was there is there, and nothing else."""
        self.assertEqual(self.store.get("/storage/keep").body, b"kept")
        keys = [item["key"] for item in self.store.get("/storage").json()["items"]]
        self.assertEqual(len(keys), objects, keys)

    # ---- keys ----

    def test_keys(self):
        store = self.start()
        for path, code in (("/storage/a%00b", "invalid_key"), ("/storage/%FF", "invalid_key"),
                           ("/storage/%C0%80", "invalid_key"), ("/storage/%ED%A0%80", "invalid_key"),
                           ("/storage/" + "k" * 1025, "key_too_long"),
                           ("/storage/" + "%C3%BC" * 512 + "k", "key_too_long")):
            for method in ("PUT", "GET", "DELETE"):
                self.assertProblem(store.request(method, path), 400, code)
            self.assertEqual(store.head(path).status, 400)
        for path in ("/storage/%", "/storage/%2", "/storage/%zz", "/storage/a%2"):
            for method in ("PUT", "GET", "DELETE"):
                self.assertEqual(store.request(method, path).status, 400, path)
        self.assertEqual(store.put("/storage/").status, 400)  # a bucket of S3 cannot have that name
        self.assertUntouched()

    def test_an_address_is_never_a_path(self):
        store = self.start()
        for key in ("..%2F..%2FFORMAT", "../../index.db", "%2Fetc%2Fpasswd", "data/00/0000010000000000"):
            self.assertProblem(store.get(f"/storage/{key}"), 404, "not_found")
        (self.folder / "outside").write_text("secret")
        self.assertEqual(store.get(f"/storage/{self.folder}/outside").status, 404)

    # ---- bodies ----

    def test_digests(self):
        store = self.start()
        for size in (5, 100_000, MIB):
            body = self.random.randbytes(size)
            md5, sha256 = hashlib.md5(body).digest(), hashlib.sha256(body).digest()
            wrong = bytes([md5[0] ^ 1]) + md5[1:], bytes([sha256[0] ^ 1]) + sha256[1:]
            for headers in ({"Content-MD5": b64(wrong[0])}, {"x-amz-checksum-sha256": b64(wrong[1])},
                            {"X-Amz-Content-SHA256": wrong[1].hex()},
                            {"Content-MD5": b64(md5), "x-amz-checksum-sha256": b64(wrong[1])},
                            {"x-amz-checksum-sha256": b64(sha256), "x-amz-content-sha256": wrong[1].hex()},
                            {"x-amz-checksum-crc32": "AAAAAA=="}, {"x-amz-checksum-crc32c": "AAAAAA=="},
                            {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, {"x-amz-checksum-sha1": b64(bytes(20))}):
                self.assertProblem(store.put("/storage/d", body, headers), 400, "bad_digest")
            for headers in ({"Content-MD5": "?"}, {"Content-MD5": b64(b"short")}, {"Content-MD5": ""}):
                self.assertProblem(store.put("/storage/d", body, headers), 400, "invalid_request")
            self.assertProblem(store.put("/storage/d", body, {"x-amz-checksum-sha256": b64(md5)}), 400, "bad_digest")
            self.assertUntouched()
            for headers in ({"Content-MD5": b64(md5)}, {"x-amz-checksum-sha256": b64(sha256)},
                            {"x-amz-content-sha256": sha256.hex()},
                            {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}):
                self.assertIn(store.put("/storage/d", body, headers).status, (200, 201))
            self.assertEqual(store.delete("/storage/d").status, 204)

    def test_what_is_not_done_is_refused(self):
        store = self.start()
        for headers in ({"x-amz-checksum-md4": "AAAAAA=="}, {"Content-Range": "bytes 0-0/5"},
                        {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
                        {"x-amz-server-side-encryption": "AES256"}):
            self.assertProblem(store.put("/storage/n", b"x", headers), 501, "unsupported")
        self.assertProblem(store.put("/storage/n", b"x", {"Content-Encoding": "aws-chunked"}), 400, "invalid_request")
        self.assertProblem(store.put("/storage/n", b"x", {"Content-Type": "x" * 256}), 400, "invalid_request")
        self.assertProblem(store.put("/storage/n?acl", b"x"), 400, "invalid_request")
        self.assertProblem(store.get("/storage/keep?versionId=1"), 400, "invalid_request")
        self.assertProblem(store.delete("/storage/keep?tagging"), 400, "invalid_request")
        self.assertUntouched()

    def test_methods_and_paths(self):
        store = self.start()
        for method, path in (("POST", "/storage/keep"), ("PUT", "/storage"), ("DELETE", "/storage")):
            answer = store.request(method, path)
            self.assertProblem(answer, 405, "method_not_allowed")
            self.assertIn("GET", answer.headers["Allow"])
        self.assertEqual(store.get("/stored").status, 404)  # a bucket of S3
        self.assertUntouched()

    def test_incomplete_bodies(self):
        store = self.start(**{"http.body_rate_window": "1s"})
        for size in (100, MIB):
            head = f"PUT /storage/i HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
            raw = Raw(store).send(head + b"x" * (size - 1))
            raw.socket.shutdown(socket.SHUT_WR)
            try:
                status, _, body = raw.answer()
                self.assertIn((status, b"incomplete_body" in body, b"request_timeout" in body),
                              ((400, True, False), (408, False, True)))
            except (OSError, http.client.HTTPException):
                pass  # closed without an answer is as good
            finally:
                raw.socket.close()
        self.assertUntouched()

    def test_too_large(self):
        store = self.start(**{"storaged.max_object_bytes": "1MiB"})
        self.assertEqual(store.put("/storage/fits", b"x" * MIB).status, 201)
        self.assertProblem(store.put("/storage/large", b"x" * (MIB + 1)), 413, "too_large")
        chunks = (b"x" * 65536 for _ in range(17))
        try:
            self.assertProblem(store.put("/storage/large", chunks), 413, "too_large")
        except (BrokenPipeError, ConnectionResetError):
            pass  # this client does not look for an answer while it sends
        # Refused by its head: the body is never asked for.
        raw = Raw(store).send(b"PUT /storage/large HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n"
                              b"Expect: 100-continue\r\n\r\n")
        self.assertEqual(raw.answer()[0], 413)
        self.assertUntouched(2)

    def test_the_upload_budget(self):
        store = self.start(**{"storaged.upload_budget_bytes": "1MiB"})
        head = "PUT /storage/{} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
        held = [Raw(store).send(head.format(number, MIB).encode() + b"x") for number in range(4)]
        deadline = time.monotonic() + 20
        while b"storaged_uploads 4" not in store.get("/metrics").body and time.monotonic() < deadline:
            time.sleep(0.02)
        answer = store.put("/storage/more", b"x" * MIB)
        self.assertProblem(answer, 503, "busy")
        self.assertIn("Retry-After", answer.headers)
        self.assertEqual(store.get("/storage/keep").body, b"kept")  # reads go on
        for number, raw in enumerate(held):
            self.assertEqual(raw.send(b"x" * (MIB - 1)).answer()[0], 201, number)
        self.assertEqual(store.put("/storage/more", b"x" * MIB).status, 201)
        self.assertUntouched(6)

    # ---- questions ----

    def test_listing(self):
        store = self.start(**{"storaged.list_limit_max": 5})
        for number in range(12):
            store.put(f"/storage/l/{number:02d}", b"")
        page = store.get("/storage?limit=1000").json()
        self.assertEqual(len(page["items"]), 5)
        cursor = page["next"]
        self.assertEqual(len(store.get("/storage?prefix=l/&limit=3").json()["items"]), 3)
        for query in ("limit=0", "limit=-1", "limit=x", "limit=", "limit=99999999999999999999",
                      "cursor=zz", "cursor=00", f"cursor={cursor}&prefix=l/", f"cursor={cursor}&delimiter=/",
                      f"cursor={cursor[:-2]}", f"cursor={cursor}00", "prefix=%FF", "delimiter=%FF",
                      "prefix=a%00", "prefix=" + "p" * 1025, "marker=x", "prefix=%"):
            self.assertEqual(store.get(f"/storage?{query}").status, 400, query)
        self.assertProblem(store.get("/storage?cursor=zz"), 400, "invalid_request")
        self.assertEqual(store.get(f"/storage?cursor={cursor}").status, 200)
        self.assertEqual(store.get("/storage?prefix=none").json(),
                         {"items": [], "prefixes": [], "next": None})

    def test_a_page_is_bounded_in_bytes(self):
        store = self.start(**{"storaged.list_limit_max": 100_000})
        keys = [f"{number:04d}" + "%01" * 1020 for number in range(900)]
        for key in keys:
            self.assertEqual(store.put(f"/storage/{key}", b"").status, 201)
        page = store.get("/storage?limit=100000")
        self.assertLess(len(page.body), 5 * MIB)
        first = page.json()
        self.assertTrue(first["next"])
        second = store.get(f"/storage?limit=100000&cursor={first['next']}").json()
        self.assertEqual(len(first["items"]) + len(second["items"]), 901)

    def test_ranges(self):
        store = self.start()
        answer = store.get("/storage/keep", {"Range": "bytes=4-"})
        self.assertProblem(answer, 416, "range_not_satisfiable")
        self.assertEqual(answer.headers["Content-Range"], "bytes */4")

    def test_locate(self):
        store = self.start()
        body = self.random.randbytes(MIB)
        store.put("/storage/large", body)
        etag = hashlib.md5(body).hexdigest()
        located = store.get("/storage/large?locate").json()
        self.assertEqual((located["size"], located["etag"]), (MIB, etag))
        path = Path(located["path"])
        self.assertTrue(path.is_absolute())
        self.assertEqual(path.read_bytes(), body)
        self.assertEqual(path.stat().st_mode & 0o222, 0)
        small = store.get("/storage/keep?locate").json()
        self.assertEqual(small, {"path": None, "size": 4, "etag": hashlib.md5(b"kept").hexdigest()})
        self.assertProblem(store.get("/storage/none?locate"), 404, "not_found")

    # ---- the disk ----

    def test_the_reserve(self):
        store = self.start()
        store.put("/storage/large", b"x" * MIB)
        store.restart(**{"storaged.reserve_bytes": "1TiB"})
        self.assertProblem(store.put("/storage/new", b"x"), 507, "storage_full")
        self.assertProblem(store.put("/storage/new", b"x" * MIB), 507, "storage_full")
        self.assertProblem(store.put("/storage/keep", b"other"), 507, "storage_full")
        self.assertEqual(store.get("/storage/large").body, b"x" * MIB)
        self.assertEqual(store.delete("/storage/large").status, 204)
        self.assertEqual(store.get("/health").json()["status"], "ok")
        self.assertUntouched()

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("mount"), "mounting needs root")
    def test_a_full_disk(self):
        folder = self.folder / "disk"
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder],
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no tmpfs can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", folder])
        store = self.start(data_dir=str(folder / "data"), **{"storaged.reserve_bytes": "0"})
        stored = {}
        for size in (MIB, 40_000):
            for number in range(1000):
                answer = store.put(f"/storage/{size}/{number}", bytes([number % 251]) * size)
                if answer.status != 201:
                    self.assertProblem(answer, 507, "storage_full")
                    break
                stored[f"{size}/{number}"] = (number, size)
            else:
                self.fail("a disk of 16 MiB took a thousand objects")
        self.assertGreater(len(stored), 5)
        for key, (number, size) in stored.items():
            self.assertEqual(store.get(f"/storage/{key}").body, bytes([number % 251]) * size)
        self.assertEqual(store.get("/health").json()["mode"], "read-write")
        self.assertUntouched(len(stored) + 1)
        store.restart(**{"storaged.reserve_bytes": "0"})
        for key, (number, size) in stored.items():
            self.assertEqual(store.get(f"/storage/{key}").body, bytes([number % 251]) * size)

    def inject(self, store, fault):
        """Makes a system call of the running service fail (strace), until the returned function is called."""
        if SANITIZE or not shutil.which("strace"):
            self.skipTest("needs strace, and a build without sanitizers")
        trace = subprocess.Popen(["strace", "-f", "-q", "-e", f"inject={fault}",
                                  "-e", f"trace={fault.split(':')[0]}", "-p", str(store.pid)],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        status = Path(f"/proc/{store.pid}/status")
        while not re.search(r"TracerPid:\t[1-9]", status.read_text()):
            if trace.poll() is not None or time.monotonic() > deadline:
                trace.kill()
                trace.wait()
                self.skipTest("this process may not trace another")
            time.sleep(0.01)
        time.sleep(0.2)  # all its threads

        def end():
            trace.terminate()
            trace.wait(20)

        self.addCleanup(trace.kill)
        return end

    def test_a_failed_write(self):
        store = self.start()
        end = self.inject(store, "pwrite64:error=EIO")
        for body in (b"x", b"x" * MIB):
            self.assertProblem(store.put("/storage/keep", body), 500, "io_error")
        end()
        self.assertUntouched()
        self.assertEqual(store.put("/storage/new", b"x").status, 201)
        self.assertEqual(store.get("/health").json()["status"], "ok")

    def test_a_failed_fsync(self):
        for body in (b"x", b"x" * MIB):
            store = self.start()
            end = self.inject(store, "fdatasync:error=EIO:when=1")
            self.assertProblem(store.put("/storage/new", body), 500, "io_error")
            end()
            answer = store.put("/storage/new", b"x")
            self.assertProblem(answer, 503, "read_only")
            self.assertIn("Retry-After", answer.headers)
            self.assertProblem(store.delete("/storage/keep"), 503, "read_only")
            health = store.get("/health").json()
            self.assertEqual((health["status"], health["mode"]), ("degraded", "read-only"))
            self.assertIn("durable", str(health))
            self.assertIn(b"lakehouse_storaged_read_only 1", store.get("/metrics").body)
            self.assertUntouched()
            store.kill()
            store.restart()
            self.assertEqual(store.get("/health").json()["mode"], "read-write")
            self.assertUntouched()
            self.assertEqual(store.put("/storage/new", body).status, 201)

    # ---- damage ----

    def flip(self, path, offset):
        path.chmod(0o600)
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 4]))

    def assertNamed(self, store, key):
        health = store.get("/health").json()
        self.assertEqual((health["status"], health["damaged"]), ("degraded", 1))
        self.assertIn(key, str(health))
        self.assertIn(b"lakehouse_storaged_damaged_objects 1", store.get("/metrics").body)
        # Putting it anew mends it.
        self.assertEqual(store.put(f"/storage/{key}", b"mended").status, 200)
        self.assertEqual(store.get(f"/storage/{key}").body, b"mended")
        self.assertEqual(store.get("/health").json()["damaged"], 0)
        self.assertUntouched(2)

    def test_a_flipped_bit_in_a_small_object(self):
        store = self.start()
        body = b"the needle in the stack: " + self.random.randbytes(2000)
        store.put("/storage/small", body)
        store.stop()
        index = Path(store.dir, "data/storaged/index.db")
        at = index.read_bytes().index(b"the needle")
        self.flip(index, at + 5)
        store.restart()
        self.assertProblem(store.get("/storage/small"), 500, "corrupt")
        self.assertProblem(store.get("/storage/small", {"Range": "bytes=1000-1010"}), 500, "corrupt")
        self.assertIn("pages of the index", str(store.get("/health").json()))
        self.assertNamed(store, "small")
        store.restart()
        store.get("/storage/small")
        self.assertEqual(store.get("/health").json()["status"], "ok")

    def test_a_flipped_bit_in_a_large_object(self):
        store = self.start()
        body = self.random.randbytes(3 * MIB)
        store.put("/storage/large", body)
        path = Path(store.get("/storage/large?locate").json()["path"])
        self.flip(path, 2 * MIB + 12345)
        # The stream breaks off: what came is right, and it is visibly not all.
        connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
        connection.request("GET", "/storage/large")
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        got = b""
        with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
            while part := response.read(65536):
                got += part
            raise http.client.IncompleteRead(got) if len(got) < len(body) else AssertionError("all of it")
        connection.close()
        self.assertLessEqual(len(got), 2 * MIB)
        self.assertEqual(got, body[:len(got)])
        # Other blocks are served, this one never.
        part = store.get("/storage/large", {"Range": f"bytes=0-{BLOCK * 2}"})
        self.assertEqual((part.status, part.body), (206, body[:BLOCK * 2 + 1]))
        answer = store.get("/storage/large", {"Range": f"bytes={2 * MIB + 5}-{2 * MIB + 9}"})
        self.assertProblem(answer, 500, "corrupt")
        self.assertNamed(store, "large")
        self.assertEqual(store.get("/health").json()["status"], "ok")

    def test_a_truncated_and_a_missing_file(self):
        for damage in ("truncate", "unlink"):
            store = self.start()
            store.put("/storage/large", b"x" * MIB)
            path = Path(store.get("/storage/large?locate").json()["path"])
            if damage == "truncate":
                path.chmod(0o600)
                os.truncate(path, MIB - 1)
            else:
                path.unlink()
            self.assertProblem(store.get("/storage/large"), 500, "corrupt")
            self.assertNamed(store, "large")

    # ---- start ----

    def test_a_newer_store_is_refused(self):
        store = self.start()
        store.stop()
        mark = Path(store.dir, "data/storaged/FORMAT")
        text = mark.read_text()
        mark.write_text(text.replace("format 2", "format 3"))
        with self.assertRaisesRegex(AssertionError, "newer program"):
            store.restart()
        mark.write_text(text)
        store.restart()
        self.assertUntouched()


if __name__ == "__main__":
    main()
