#!/usr/bin/env python3
"""Who comes in at the S3 door, and what they may: signatures good and bad, roles, patterns, the public."""

import datetime
import unittest

from support.lakehouse import main
from support.s3 import CHUNKED, CHUNKED_TRAILER, S3, UNSIGNED, S3TestCase, Signer, crc32_of

KEYS = """
[[key]]
id = "admin"
secret = "the-secret-of-the-admin"
role = "admin"
user_id = "ada"
display_name = "Ada"

[[key]]
id = "writer"
secret = "the-secret-of-the-writer"
role = "write"
pattern = ["photos/2026/*", "drop"]

[[key]]
id = "reader"
secret = "the-secret-of-the-reader"
role = "read"
pattern = "photos"
"""


def signer(name, **more):
    return Signer(name, f"the-secret-of-the-{name}", **more)


class Auth(S3TestCase):
    def setUp(self):
        super().setUp()
        keys = self.folder / "keys.toml"
        keys.write_text(KEYS)
        self.store = self.service("storaged", **{"keys.file": str(keys)})
        self.admin = S3(self.store.port, signer("admin"))
        self.bucket(self.admin, "photos")
        self.bucket(self.admin, "drop")
        self.assertEqual(self.admin.put("/photos/2026/a", b"1").status, 200)

    def client(self, name, **more):
        return S3(self.store.port, signer(name, **more))

    # ---- signatures ----

    def test_signed_requests_are_let_in(self):
        clock = lambda: datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=14)
        for client in (self.admin, self.client("admin", region="eu-west-3"), self.client("admin", now=clock)):
            self.assertEqual(client.get("/photos/2026/a").body, b"1")
        self.assertEqual(self.admin.presigned("GET", "/photos/2026/a").body, b"1")
        self.assertEqual(self.admin.presigned("PUT", "/photos/b", body=b"2").status, 200)

    def test_odd_paths_and_queries_are_signed_alike(self):
        for key in ("a b", "a+b", "a%20b", "ü/ß", "a//b", "a/../b", "~-._", "a=b&c", "*", "100%", "q?"):
            path = S3.path("photos", key)
            with self.subTest(key=key):
                self.assertEqual(self.admin.put(path, key.encode()).status, 200)
                self.assertEqual(self.admin.get(path, "response-content-type=a%2Fb").body, key.encode())
                self.assertEqual(self.admin.presigned("GET", path).body, key.encode())
                self.assertIn(key, self.admin.get("/photos").texts("Contents/Key"))

    def test_bad_signatures(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        old = lambda: now - datetime.timedelta(minutes=16)
        young = lambda: now + datetime.timedelta(minutes=16)
        for word, client in (
                ("InvalidAccessKeyId", S3(self.store.port, Signer("nobody", "x"))),
                ("SignatureDoesNotMatch", S3(self.store.port, Signer("admin", "x"))),
                ("RequestTimeTooSkewed", self.client("admin", now=old)),
                ("RequestTimeTooSkewed", self.client("admin", now=young))):
            with self.subTest(word=word):
                self.assertS3Error(client.get("/photos"), 403, word)
                self.assertEqual(client.head("/photos").status, 403)
                self.assertEqual(client.head("/photos").body, b"")

    def test_changed_on_the_way(self):
        def header(name, value):
            return lambda headers, body: ({**headers, name: value}, body)

        def without(name):
            return lambda headers, body: ({k: v for k, v in headers.items() if k != name}, body)

        def body(headers, _):
            return headers, b"another body!"

        def other_second(headers, body):
            stamp = headers["x-amz-date"]
            digit = str((int(stamp[14]) + 1) % 10)
            return {**headers, "x-amz-date": stamp[:14] + digit + stamp[15:]}, body

        auth = "Authorization"
        for status, word, change in (
                (403, "SignatureDoesNotMatch", other_second),
                (400, "AuthorizationHeaderMalformed", header("x-amz-date", "20200101T000000Z")),
                (400, "AuthorizationHeaderMalformed", header("x-amz-date", "yesterday")),
                (403, "SignatureDoesNotMatch", header("x-amz-content-sha256", UNSIGNED)),
                (403, "AccessDenied", header("x-amz-meta-more", "1")),
                (403, "AccessDenied", without(auth)),
                (403, "AccessDenied", header(auth, "")),
                (400, "InvalidRequest", header(auth, "AWS admin:c2lnbmF0dXJl")),
                (400, "AuthorizationHeaderMalformed", header(auth, "AWS4-HMAC-SHA256 Credential=admin")),
                (400, "AuthorizationHeaderMalformed", header(auth, "AWS4-HMAC-SHA256 nonsense")),
                (400, "XAmzContentSHA256Mismatch", body)):
            with self.subTest(word=word):
                answer = self.admin.put("/photos/changed", b"the body sent", change=change)
                self.assertS3Error(answer, status, word)
        self.assertS3Error(self.admin.get("/photos/changed"), 404, "NoSuchKey")

    def test_presigned_limits(self):
        past = lambda: datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=30)
        for client, expires, status in ((self.admin, 604800, 200), (self.admin, 604801, 403),
                                        (self.admin, 0, 403), (self.admin, -1, 403),
                                        (self.client("admin", now=past), 10, 403),
                                        (self.client("admin", now=past), 60, 200)):
            with self.subTest(expires=expires):
                self.assertEqual(client.presigned("GET", "/photos/2026/a", expires=expires).status, status)
        target = self.admin.signer.presign("GET", "/photos/2026/a", "", {"Host": self.admin.host})
        self.assertS3Error(self.admin.send("PUT", target, {"Host": self.admin.host}, b"x"), 403,
                           "SignatureDoesNotMatch")
        old = "/photos/2026/a?AWSAccessKeyId=admin&Signature=c2lnbmF0dXJl&Expires=9999999999"
        self.assertEqual(self.admin.send("GET", old, {"Host": self.admin.host}).status, 400)

    def test_session_tokens_and_other_services(self):
        self.assertS3Error(self.admin.get("/photos", headers={"x-amz-security-token": "t"}), 400, "InvalidToken")
        self.assertS3Error(self.client("admin", service="ec2").get("/photos"), 400,
                           "AuthorizationHeaderMalformed")

    def test_signed_chunks(self):
        body = b"0123456789" * 20000
        for mode in (CHUNKED, CHUNKED_TRAILER):
            trailers = {"x-amz-checksum-crc32": crc32_of(body)} if mode == CHUNKED_TRAILER else None
            answer = self.admin.put("/photos/chunks", body, mode=mode, trailers=trailers)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(self.admin.get("/photos/chunks").body, body)
            spoilt = lambda headers, raw: (headers, raw.replace(b"0123", b"0124", 1))
            answer = self.admin.put("/photos/spoilt", body, mode=mode, trailers=trailers, change=spoilt)
            self.assertEqual((answer.status, answer.code), (403, "SignatureDoesNotMatch"), answer)
            self.assertS3Error(self.admin.get("/photos/spoilt"), 404, "NoSuchKey")

    def test_content_sha256_must_be_known(self):
        for value in ("", "abc", "STREAMING-SOMETHING", "A" * 64 + "0"):
            answer = self.admin.put("/photos/k", b"1", headers={"x-amz-content-sha256": value})
            with self.subTest(value=value):
                self.assertS3Error(answer, 400, "InvalidArgument")
        answer = self.admin.put("/photos/k", b"1", headers={"x-amz-content-sha256": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"})
        self.assertS3Error(answer, 501, "NotImplemented")

    # ---- rights ----

    def test_roles_and_patterns(self):
        writer, reader = self.client("writer"), self.client("reader")
        for client, method, path, status in (
                (writer, "PUT", "/photos/2026/b", 200), (writer, "GET", "/photos/2026/a", 200),
                (writer, "PUT", "/photos/2025/b", 403), (writer, "GET", "/photos/x", 403),
                (writer, "DELETE", "/photos/2026/b", 204), (writer, "DELETE", "/photos/2025/b", 403),
                (writer, "PUT", "/drop/any/key", 200), (writer, "DELETE", "/drop", 403),
                (writer, "PUT", "/more", 403), (reader, "GET", "/photos/2026/a", 200),
                (reader, "HEAD", "/photos", 200), (reader, "PUT", "/photos/2026/a", 403),
                (reader, "DELETE", "/photos/2026/a", 403), (reader, "GET", "/drop/any/key", 403),
                (reader, "PUT", "/reader", 403), (writer, "GET", "/none", 404)):
            with self.subTest(method=method, path=path):
                self.assertEqual(client.request(method, path, body=b"").status, status)

    def test_listings_are_of_what_the_pattern_names(self):
        writer = self.client("writer")
        self.assertEqual(writer.get("/photos", "prefix=2026/").texts("Contents/Key"), ["2026/a"])
        self.assertEqual(writer.get("/photos", "list-type=2&prefix=2026/").status, 200)
        for query in ("", "prefix=", "prefix=2", "list-type=2&prefix=2025/", "versions&prefix=2025/", "uploads"):
            with self.subTest(query=query):
                self.assertS3Error(writer.get("/photos", query), 403, "AccessDenied")

    def test_list_buckets_names_what_the_key_may_use(self):
        for client, names in ((self.admin, ["drop", "lake", "photos"]), (self.client("reader"), ["photos"])):
            self.assertEqual(client.get("/").texts("Buckets/Bucket/Name"), names)
        self.assertEqual(self.admin.get("/").xml().findtext("Owner/DisplayName"), "Ada")
        self.assertS3Error(S3(self.store.port).get("/"), 403, "AccessDenied")

    def test_each_key_of_a_multi_delete_is_asked_for(self):
        self.admin.put("/photos/2025/a", b"1")
        body = ("<Delete><Object><Key>2026/a</Key></Object><Object><Key>2025/a</Key></Object></Delete>")
        answer = self.client("writer").post("/photos", body, "delete")
        self.assertEqual(answer.texts("Deleted/Key"), ["2026/a"])
        self.assertEqual(answer.texts("Error/Key") + answer.texts("Error/Code"), ["2025/a", "AccessDenied"])
        self.assertEqual(self.admin.get("/photos").texts("Contents/Key"), ["2025/a"])
        self.assertS3Error(S3(self.store.port).post("/photos", body, "delete"), 403, "AccessDenied")

    # ---- the public ----

    def test_nobody_and_public_buckets(self):
        nobody = S3(self.store.port)
        for method, path in (("GET", "/photos"), ("GET", "/photos/2026/a"), ("PUT", "/photos/x"), ("PUT", "/mine"),
                             ("DELETE", "/photos/2026/a")):
            self.assertEqual(nobody.request(method, path).status, 403, (method, path))
        self.assertS3Error(nobody.get("/none"), 404, "NoSuchBucket")
        self.assertEqual(self.admin.put("/photos", b'{"public_read":true}', "lakehouse-settings").status, 200)
        self.assertEqual(nobody.get("/photos/2026/a").body, b"1")
        self.assertEqual(nobody.get("/photos").texts("Contents/Key"), ["2026/a"])
        self.assertEqual(nobody.put("/photos/x", b"1").status, 403)
        self.assertEqual(nobody.get("/photos", "cors").status, 403)
        self.assertEqual(self.admin.put("/photos", query="acl", headers={"x-amz-acl": "public-read-write"}).status, 200)
        self.assertEqual(nobody.put("/photos/x", b"1").status, 200)
        self.assertEqual(nobody.put("/photos", query="acl", headers={"x-amz-acl": "private"}).status, 403)
        self.assertEqual(nobody.delete("/photos").status, 403)
        self.assertEqual(self.admin.put("/photos", query="acl", headers={"x-amz-acl": "private"}).status, 200)
        self.assertEqual(nobody.get("/photos/2026/a").status, 403)

    def test_expected_owner(self):
        for owner, status in (("ada", 200), ("eve", 403)):
            answer = self.admin.get("/photos", headers={"x-amz-expected-bucket-owner": owner})
            self.assertEqual(answer.status, status)

    def test_the_native_door_is_not_opened_by_a_bucket(self):
        self.admin.put("/lake", b'{"public_read":true}', "lakehouse-settings")
        self.assertEqual(self.store.get("/storage/k").status, 401)


class OpenDoor(S3TestCase):
    def test_without_keys_signatures_are_not_looked_at_but_bodies_are(self):
        store, s3 = self.start_s3()
        self.bucket(s3)
        for client in (s3, S3(store.port), S3(store.port, Signer("other", "x"))):
            self.assertEqual(client.put("/bucket/k", b"1").status, 200)
        spoil = lambda headers, body: (headers, b"2")
        self.assertS3Error(s3.put("/bucket/k", b"1", change=spoil), 400, "XAmzContentSHA256Mismatch")
        self.assertEqual(s3.put("/bucket/c", b"abc" * 99999, mode=CHUNKED).status, 200)
        self.assertEqual(s3.get("/bucket/c").body, b"abc" * 99999)
        self.assertEqual(s3.get("/").xml().findtext("Owner/ID"), "lakehouse")

    def test_frames_need_a_mode_that_says_so(self):
        _, s3 = self.start_s3()
        self.bucket(s3)
        answer = s3.put("/bucket/k", b"5\r\nhello\r\n0\r\n\r\n", mode=UNSIGNED,
                        headers={"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": "5"})
        self.assertS3Error(answer, 400, "InvalidRequest")


if __name__ == "__main__":
    main()
