#!/usr/bin/env python3
"""Bodies at the S3 door, in every payload mode: what a request says about its body is verified, to the last byte,
and of a body that is not what it says nothing is stored."""

import hashlib
import socket
import unittest

from support.lakehouse import main
from support.s3 import (CHUNKED, CHUNKED_TRAILER, S3, S3TestCase, Signer, UNSIGNED, UNSIGNED_TRAILER, b64,
                        crc32_of, md5_of)

MODES = (None, UNSIGNED, CHUNKED, CHUNKED_TRAILER, UNSIGNED_TRAILER)
STREAMED = (CHUNKED, CHUNKED_TRAILER, UNSIGNED_TRAILER)
# The window of an upload is one byte larger than a known body; blocks have 256 KiB, chunks 64 KiB.
SIZES = (0, 1, 5, 4095, 65535, 65536, 65537, 262143, 262144, 262145, 1000003)


def data(size):
    return bytes((i * 131 + (i >> 8) * 7) & 0xff for i in range(min(size, 4099))) * (size // 4099 + 1)


def sha256_of(body):
    return b64(hashlib.sha256(body).digest())


def sha1_of(body):
    return b64(hashlib.sha1(body).digest())


def crc32c_of(body):
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    crc = 0xffffffff
    for byte in body:
        crc = table[(crc ^ byte) & 0xff] ^ (crc >> 8)
    return b64((crc ^ 0xffffffff).to_bytes(4, "big"))


KEY = {"keys.id": "tester", "keys.secret": "a-secret-of-the-tests"}


class Bodies(S3TestCase):
    def setUp(self):
        super().setUp()
        self.start()

    def start(self, **settings):
        """With a key, so that signatures are looked at."""
        self.store = self.service("storaged", **{**KEY, **settings})
        self.s3 = S3(self.store.port, Signer(*KEY.values()))
        self.bucket(self.s3)

    def assertNothing(self, key):
        self.assertEqual(self.s3.head(key).status, 404)

    def assertRefused(self, answer, status, word, key="/bucket/refused"):
        self.assertS3Error(answer, status, word)
        self.assertNothing(key)

    def test_every_mode_stores_the_same_bytes(self):
        for mode in MODES:
            for size in SIZES:
                with self.subTest(mode=mode, size=size):
                    body = data(size)[:size]
                    trailers = {"x-amz-checksum-crc32": crc32_of(body)} if mode and mode.endswith("TRAILER") else None
                    answer = self.s3.put("/bucket/k", body, mode=mode, trailers=trailers)
                    self.assertEqual(answer.status, 200, answer)
                    self.assertEqual(answer.headers["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
                    got = self.s3.get("/bucket/k")
                    self.assertEqual(len(got.body), size)
                    self.assertEqual(got.body, body)
                    self.assertIsNone(got.headers["Content-Encoding"])

    def test_chunks_of_any_size(self):
        body = data(3000)[:3000]
        for mode in STREAMED:
            for chunk in (1, 2, 7, 999, 3000):
                with self.subTest(mode=mode, chunk=chunk):
                    trailers = {"x-amz-checksum-crc32": crc32_of(body)} if mode != CHUNKED else None
                    answer = self.s3.put("/bucket/k", body, mode=mode, trailers=trailers, chunk_bytes=chunk)
                    self.assertEqual(answer.status, 200, answer)
                    self.assertEqual(self.s3.get("/bucket/k").body, body)

    def test_byte_by_byte(self):
        """However the network cuts it."""
        body = b"the quick brown fox"
        frames = []

        def keep(headers, framed):
            frames.append((dict(headers), framed))
            return headers, framed

        for mode in STREAMED:
            with self.subTest(mode=mode):
                trailers = {"x-amz-checksum-crc32": crc32_of(body)} if mode != CHUNKED else None
                self.s3.put("/bucket/k", body, mode=mode, trailers=trailers, chunk_bytes=8, change=keep)
                headers, framed = frames[-1]
                self.s3.delete("/bucket/k")
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                with socket.create_connection(("127.0.0.1", self.store.port), timeout=60) as wire:
                    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    wire.sendall(f"PUT /bucket/k HTTP/1.1\r\n{lines}Content-Length: {len(framed)}\r\n\r\n".encode())
                    for i in range(len(framed)):
                        wire.sendall(framed[i:i + 1])
                    self.assertIn(b" 200 ", wire.recv(4096).split(b"\r\n")[0])
                self.assertEqual(self.s3.get("/bucket/k").body, body)

    def test_two_chunkings(self):
        """As clients do it over TLS: aws-chunked inside of HTTP's own chunks, without Content-Length."""
        body = b"hello"
        seen = []
        self.s3.put("/bucket/k", body, mode=UNSIGNED_TRAILER, trailers={"x-amz-checksum-crc32": crc32_of(body)},
                    change=lambda headers, framed: seen.append((headers, framed)) or (headers, framed))
        headers, framed = seen[0]
        self.s3.delete("/bucket/k")
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(framed[i:i + 7]), framed[i:i + 7]) for i in range(0, len(framed), 7))
        answer = self.s3.send("PUT", "/bucket/k", {**headers, "Transfer-Encoding": "chunked"}, chunked + b"0\r\n\r\n")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.s3.get("/bucket/k").body, body)

    def test_digests_by_header(self):
        body = data(70000)[:70000]
        right = {"Content-MD5": md5_of(body), "x-amz-checksum-crc32": crc32_of(body),
                 "x-amz-checksum-crc32c": crc32c_of(body), "x-amz-checksum-sha1": sha1_of(body),
                 "x-amz-checksum-sha256": sha256_of(body)}
        wrong = {"Content-MD5": md5_of(b"x"), "x-amz-checksum-crc32": crc32_of(b"x"),
                 "x-amz-checksum-crc32c": crc32c_of(b"x"), "x-amz-checksum-crc64nvme": b64(bytes(8)),
                 "x-amz-checksum-sha1": sha1_of(b"x"), "x-amz-checksum-sha256": sha256_of(b"x")}
        for mode in (None, UNSIGNED, CHUNKED):
            for name, value in right.items():
                with self.subTest(mode=mode, right=name):
                    answer = self.s3.put("/bucket/k", body, mode=mode, headers={name: value})
                    self.assertEqual(answer.status, 200, answer)
                    if name != "Content-MD5":
                        self.assertEqual(answer.headers[name], value)
                        self.assertEqual(answer.headers["x-amz-checksum-type"], "FULL_OBJECT")
            for name, value in wrong.items():
                with self.subTest(mode=mode, wrong=name):
                    answer = self.s3.put("/bucket/refused", body, mode=mode, headers={name: value})
                    self.assertRefused(answer, 400, "BadDigest")

    def test_digests_that_are_none(self):
        for headers, status, word in (
                ({"Content-MD5": ""}, 400, "InvalidDigest"),
                ({"Content-MD5": "rL0Y20zC+Fzt72VPzMSk2A"}, 400, "InvalidDigest"),
                ({"Content-MD5": "AAAA"}, 400, "InvalidDigest"),
                ({"x-amz-checksum-crc32": "bad"}, 400, "BadDigest"),
                ({"x-amz-checksum-sha256": b64(bytes(16))}, 400, "BadDigest"),
                ({"x-amz-checksum-crc32": crc32_of(b"b"), "x-amz-checksum-sha1": sha1_of(b"b")}, 400, "InvalidRequest"),
                ({"x-amz-checksum-xxhash64": "AAAAAAAAAAA="}, 501, "NotImplemented"),
                ({"x-amz-sdk-checksum-algorithm": "MD4"}, 400, "InvalidRequest"),
                ({"x-amz-sdk-checksum-algorithm": "SHA256"}, 400, "InvalidRequest"),
                ({"x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-crc32": crc32_of(b"b")},
                 400, "InvalidRequest"),
                ({"x-amz-trailer": "x-amz-checksum-crc32"}, 400, "InvalidRequest")):
            with self.subTest(headers=headers):
                self.assertRefused(self.s3.put("/bucket/refused", b"b", headers=headers), status, word)

    def test_signed_sha256(self):
        answer = self.s3.put("/bucket/refused", b"body", change=lambda headers, body: (headers, b"bodi"))
        self.assertRefused(answer, 400, "XAmzContentSHA256Mismatch")
        both = {"x-amz-checksum-sha256": sha256_of(b"body")}
        self.assertEqual(self.s3.put("/bucket/k", b"body", headers=both).status, 200)
        answer = self.s3.put("/bucket/refused", b"body", headers=both, change=lambda headers, body: (headers, b"bodi"))
        self.assertRefused(answer, 400, "BadDigest")

    def test_chunk_signatures(self):
        body = data(200000)[:200000]
        for mode in (CHUNKED, CHUNKED_TRAILER):
            trailers = {"x-amz-checksum-crc32": crc32_of(body)} if mode == CHUNKED_TRAILER else None

            def put(change, mode=mode, trailers=trailers):
                return self.s3.put("/bucket/refused", body, mode=mode, trailers=trailers, change=change)

            def flip(at):
                def change(headers, framed):
                    return headers, framed[:at] + bytes([framed[at] ^ 1]) + framed[at + 1:]
                return change

            with self.subTest(mode=mode):
                for at in (100, 65536 // 2, 65700, 199000):  # a byte of each chunk's data
                    self.assertRefused(put(flip(at)), 403, "SignatureDoesNotMatch")
                swapped = self.s3.put("/bucket/refused", body, mode=mode, trailers=trailers, change=self.swap_chunks)
                self.assertRefused(swapped, 403, "SignatureDoesNotMatch")

    @staticmethod
    def swap_chunks(headers, framed):
        """The second chunk before the first, each with its own signature."""
        first = framed.index(b"\r\n") + 2 + 65536 + 2
        return headers, framed[first:2 * first] + framed[:first] + framed[2 * first:]

    def test_trailers(self):
        good = {"x-amz-checksum-crc32": crc32_of(b"body")}

        def put(mode, trailers, headers=None, change=None):
            return self.s3.put("/bucket/refused", b"body", mode=mode, trailers=trailers, headers=headers, change=change)

        for mode in (CHUNKED_TRAILER, UNSIGNED_TRAILER):
            with self.subTest(mode=mode):
                self.assertRefused(put(mode, {"x-amz-checksum-crc32": crc32_of(b"bodi")}), 400, "BadDigest")
                self.assertRefused(put(mode, {"x-amz-checksum-crc32": "AAA"}), 400, "InvalidRequest")
                announced = {"x-amz-trailer": "x-amz-checksum-crc32"}
                self.assertRefused(put(mode, {}, announced), 400, "MalformedTrailerError")
                self.assertRefused(put(mode, {"x-amz-checksum-sha1": sha1_of(b"body")}, announced),
                                   400, "MalformedTrailerError")
                self.assertRefused(put(mode, {**good, "x-amz-meta-late": "1"}, announced),
                                   400, "MalformedTrailerError")
                self.assertRefused(put(mode, {"x-amz-meta-late": "1"}), 400, "InvalidRequest")
                self.assertRefused(put(mode, good, {"x-amz-checksum-crc32": crc32_of(b"body")}), 400, "InvalidRequest")
                unannounced = put(mode, good, {"x-amz-trailer": ""})
                self.assertRefused(unannounced, 400, "MalformedTrailerError")
        forged = put(CHUNKED_TRAILER, good,
                     change=lambda headers, framed: (headers, framed[:-6] + b"0" * 4 + b"\r\n" * 2)
                     if framed[-8:-4] != b"0000" else (headers, framed[:-8] + b"1111\r\n\r\n"))
        self.assertRefused(forged, 403, "SignatureDoesNotMatch")

    def test_streams_that_end_early(self):
        """Cut at every byte of its frames, with a Content-Length that fits what is left."""
        for mode in STREAMED:
            trailers = {"x-amz-checksum-crc32": crc32_of(b"body")} if mode != CHUNKED else None
            lengths = []
            self.s3.put("/bucket/k", b"body", mode=mode, trailers=trailers,
                        change=lambda headers, framed: lengths.append(len(framed)) or (headers, framed))
            for cut in list(range(0, lengths[0], 5)) + [lengths[0] - 1]:
                with self.subTest(mode=mode, cut=cut):
                    answer = self.s3.put("/bucket/refused", b"body", mode=mode, trailers=trailers,
                                         change=lambda headers, framed, cut=cut: (headers, framed[:cut]))
                    self.assertIn(answer.status, (400, 403), answer)
                    self.assertNothing("/bucket/refused")

    def test_frames_that_are_none(self):
        for frames in (b"x\r\nbody\r\n0\r\n\r\n", b"4\nbody\n0\n\n", b"-4\r\nbody\r\n0\r\n\r\n", b"4\r\nbody0\r\n\r\n",
                       b"4\r\nbody\r\n0\r\n\r\nmore", b"fffffffffffffffff\r\nbody\r\n0\r\n\r\n", b"4;x=y\r\nbody\r\n0\r\n",
                       b"4" * 5000):
            with self.subTest(frames=frames[:40]):
                answer = self.s3.put("/bucket/refused", b"body", mode=UNSIGNED_TRAILER,
                                     change=lambda headers, framed, frames=frames: (headers, frames))
                self.assertEqual(answer.status, 400, answer)
                self.assertNothing("/bucket/refused")

    def test_decoded_length(self):
        for mode in STREAMED:
            trailers = {"x-amz-checksum-crc32": crc32_of(b"body")} if mode != CHUNKED else None
            for length in ("0", "3", "5", "400000"):
                with self.subTest(mode=mode, length=length):
                    answer = self.s3.put("/bucket/refused", b"body", mode=mode, trailers=trailers,
                                         headers={"x-amz-decoded-content-length": length})
                    self.assertEqual(answer.status, 400, answer)
                    self.assertNothing("/bucket/refused")
            with self.subTest(mode=mode):
                answer = self.s3.put("/bucket/refused", b"body", mode=mode, trailers=trailers,
                                     headers={"x-amz-decoded-content-length": "four"})
                self.assertRefused(answer, 400, "InvalidArgument")

    def test_lengths(self):
        def unsaid(headers, body):
            return {name: value for name, value in headers.items() if name != "x-amz-decoded-content-length"}, body

        self.store.stop()
        self.store, self.s3 = self.start_s3()
        self.bucket(self.s3)
        answer = self.s3.put("/bucket/refused", b"body", mode=UNSIGNED_TRAILER, change=unsaid)
        self.assertRefused(answer, 411, "MissingContentLength")
        target = {"Host": self.s3.host}
        chunked = self.s3.send("PUT", "/bucket/k", {**target, "Transfer-Encoding": "chunked"}, b"4\r\nbody\r\n0\r\n\r\n")
        self.assertEqual(chunked.status, 200, chunked)
        self.assertEqual(self.s3.get("/bucket/k").body, b"body")

    def test_frames_that_nobody_takes_off(self):
        answer = self.s3.put("/bucket/refused", b"body", mode=UNSIGNED, headers={"Content-Encoding": "aws-chunked"})
        self.assertRefused(answer, 400, "InvalidRequest")

    def test_too_large(self):
        self.store.stop()
        self.start(**{"storaged.max_object_bytes": "64KiB"})
        self.assertEqual(self.s3.put("/bucket/k", bytes(65536)).status, 200)
        for mode in MODES:
            with self.subTest(mode=mode):
                answer = self.s3.put("/bucket/refused", bytes(65537), mode=mode)
                self.assertRefused(answer, 400, "EntityTooLarge")

    def test_documents_are_verified_too(self):
        tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
        self.s3.put("/bucket/k", b"1")
        for mode in MODES:
            trailers = {"x-amz-checksum-crc32": crc32_of(tags)} if mode and mode.endswith("TRAILER") else None
            with self.subTest(mode=mode):
                self.assertEqual(self.s3.put("/bucket/k", tags, "tagging", mode=mode, trailers=trailers).status, 200)
                if trailers:
                    wrong = {"x-amz-checksum-crc32": crc32_of(b"x")}
                    answer = self.s3.put("/bucket/k", tags, "tagging", mode=mode, trailers=wrong)
                    self.assertS3Error(answer, 400, "BadDigest")
        self.assertS3Error(self.s3.put("/bucket/k", tags, "tagging", headers={"Content-MD5": md5_of(b"x")}),
                           400, "BadDigest")
        answer = self.s3.put("/bucket/k", tags, "tagging", change=lambda headers, body: (headers, body + b" "))
        self.assertS3Error(answer, 400, "XAmzContentSHA256Mismatch")

    def test_100_continue_waits_for_the_headers(self):
        """A request that is refused by its headers gets its answer instead of 100 Continue."""
        self.store.stop()
        self.store, self.s3 = self.start_s3()
        self.bucket(self.s3)
        with socket.create_connection(("127.0.0.1", self.store.port), timeout=60) as wire:
            wire.sendall(b"PUT /bucket/refused HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
                         b"Content-MD5: bad\r\n\r\n")
            self.assertTrue(wire.recv(4096).startswith(b"HTTP/1.1 400 "))
        with socket.create_connection(("127.0.0.1", self.store.port), timeout=60) as wire:
            wire.sendall(b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            self.assertTrue(wire.recv(4096).startswith(b"HTTP/1.1 100 "))
            wire.sendall(b"body")
            self.assertIn(b"200 OK", wire.recv(4096))


if __name__ == "__main__":
    main()
