#!/usr/bin/env python3
"""Uploads in parts at the S3 door: uneven, replaced, out of order, aborted, completed twice and at once."""

import concurrent.futures
import hashlib
import unittest

from support.lakehouse import main
from support.s3 import S3TestCase, b64, crc32_of

MIB = 1 << 20
PART = 5 * MIB


def body(seed, size):
    return (hashlib.shake_128(seed.encode()).digest(1 << 16) * (size // (1 << 16) + 1))[:size]


def etag_of(parts):
    return f'{hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()}-{len(parts)}'


def listed(parts, **more):
    """<CompleteMultipartUpload> of (number, etag) pairs."""
    lines = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{more.get(f'p{number}', '')}</Part>"
                    for number, etag in parts)
    return f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{lines}</CompleteMultipartUpload>'


class Multipart(S3TestCase):
    def setUp(self):
        super().setUp()
        self.store, self.s3 = self.start_s3()
        self.bucket(self.s3)

    def create(self, key="/bucket/k", **headers):
        answer = self.s3.post(key, query="uploads", headers={n.replace("_", "-"): v for n, v in headers.items()})
        self.assertEqual(answer.status, 200, answer)
        self.assertIn(b"<UploadId>", answer.body)  # some clients search for the text
        return answer.texts("UploadId")[0]

    def part(self, upload, number, content, key="/bucket/k", **more):
        answer = self.s3.put(key, content, f"partNumber={number}&uploadId={upload}", **more)
        self.assertEqual(answer.status, 200, answer)
        return number, answer.headers["ETag"]

    def complete(self, upload, parts, key="/bucket/k", more=None, **headers):
        return self.s3.post(key, listed(parts, **(more or {})), f"uploadId={upload}",
                            headers={n.replace("_", "-"): v for n, v in headers.items()})

    def assertGone(self, upload, key="/bucket/k"):
        self.assertS3Error(self.s3.get(key, f"uploadId={upload}"), 404, "NoSuchUpload")

    def test_uneven_parts_in_any_order(self):
        upload = self.create(x_amz_meta_a="1", Content_Type="text/x", x_amz_tagging="t=1&u=2")
        contents = {2: body("a", PART), 7: body("b", PART + 12345), 9999: body("c", 3)}
        sent = [self.part(upload, number, contents[number]) for number in (9999, 2, 7)]
        self.assertEqual(self.s3.head("/bucket/k").status, 404)
        answer = self.complete(upload, sorted(sent))
        self.assertEqual(answer.status, 200, answer)
        self.assertIn(b"<CompleteMultipartUploadResult", answer.body)
        whole = b"".join(contents.values())
        self.assertEqual(answer.texts("ETag"), [f'"{etag_of(list(contents.values()))}"'])
        got = self.s3.get("/bucket/k")
        self.assertTrue(got.body == whole)
        self.assertEqual((got.headers["x-amz-meta-a"], got.headers["Content-Type"], got.headers["x-amz-tagging-count"],
                          got.headers["ETag"]), ("1", "text/x", "2", answer.texts("ETag")[0]))
        for first, last in ((PART - 5, PART + 5), (2 * PART + 12340, 2 * PART + 12347), (PART, PART)):
            part = self.s3.get("/bucket/k", headers={"Range": f"bytes={first}-{last}"})
            self.assertEqual((part.status, part.body == whole[first:last + 1]), (206, True))
        for number, content in contents.items():
            part = self.s3.get("/bucket/k", f"partNumber={number}")
            self.assertEqual((part.status, part.body == content, part.headers["x-amz-mp-parts-count"]), (206, True, "3"))
            head = self.s3.head("/bucket/k", f"partNumber={number}")
            self.assertEqual((head.status, head.headers["Content-Length"]), (206, str(len(content))))
        self.assertS3Error(self.s3.get("/bucket/k", "partNumber=3"), 400, "InvalidPart")
        self.assertGone(upload)

    def test_a_part_is_replaced(self):
        upload = self.create()
        self.part(upload, 1, b"first")
        replaced = self.part(upload, 1, b"second")
        self.assertEqual(self.complete(upload, [replaced]).status, 200)
        self.assertEqual(self.s3.get("/bucket/k").body, b"second")

    def test_a_part_is_listed_twice(self):
        """As it is by clients that have sent it twice: the later line counts."""
        upload = self.create()
        first, again = self.part(upload, 1, b"first"), self.part(upload, 1, b"again")
        self.assertEqual(self.complete(upload, [first, again]).status, 200)
        self.assertEqual(self.s3.get("/bucket/k").body, b"again")

    def test_only_what_is_listed_becomes_the_object(self):
        upload = self.create()
        first = self.part(upload, 1, body("a", PART))
        self.part(upload, 2, body("b", PART))
        third = self.part(upload, 3, b"end")
        self.assertEqual(self.complete(upload, [first, third]).status, 200)
        self.assertTrue(self.s3.get("/bucket/k").body == body("a", PART) + b"end")

    def test_complete_again(self):
        upload = self.create()
        parts = [self.part(upload, 1, b"1")]
        first = self.complete(upload, parts)
        again = self.complete(upload, parts)
        self.assertEqual((again.status, again.texts("ETag")), (200, first.texts("ETag")))
        self.s3.put("/bucket/k", b"other")
        self.assertS3Error(self.complete(upload, parts), 404, "NoSuchUpload")
        self.assertEqual(self.s3.get("/bucket/k").body, b"other")

    def test_complete_at_once(self):
        upload = self.create()
        parts = [self.part(upload, 1, b"1")]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: self.complete(upload, parts).status, range(8)))
        self.assertEqual(statuses, [200] * 8)

    def test_bad_lists(self):
        upload = self.create()
        one, two = self.part(upload, 1, b"1"), self.part(upload, 2, b"2")
        for parts, word in (
                ([one, two], "EntityTooSmall"), ([two, one], "InvalidPartOrder"), ([one, two, one], "InvalidPartOrder"),
                ([(1, '"ffffffffffffffffffffffffffffffff"')], "InvalidPart"), ([(3, one[1])], "InvalidPart"),
                ([], "MalformedXML"), ([(0, one[1])], "InvalidArgument"), ([(10001, one[1])], "InvalidArgument"),
                ([("x", one[1])], "MalformedXML"), ([(1, "")], "MalformedXML")):
            with self.subTest(parts=parts):
                self.assertS3Error(self.complete(upload, parts), 400, word)
        for text in ("", "<Complete/>", "<CompleteMultipartUpload>", "{}",
                     '<!DOCTYPE x [<!ENTITY a "b">]><CompleteMultipartUpload/>'):
            with self.subTest(text=text):
                self.assertS3Error(self.s3.post("/bucket/k", text, f"uploadId={upload}"), 400, "MalformedXML")
        self.assertEqual(self.s3.head("/bucket/k").status, 404)
        self.assertEqual(self.complete(upload, [(1, one[1].strip('"'))]).status, 200)  # quotes may be left out

    def test_unknown_uploads(self):
        upload = self.create()
        other = "0" * len(upload)
        for key, id in (("/bucket/k", other), ("/bucket/k", "x"), ("/bucket/k", ""), ("/bucket/other", upload),
                        ("/bucket/k", "%00"), ("/bucket/k", upload + "0")):
            with self.subTest(key=key, id=id):
                query = f"partNumber=1&uploadId={id}"
                self.assertS3Error(self.s3.put(key, b"1", query), 404, "NoSuchUpload")
                self.assertS3Error(self.complete(id, [(1, "x")], key), 404, "NoSuchUpload")
                self.assertS3Error(self.s3.get(key, f"uploadId={id}"), 404, "NoSuchUpload")
                self.assertS3Error(self.s3.delete(key, f"uploadId={id}"), 404, "NoSuchUpload")
        for number in ("0", "10001", "-1", "x", ""):
            answer = self.s3.put("/bucket/k", b"1", f"partNumber={number}&uploadId={upload}")
            self.assertS3Error(answer, 400, "InvalidArgument")

    def test_abort(self):
        upload = self.create()
        parts = [self.part(upload, 1, body("a", MIB))]
        self.assertEqual(self.s3.delete("/bucket/k", f"uploadId={upload}").status, 204)
        self.assertGone(upload)
        self.assertS3Error(self.complete(upload, parts), 404, "NoSuchUpload")
        self.assertS3Error(self.s3.delete("/bucket/k", f"uploadId={upload}"), 404, "NoSuchUpload")

    def test_conditions(self):
        def attempt(**headers):
            upload = self.create()
            parts = [self.part(upload, 1, b"1")]
            return self.complete(upload, parts, **headers)

        first = attempt(If_None_Match="*")
        self.assertEqual(first.status, 200, first)
        etag = first.texts("ETag")[0]
        self.assertS3Error(attempt(If_None_Match="*"), 412, "PreconditionFailed")
        self.assertS3Error(attempt(If_None_Match=etag), 412, "PreconditionFailed")
        self.assertS3Error(attempt(If_Match='"x"'), 412, "PreconditionFailed")
        self.assertEqual(attempt(If_Match=etag).status, 200)
        self.s3.delete("/bucket/k")
        self.assertS3Error(attempt(If_Match="*"), 404, "NoSuchKey")

    def test_checksums_composite(self):
        contents = [body("a", PART), b"end"]
        upload = self.create(x_amz_checksum_algorithm="SHA256")
        sums = [hashlib.sha256(content).digest() for content in contents]
        parts = [self.part(upload, i + 1, content, headers={"x-amz-checksum-sha256": b64(sums[i])})
                 for i, content in enumerate(contents)]
        whole = f"{b64(hashlib.sha256(b''.join(sums)).digest())}-2"
        more = {f"p{i + 1}": f"<ChecksumSHA256>{b64(sums[i])}</ChecksumSHA256>" for i in range(2)}
        for wrong in ("bad", b64(sums[0]) + "-2", whole[:-1] + "3"):
            answer = self.complete(upload, parts, more=more, x_amz_checksum_sha256=wrong)
            self.assertS3Error(answer, 400, "BadDigest")
        swapped = {"p1": more["p2"], "p2": more["p1"]}
        self.assertS3Error(self.complete(upload, parts, more=swapped), 400, "InvalidPart")
        answer = self.complete(upload, parts, more=more, x_amz_checksum_sha256=whole)
        self.assertEqual((answer.texts("ChecksumSHA256"), answer.texts("ChecksumType")), ([whole], ["COMPOSITE"]))
        mode = {"x-amz-checksum-mode": "ENABLED"}
        self.assertEqual(self.s3.head("/bucket/k", headers=mode).headers["x-amz-checksum-sha256"], whole)
        part = self.s3.get("/bucket/k", "partNumber=2", headers=mode)
        self.assertEqual(part.headers["x-amz-checksum-sha256"], b64(sums[1]))

    def test_checksums_of_the_whole(self):
        contents = [body("a", PART), body("b", PART + 1), b"end"]
        upload = self.create(x_amz_checksum_algorithm="CRC32", x_amz_checksum_type="FULL_OBJECT")
        parts = [self.part(upload, i + 1, content, headers={"x-amz-checksum-crc32": crc32_of(content)})
                 for i, content in enumerate(contents)]
        whole = crc32_of(b"".join(contents))
        self.assertS3Error(self.complete(upload, parts, x_amz_checksum_crc32=crc32_of(b"x")), 400, "BadDigest")
        self.assertS3Error(self.complete(upload, parts, x_amz_checksum_type="COMPOSITE"), 400, "InvalidRequest")
        answer = self.complete(upload, parts, x_amz_checksum_crc32=whole, x_amz_checksum_type="FULL_OBJECT")
        self.assertEqual((answer.texts("ChecksumCRC32"), answer.texts("ChecksumType")), ([whole], ["FULL_OBJECT"]))

    def test_checksums_that_do_not_fit(self):
        upload = self.create(x_amz_checksum_algorithm="SHA256")
        query = f"partNumber=1&uploadId={upload}"
        answer = self.s3.put("/bucket/k", b"1", query, headers={"x-amz-checksum-crc32": crc32_of(b"1")})
        self.assertS3Error(answer, 400, "InvalidRequest")
        answer = self.s3.put("/bucket/k", b"1", query)  # it is computed all the same
        self.assertEqual(answer.headers["x-amz-checksum-sha256"], b64(hashlib.sha256(b"1").digest()))
        for headers in ({"x-amz-checksum-algorithm": "MD4"}, {"x-amz-checksum-type": "COMPOSITE"},
                        {"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-type": "FULL_OBJECT"},
                        {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"},
                        {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "HALF"}):
            with self.subTest(headers=headers):
                self.assertS3Error(self.s3.post("/bucket/k", query="uploads", headers=headers), 400, "InvalidRequest")

    def test_object_size(self):
        upload = self.create()
        parts = [self.part(upload, 1, b"12345")]
        self.assertEqual(self.complete(upload, parts, x_amz_mp_object_size="4").status, 400)
        self.assertS3Error(self.complete(upload, parts, x_amz_mp_object_size="x"), 400, "InvalidRequest")
        self.assertEqual(self.complete(upload, parts, x_amz_mp_object_size="5").status, 200)

    def test_list_parts(self):
        upload = self.create(x_amz_checksum_algorithm="CRC32")
        for number in (1, 3, 5):
            self.part(upload, number, str(number).encode())
        answer = self.s3.get("/bucket/k", f"uploadId={upload}")
        self.assertEqual([answer.texts(path) for path in ("Part/PartNumber", "Part/Size", "IsTruncated", "UploadId",
                                                          "ChecksumAlgorithm", "ChecksumType", "Part/ChecksumCRC32")],
                         [["1", "3", "5"], ["1", "1", "1"], ["false"], [upload], ["CRC32"], ["COMPOSITE"],
                          [crc32_of(b"1"), crc32_of(b"3"), crc32_of(b"5")]])
        page = self.s3.get("/bucket/k", f"uploadId={upload}&max-parts=2")
        self.assertEqual([page.texts(path) for path in ("Part/PartNumber", "IsTruncated", "NextPartNumberMarker")],
                         [["1", "3"], ["true"], ["3"]])
        page = self.s3.get("/bucket/k", f"uploadId={upload}&max-parts=2&part-number-marker=3")
        self.assertEqual([page.texts(path) for path in ("Part/PartNumber", "IsTruncated")], [["5"], ["false"]])
        self.assertS3Error(self.s3.get("/bucket/k", f"uploadId={upload}&max-parts=x"), 400, "InvalidArgument")

    def test_list_uploads(self):
        ids = {key: [self.create(f"/bucket/{key}") for _ in range(2)] for key in ("a/1", "a/2", "b", "c%20d")}
        answer = self.s3.get("/bucket", "uploads")
        self.assertEqual(answer.texts("Upload/Key"), ["a/1", "a/1", "a/2", "a/2", "b", "b", "c d", "c d"])
        self.assertEqual(sorted(answer.texts("Upload/UploadId")), sorted(sum(ids.values(), [])))
        answer = self.s3.get("/bucket", "uploads&prefix=a/")
        self.assertEqual(answer.texts("Upload/Key"), ["a/1", "a/1", "a/2", "a/2"])
        answer = self.s3.get("/bucket", "uploads&delimiter=/&encoding-type=url")
        self.assertEqual((answer.texts("Upload/Key"), answer.texts("CommonPrefixes/Prefix")),
                         (["b", "b", "c%20d", "c%20d"], ["a/"]))
        seen, query = [], "uploads&max-uploads=3"
        for _ in range(5):
            page = self.s3.get("/bucket", query)
            seen += page.texts("Upload/UploadId")
            if page.texts("IsTruncated") == ["false"]:
                break
            key, id = page.texts("NextKeyMarker")[0].replace(" ", "%20"), page.texts("NextUploadIdMarker")[0]
            query = f"uploads&max-uploads=3&key-marker={key}&upload-id-marker={id}"
        self.assertEqual(seen, self.s3.get("/bucket", "uploads").texts("Upload/UploadId"))

    def test_part_copy(self):
        source = body("source", PART + 1000)
        self.s3.put("/bucket/source", source)
        upload = self.create()

        def copy(number, **headers):
            return self.s3.put("/bucket/k", query=f"partNumber={number}&uploadId={upload}",
                               headers={"x-amz-copy-source": "/bucket/source", **{
                                   name.replace("_", "-"): value for name, value in headers.items()}})

        first, second = copy(1), copy(2, x_amz_copy_source_range="bytes=262140-262150")
        for answer in (first, second):
            self.assertEqual(answer.status, 200, answer)
        parts = [(1, first.texts("ETag")[0]), (2, second.texts("ETag")[0])]
        for text in ("0-2", "bytes=0", "bytes=x-y", "bytes=0-bar", "bytes=5-", "bytes=-5", "bytes=0-2,3-5", "bytes=5-4"):
            with self.subTest(text=text):
                self.assertS3Error(copy(3, x_amz_copy_source_range=text), 400, "InvalidArgument")
        self.assertS3Error(copy(3, x_amz_copy_source_range=f"bytes=0-{len(source)}"), 416, "InvalidRange")
        self.assertS3Error(copy(3, x_amz_copy_source_if_match='"x"'), 412, "PreconditionFailed")
        self.assertEqual(self.complete(upload, parts).status, 200)
        self.assertTrue(self.s3.get("/bucket/k").body == source + source[262140:262151])

    def test_attributes_page_by_page(self):
        upload = self.create(x_amz_checksum_algorithm="CRC64NVME")
        parts = [self.part(upload, number, body("a", PART)) for number in (1, 2, 4)]
        self.complete(upload, parts)

        def attributes(**headers):
            return self.s3.get("/bucket/k", "attributes", headers={"x-amz-object-attributes": "ObjectParts,Checksum", **{
                name.replace("_", "-"): value for name, value in headers.items()}})

        answer = attributes()
        self.assertEqual([answer.texts(f"ObjectParts/{name}") for name in ("PartsCount", "Part/PartNumber", "IsTruncated")],
                         [["3"], ["1", "2", "4"], ["false"]])
        self.assertEqual(answer.texts("Checksum/ChecksumType"), ["FULL_OBJECT"])
        self.assertEqual(len(answer.texts("ObjectParts/Part/ChecksumCRC64NVME")), 3)
        answer = attributes(x_amz_max_parts="1", x_amz_part_number_marker="1")
        self.assertEqual([answer.texts(f"ObjectParts/{name}") for name in (
            "Part/PartNumber", "IsTruncated", "NextPartNumberMarker", "PartNumberMarker", "MaxParts")],
            [["2"], ["true"], ["2"], ["1"], ["1"]])

    def test_copy_of_an_object_in_parts(self):
        upload = self.create()
        contents = [body("a", PART), b"end"]
        self.complete(upload, [self.part(upload, i + 1, content) for i, content in enumerate(contents)])
        answer = self.s3.put("/bucket/copy", headers={"x-amz-copy-source": "/bucket/k"})
        self.assertEqual(answer.status, 200, answer)
        self.s3.delete("/bucket/k")
        self.assertTrue(self.s3.get("/bucket/copy").body == b"".join(contents))

    def test_uploads_survive_a_restart(self):
        upload = self.create()
        parts = [self.part(upload, 1, body("a", PART))]
        self.store.restart()
        parts.append(self.part(upload, 2, b"end"))
        self.assertEqual(self.complete(upload, parts).status, 200)
        self.store.restart()
        self.assertTrue(self.s3.get("/bucket/k").body == body("a", PART) + b"end")


if __name__ == "__main__":
    main()
