#!/usr/bin/env python3
"""Objects at the S3 door: what is kept with them, conditions, ranges, copies, tags, attributes."""

import concurrent.futures
import hashlib
import unittest

from support.lakehouse import main
from support.s3 import S3, S3TestCase, Signer, crc32_of

BODY = bytes(range(256)) * 4
ETAG = f'"{hashlib.md5(BODY).hexdigest()}"'
PAST = "Sun, 01 Jan 2023 00:00:00 GMT"
FUTURE = "Fri, 01 Jan 2100 00:00:00 GMT"
TAGS = "<Tagging><TagSet>{}</TagSet></Tagging>"


def tag(name, value):
    return f"<Tag><Key>{name}</Key><Value>{value}</Value></Tag>"


class Objects(S3TestCase):
    def setUp(self):
        super().setUp()
        self.store, self.s3 = self.start_s3()
        self.bucket(self.s3)

    # ---- what is kept ----

    def test_headers_are_kept(self):
        kept = {"Cache-Control": "public, max-age=14400", "Content-Disposition": 'attachment; filename="a b.txt"',
                "Content-Language": "de, en", "Expires": FUTURE, "Content-Type": "text/plain; charset=utf-8",
                "x-amz-meta-author": "Ada", "X-Amz-Meta-Mixed-Case": "Kept As It Is", "x-amz-meta-empty": ""}
        self.assertEqual(self.s3.put("/bucket/k", BODY, headers=kept).status, 200)
        for answer in (self.s3.get("/bucket/k"), self.s3.head("/bucket/k")):
            for name, value in kept.items():
                self.assertEqual(answer.headers[name], value, name)
        native = self.store.get("/storage/k")
        self.assertEqual(native.status, 404)
        self.s3.put("/bucket/k", BODY)
        self.assertIsNone(self.s3.head("/bucket/k").headers["x-amz-meta-author"])

    def test_metadata_is_bytes(self):
        """UTF-8 and Latin-1 as clients send them, unchanged."""
        for text in ("Grüße", "日本語"):
            raw = text.encode().decode("latin-1")
            self.s3.signer = None
            self.s3.put("/bucket/k", b"1", headers={"x-amz-meta-text": raw})
            self.assertEqual(self.s3.head("/bucket/k").headers["x-amz-meta-text"], raw)
        self.s3.put("/bucket/k", b"1", headers={"x-amz-meta-text": "caf\xe9"})
        self.assertEqual(self.s3.head("/bucket/k").headers["x-amz-meta-text"], "caf\xe9")

    def test_metadata_for_clients_that_read_latin1(self):
        """botocore sends UTF-8 and reads ISO-8859-1."""
        agent = {"User-Agent": "Boto3/1.43.11 md/Botocore#1.43.11"}
        for text, read in (("caf\xe9 \xff", "caf\xe9 \xff"), ("日本 é", "日本 é".encode().decode("latin-1")), ("a", "a")):
            self.s3.put("/bucket/k", b"1", headers={"x-amz-meta-text": text.encode().decode("latin-1")})
            self.assertEqual(self.s3.head("/bucket/k", headers=agent).headers["x-amz-meta-text"], read)

    def test_content_encoding_without_our_own(self):
        for sent, kept in (("gzip", "gzip"), ("deflate, gzip", "deflate, gzip"), ("deflate,gzip", "deflate, gzip"), ("gzip, aws-chunked", "gzip"),
                           ("aws-chunked, gzip", "gzip"), ("aws-chunked", None), ("aws-chunked,AWS-Chunked", None)):
            with self.subTest(sent=sent):
                self.assertEqual(self.s3.put("/bucket/k", b"1", headers={"Content-Encoding": sent}).status, 200)
                self.assertEqual(self.s3.head("/bucket/k").headers["Content-Encoding"], kept)

    def test_failures_are_xml_whatever_was_asked_for(self):
        for path, status in (("/bucket/a%00b", 400), ("/bucket/%ff", 400), ("/bucket/%01", 404), ("/buck%00et/k", 404),
                             ("/buck%ffet/k", 404), ("/bucket/%ed%a0%80", 400)):
            with self.subTest(path=path):
                answer = self.s3.send("GET", path, {"Host": self.s3.host})
                self.assertEqual((answer.status, answer.xml().findtext("Resource")), (status, path))

    def test_metadata_has_a_limit(self):
        for size, status in ((2048 - 4, 200), (2048 - 3, 400)):
            answer = self.s3.put("/bucket/k", b"1", headers={"x-amz-meta-name": "v" * size})
            self.assertEqual(answer.status, status, answer)
        self.assertS3Error(answer, 400, "MetadataTooLarge")

    def test_what_is_not_served_is_refused(self):
        for name, value, status, word in (
                ("x-amz-server-side-encryption", "AES256", 501, "NotImplemented"),
                ("x-amz-server-side-encryption-customer-algorithm", "AES256", 501, "NotImplemented"),
                ("x-amz-grant-read", "id=1", 501, "NotImplemented"),
                ("x-amz-object-lock-mode", "GOVERNANCE", 501, "NotImplemented"),
                ("x-amz-website-redirect-location", "/x", 501, "NotImplemented"),
                ("x-amz-write-offset-bytes", "5", 501, "NotImplemented"),
                ("Content-Range", "bytes 0-1/5", 501, "NotImplemented"),
                ("x-amz-storage-class", "GLACIER", 400, "InvalidStorageClass"),
                ("x-amz-acl", "everybody", 400, "InvalidArgument")):
            with self.subTest(name=name):
                self.assertS3Error(self.s3.put("/bucket/refused", b"1", headers={name: value}), status, word)
                self.assertEqual(self.s3.head("/bucket/refused").status, 404)
        for name, value in (("x-amz-acl", "private"), ("x-amz-storage-class", "STANDARD")):
            self.assertEqual(self.s3.put("/bucket/k", b"1", headers={name: value}).status, 200)
        self.assertS3Error(self.s3.put("/bucket/k", b"1", "torrent"), 501, "NotImplemented")

    def test_checksums_come_back_on_demand(self):
        crc = crc32_of(BODY)
        answer = self.s3.put("/bucket/k", BODY, headers={"x-amz-checksum-crc32": crc})
        self.assertEqual(answer.headers["x-amz-checksum-crc32"], crc)
        mode = {"x-amz-checksum-mode": "ENABLED"}
        for method in (self.s3.get, self.s3.head):
            self.assertIsNone(method("/bucket/k").headers["x-amz-checksum-crc32"])
            answer = method("/bucket/k", headers=mode)
            self.assertEqual(answer.headers["x-amz-checksum-crc32"], crc)
            self.assertEqual(answer.headers["x-amz-checksum-type"], "FULL_OBJECT")
            part = method("/bucket/k", headers={**mode, "Range": "bytes=0-3"})
            self.assertIsNone(part.headers["x-amz-checksum-crc32"])

    # ---- conditions ----

    def test_conditions_of_a_read(self):
        self.s3.put("/bucket/k", BODY)
        for headers, status in (
                ({"If-Match": ETAG}, 200), ({"If-Match": "*"}, 200), ({"If-Match": ETAG.strip('"')}, 200),
                ({"If-Match": '"x"'}, 412), ({"If-Match": f'"x", {ETAG}'}, 200),
                ({"If-None-Match": ETAG}, 304), ({"If-None-Match": "*"}, 304), ({"If-None-Match": '"x"'}, 200),
                ({"If-None-Match": f"W/{ETAG}"}, 304),
                ({"If-Modified-Since": PAST}, 200), ({"If-Modified-Since": FUTURE}, 304),
                ({"If-Modified-Since": "yesterday"}, 200), ({"If-Unmodified-Since": "yesterday"}, 200),
                ({"If-Unmodified-Since": PAST}, 412), ({"If-Unmodified-Since": FUTURE}, 200),
                # RFC 9110 section 13.2.2: tags go before dates
                ({"If-Match": ETAG, "If-Unmodified-Since": PAST}, 200),
                ({"If-None-Match": '"x"', "If-Modified-Since": FUTURE}, 200),
                ({"If-None-Match": ETAG, "If-Modified-Since": PAST}, 304),
                ({"If-Match": '"x"', "If-None-Match": ETAG}, 412)):
            with self.subTest(headers=headers):
                answer = self.s3.get("/bucket/k", headers=headers)
                self.assertEqual(answer.status, status, answer)
                self.assertEqual(self.s3.head("/bucket/k", headers=headers).status, status)
                if status == 304:
                    self.assertEqual((answer.body, answer.headers["ETag"]), (b"", ETAG))

    def test_conditions_of_a_write(self):
        def put(key, **headers):
            return self.s3.put(f"/bucket/{key}", BODY, headers={n.replace("_", "-"): v for n, v in headers.items()})

        self.assertEqual(put("k", If_None_Match="*").status, 200)
        self.assertS3Error(put("k", If_None_Match="*"), 412, "PreconditionFailed")
        self.assertS3Error(put("k", If_None_Match=ETAG), 412, "PreconditionFailed")
        self.assertEqual(put("k", If_None_Match='"x"').status, 200)
        self.assertEqual(put("k", If_Match=ETAG).status, 200)
        self.assertEqual(put("k", If_Match="*").status, 200)
        self.assertS3Error(put("k", If_Match='"x"'), 412, "PreconditionFailed")
        self.assertS3Error(put("absent", If_Match="*"), 404, "NoSuchKey")
        self.assertS3Error(put("absent", If_Match=ETAG), 404, "NoSuchKey")

    def test_of_racing_writes_one_wins(self):
        def put(i):
            return self.s3.put("/bucket/race", str(i).encode(), headers={"If-None-Match": "*"}).status

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(put, range(64)))
        self.assertEqual(sorted(set(statuses)), [200, 412])
        self.assertEqual(statuses.count(200), 1)
        self.assertEqual(self.s3.get("/bucket/race").body, str(statuses.index(200)).encode())

    # ---- ranges ----

    def test_ranges(self):
        self.s3.put("/bucket/k", BODY)
        for text, first, last in (("0-0", 0, 0), ("0-1023", 0, 1023), ("4-7", 4, 7), ("1020-", 1020, 1023),
                                  ("-4", 1020, 1023), ("0-99999", 0, 1023), ("-99999", 0, 1023)):
            with self.subTest(text=text):
                answer = self.s3.get("/bucket/k", headers={"Range": f"bytes={text}"})
                self.assertEqual((answer.status, answer.body), (206, BODY[first:last + 1]))
                self.assertEqual(answer.headers["Content-Range"], f"bytes {first}-{last}/1024")
                head = self.s3.head("/bucket/k", headers={"Range": f"bytes={text}"})
                self.assertEqual((head.status, head.headers["Content-Length"]), (206, str(last - first + 1)))
        for text in ("bytes=x", "bytes=5-4", "lines=1-2", "bytes=0-1,3-4", "bytes=", "bytes=-"):
            with self.subTest(text=text):
                self.assertEqual(self.s3.get("/bucket/k", headers={"Range": text}).body, BODY)

    def test_ranges_beyond_the_end(self):
        self.s3.put("/bucket/k", BODY)
        self.s3.put("/bucket/empty")
        for key, text, size in (("k", "1024-", 1024), ("k", "5000-6000", 1024), ("k", "-0", 1024), ("empty", "0-1", 0)):
            with self.subTest(text=text, key=key):
                answer = self.s3.get(f"/bucket/{key}", headers={"Range": f"bytes={text}"})
                self.assertS3Error(answer, 416, "InvalidRange")
                self.assertEqual(answer.headers["Content-Range"], f"bytes */{size}")

    def test_large_ranges(self):
        """Across blocks, and at their edges."""
        body = hashlib.shake_128(b"large").digest(1_300_000)
        self.s3.put("/bucket/large", body)
        for first, last in ((262143, 262144), (262144, 524287), (1, 1_299_999), (1_299_999, 1_299_999), (99, 700_000)):
            answer = self.s3.get("/bucket/large", headers={"Range": f"bytes={first}-{last}"})
            self.assertEqual((answer.status, answer.body == body[first:last + 1]), (206, True), (first, last))

    def test_the_only_part(self):
        self.s3.put("/bucket/k", BODY)
        answer = self.s3.get("/bucket/k", "partNumber=1")
        self.assertEqual(answer.body, BODY)
        self.assertIsNone(answer.headers["x-amz-mp-parts-count"])
        self.assertS3Error(self.s3.get("/bucket/k", "partNumber=2"), 400, "InvalidPart")
        for bad in ("0", "10001", "x", ""):
            self.assertS3Error(self.s3.get("/bucket/k", f"partNumber={bad}"), 400, "InvalidArgument")
        self.assertS3Error(self.s3.get("/bucket/k", "partNumber=1", headers={"Range": "bytes=0-1"}),
                           400, "InvalidRequest")

    # ---- what the request says about the answer ----

    def test_response_headers(self):
        self.s3.put("/bucket/k", BODY, headers={"Cache-Control": "private", "Content-Language": "de"})
        query = ("response-cache-control=no-cache&response-content-disposition=a%20b&response-content-encoding=aaa&"
                 "response-content-type=foo%2Fbar&response-expires=123")
        for answer in (self.s3.get("/bucket/k", query), self.s3.head("/bucket/k", query),
                       self.s3.presigned("GET", "/bucket/k", query)):
            self.assertEqual(answer.headers.get_all("Cache-Control"), ["no-cache"])
            self.assertEqual(answer.headers.get_all("Content-Type"), ["foo/bar"])
            self.assertEqual([answer.headers[n] for n in ("Content-Disposition", "Content-Encoding", "Expires",
                                                          "Content-Language")], ["a b", "aaa", "123", "de"])
        split = self.s3.get("/bucket/k", "response-content-type=a%0D%0ASet-Cookie:%20x")
        self.assertS3Error(split, 400, "InvalidArgument")

    def test_response_headers_are_not_for_strangers(self):
        store = self.service("storaged", **{"keys.id": "tester", "keys.secret": "a-secret-of-the-tests"})
        s3 = S3(store.port, Signer("tester", "a-secret-of-the-tests"))
        s3.put("/open", headers={"x-amz-acl": "public-read"})
        s3.put("/open/k", BODY)
        self.assertEqual(s3.presigned("GET", "/open/k", "response-content-type=a/b").headers["Content-Type"], "a/b")
        s3.signer = None
        self.assertEqual(s3.get("/open/k").body, BODY)
        self.assertS3Error(s3.get("/open/k", "response-content-type=a/b"), 400, "InvalidRequest")

    def test_versions(self):
        self.s3.put("/bucket/k", BODY)
        self.assertEqual(self.s3.get("/bucket/k", "versionId=null").body, BODY)
        self.assertS3Error(self.s3.get("/bucket/k", "versionId=3sL4kqtJlcpXroDTDmJ"), 404, "NoSuchVersion")
        self.assertS3Error(self.s3.get("/bucket/k", "versionId="), 400, "InvalidArgument")

    # ---- copy ----

    def copy(self, source, target="/bucket/copy", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.s3.put(target, headers={"x-amz-copy-source": source, **named})

    def test_copy(self):
        self.s3.put("/bucket/k", BODY, headers={"x-amz-meta-a": "1", "Content-Type": "text/plain",
                                                "Cache-Control": "private", "x-amz-tagging": "t=1"})
        for source in ("/bucket/k", "bucket/k", "bucket%2Fk", "%2Fbucket%2Fk", "/bucket/%6b", "bucket/k?versionId=null"):
            with self.subTest(source=source):
                answer = self.copy(source)
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.texts("ETag"), [ETAG])
                got = self.s3.get("/bucket/copy")
                self.assertEqual((got.body, got.headers["x-amz-meta-a"], got.headers["Content-Type"],
                                  got.headers["Cache-Control"], got.headers["x-amz-tagging-count"]),
                                 (BODY, "1", "text/plain", "private", "1"))
                self.s3.delete("/bucket/copy")

    def test_copy_of_odd_keys(self):
        for key in ("a b", "ü+%/?versionId", "?versionId=x", "//", "..", "a/../b"):
            with self.subTest(key=key):
                path = self.s3.path("bucket", key)
                self.s3.put(path, key.encode())
                self.assertEqual(self.copy(path).status, 200)
                self.assertEqual(self.s3.get("/bucket/copy").body, key.encode())

    def test_copy_replaces(self):
        self.s3.put("/bucket/k", BODY, headers={"x-amz-meta-a": "1", "x-amz-tagging": "t=1"})
        self.copy("/bucket/k", x_amz_metadata_directive="REPLACE", x_amz_meta_b="2", Content_Type="a/b",
                  x_amz_tagging_directive="REPLACE", x_amz_tagging="u=1&v=2")
        head = self.s3.head("/bucket/copy").headers
        self.assertEqual((head["x-amz-meta-a"], head["x-amz-meta-b"], head["Content-Type"], head["x-amz-tagging-count"]),
                         (None, "2", "a/b", "2"))
        self.assertS3Error(self.copy("/bucket/k", x_amz_metadata_directive="MERGE"), 400, "InvalidArgument")

    def test_copy_to_itself(self):
        self.s3.put("/bucket/k", BODY)
        self.assertS3Error(self.copy("/bucket/k", "/bucket/k"), 400, "InvalidRequest")
        answer = self.copy("/bucket/k", "/bucket/k", x_amz_metadata_directive="REPLACE", x_amz_meta_a="1")
        self.assertEqual(answer.status, 200, answer)
        got = self.s3.get("/bucket/k")
        self.assertEqual((got.body, got.headers["x-amz-meta-a"]), (BODY, "1"))

    def test_copy_of_large_objects_outlives_its_source(self):
        body = hashlib.shake_128(b"copy").digest(900_000)
        self.s3.put("/bucket/large", body)
        self.bucket(self.s3, "other")
        self.assertEqual(self.copy("/bucket/large", "/other/large").status, 200)
        self.s3.delete("/bucket/large")
        self.assertEqual(self.s3.get("/other/large").body == body, True)

    def test_copy_that_is_refused(self):
        self.s3.put("/bucket/k", BODY)
        for source, status, word in (
                ("/bucket/absent", 404, "NoSuchKey"), ("/nowhere/k", 404, "NoSuchBucket"), ("bucket", 400, "InvalidArgument"),
                ("/", 400, "InvalidArgument"), ("/bucket/", 400, "InvalidArgument"), ("/bucket/%zz", 400, "InvalidArgument"),
                ("/bucket/k?versionId=abc", 404, "NoSuchVersion")):
            with self.subTest(source=source):
                self.assertS3Error(self.copy(source), status, word)
        self.assertEqual(self.s3.head("/bucket/copy").status, 404)

    def test_copy_conditions(self):
        self.s3.put("/bucket/k", BODY)
        for name, value, status in (("match", ETAG, 200), ("match", '"x"', 412), ("none-match", '"x"', 200),
                                    ("none-match", ETAG, 412), ("modified-since", PAST, 200),
                                    ("modified-since", FUTURE, 412), ("unmodified-since", FUTURE, 200),
                                    ("unmodified-since", PAST, 412)):
            with self.subTest(name=name, value=value):
                self.assertEqual(self.copy("/bucket/k", **{f"x-amz-copy-source-if-{name}": value}).status, status)
        self.assertS3Error(self.copy("/bucket/k", If_None_Match="*"), 412, "PreconditionFailed")

    def test_copy_computes_a_checksum(self):
        self.s3.put("/bucket/k", BODY)
        self.copy("/bucket/k", x_amz_checksum_algorithm="CRC32")
        head = self.s3.head("/bucket/copy", headers={"x-amz-checksum-mode": "ENABLED"})
        self.assertEqual(head.headers["x-amz-checksum-crc32"], crc32_of(BODY))

    # ---- tags ----

    def test_tags(self):
        self.s3.put("/bucket/k", BODY, headers={"x-amz-tagging": "a=1&b=%C3%BC+%26&c="})
        answer = self.s3.get("/bucket/k", "tagging")
        self.assertEqual(list(zip(answer.texts("TagSet/Tag/Key"), answer.texts("TagSet/Tag/Value"))),
                         [("a", "1"), ("b", "ü &"), ("c", "")])
        self.assertEqual(self.s3.head("/bucket/k").headers["x-amz-tagging-count"], "3")
        modified = self.s3.head("/bucket/k").headers["Last-Modified"]
        self.assertEqual(self.s3.put("/bucket/k", TAGS.format(tag("z", "&lt;")), "tagging").status, 200)
        self.assertEqual(self.s3.get("/bucket/k", "tagging").texts("TagSet/Tag/Value"), ["<"])
        self.assertEqual(self.s3.head("/bucket/k").headers["Last-Modified"], modified)
        self.assertEqual(self.s3.delete("/bucket/k", "tagging").status, 204)
        self.assertEqual(self.s3.get("/bucket/k", "tagging").texts("TagSet/Tag"), [])
        self.assertIsNone(self.s3.head("/bucket/k").headers["x-amz-tagging-count"])
        self.assertEqual(self.s3.get("/bucket/k").body, BODY)

    def test_tags_have_limits(self):
        self.s3.put("/bucket/k", BODY)
        for tags, status, word in (
                ("".join(tag(i, i) for i in range(10)), 200, None), (tag("ü" * 128, "ü" * 256), 200, None),
                ("".join(tag(i, i) for i in range(11)), 400, "InvalidTag"), (tag("k" * 129, ""), 400, "InvalidTag"),
                (tag("k", "v" * 257), 400, "InvalidTag"), (tag("k", "1") + tag("k", "2"), 400, "InvalidTag"),
                (tag("", "1"), 400, "InvalidTag"), ("<Tag><Key>k</Key></Tag>", 400, "MalformedXML")):
            with self.subTest(tags=tags[:60]):
                answer = self.s3.put("/bucket/k", TAGS.format(tags), "tagging")
                self.assertEqual((answer.status, answer.code), (status, word), answer)
        for body in ("", "<Tagging/>", "<Tags/>", "<Tagging><TagSet>", "tags"):
            self.assertS3Error(self.s3.put("/bucket/k", body, "tagging"), 400, "MalformedXML")
        self.assertS3Error(self.s3.put("/bucket/k", BODY, headers={"x-amz-tagging": "a=1&a=2"}), 400, "InvalidTag")
        self.assertS3Error(self.s3.put("/bucket/k", BODY, headers={"x-amz-tagging": "a=%zz"}), 400, "InvalidArgument")
        for method, body in (("GET", b""), ("PUT", TAGS.format("").encode()), ("DELETE", b"")):
            self.assertS3Error(self.s3.request(method, "/bucket/absent", "tagging", body), 404, "NoSuchKey")

    # ---- attributes ----

    def test_attributes(self):
        crc = crc32_of(BODY)
        self.s3.put("/bucket/k", BODY, headers={"x-amz-checksum-crc32": crc})
        names = "ETag,Checksum, ObjectParts,StorageClass,ObjectSize"
        answer = self.s3.get("/bucket/k", "attributes", headers={"x-amz-object-attributes": names})
        self.assertEqual([answer.texts(path) for path in ("ETag", "Checksum/ChecksumCRC32", "Checksum/ChecksumType",
                                                          "StorageClass", "ObjectSize", "ObjectParts")],
                         [[ETAG.strip('"')], [crc], ["FULL_OBJECT"], ["STANDARD"], ["1024"], []])
        self.assertIsNotNone(answer.headers["Last-Modified"])
        answer = self.s3.get("/bucket/k", "attributes", headers={"x-amz-object-attributes": "ObjectSize"})
        self.assertEqual([child.tag for child in answer.xml()], ["ObjectSize"])
        self.assertS3Error(self.s3.get("/bucket/k", "attributes"), 400, "InvalidRequest")
        self.assertS3Error(self.s3.get("/bucket/k", "attributes", headers={"x-amz-object-attributes": "Size"}),
                           400, "InvalidArgument")
        self.assertS3Error(self.s3.get("/bucket/absent", "attributes", headers={"x-amz-object-attributes": "ETag"}),
                           404, "NoSuchKey")

    # ---- the other door ----

    def test_native_keys_live_in_the_bucket_lake(self):
        headers = {"Content-Encoding": "gzip", "x-amz-meta-a": "1", "x-amz-checksum-crc32": crc32_of(BODY)}
        self.assertEqual(self.store.put("/storage/k", BODY, headers).status, 201)
        answer = self.s3.get("/lake/k", headers={"x-amz-checksum-mode": "ENABLED"})
        self.assertEqual((answer.body, answer.headers["Content-Encoding"], answer.headers["x-amz-meta-a"]),
                         (BODY, "gzip", "1"))
        self.assertEqual(answer.headers["x-amz-checksum-crc32"], crc32_of(BODY))
        self.s3.put("/lake/other", b"1", headers={"x-amz-meta-b": "2"})
        self.assertEqual(self.store.get("/storage/other").headers["x-amz-meta-b"], "2")


if __name__ == "__main__":
    main()
