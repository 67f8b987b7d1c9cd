#!/usr/bin/env python3
"""Buckets with versions: what is written, read, deleted and listed there."""

import hashlib

from support.lakehouse import main
from support.s3 import S3TestCase

CONFIGURATION = "<VersioningConfiguration><Status>{}</Status></VersioningConfiguration>"
TAGS = "<Tagging><TagSet><Tag><Key>colour</Key><Value>{}</Value></Tag></TagSet></Tagging>"
ID = r"^[0-9a-f]{16}$"


class Versions(S3TestCase):
    def setUp(self):
        super().setUp()
        self.store, self.s3 = self.start_s3()
        self.bucket(self.s3)

    def versioning(self, status, bucket="bucket"):
        answer = self.s3.put(f"/{bucket}", CONFIGURATION.format(status), "versioning")
        self.assertEqual(answer.status, 200, answer)

    def put(self, key, body=b"1", **more):
        answer = self.s3.put(f"/bucket/{key}", body, **more)
        self.assertEqual(answer.status, 200, answer)
        return answer.headers["x-amz-version-id"]

    def listed(self, query=""):
        """(key, id, is it the latest, is it a marker) of each, as the page has them."""
        root = self.s3.get("/bucket", "&".join(filter(None, ("versions", query)))).xml()
        return [(entry.findtext("Key"), entry.findtext("VersionId"), entry.findtext("IsLatest") == "true",
                 entry.tag == "DeleteMarker") for entry in root if entry.tag in ("Version", "DeleteMarker")]

    # ---- the configuration ----

    def test_configuration(self):
        self.assertIsNone(self.s3.get("/bucket", "versioning").xml().find("Status"))
        for status in ("Enabled", "Suspended", "Enabled"):
            self.versioning(status)
            self.assertEqual(self.s3.get("/bucket", "versioning").xml().findtext("Status"), status)
        for document, status, word in ((CONFIGURATION.format("Off"), 400, "MalformedXML"),
                                       ("<VersioningConfiguration/>", 400, "MalformedXML"),
                                       ("<Other><Status>Enabled</Status></Other>", 400, "MalformedXML"),
                                       ("<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"
                                        "</VersioningConfiguration>", 501, "NotImplemented")):
            with self.subTest(document=document):
                self.assertS3Error(self.s3.put("/bucket", document, "versioning"), status, word)
        self.assertS3Error(self.s3.put("/none", CONFIGURATION.format("Enabled"), "versioning"), 404, "NoSuchBucket")
        self.store.stop()
        self.store.start()
        self.assertEqual(self.s3.get("/bucket", "versioning").xml().findtext("Status"), "Enabled")

    def test_rules_that_would_not_be_obeyed(self):
        rules = ("<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>"
                 "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"
                 "</Rule></LifecycleConfiguration>")
        self.assertEqual(self.s3.put("/bucket", rules, "lifecycle").status, 200)
        self.assertS3Error(self.s3.put("/bucket", CONFIGURATION.format("Enabled"), "versioning"), 501, "NotImplemented")
        self.assertEqual(self.s3.delete("/bucket", "lifecycle").status, 204)
        self.versioning("Enabled")
        self.assertS3Error(self.s3.put("/bucket", rules, "lifecycle"), 501, "NotImplemented")

    # ---- objects ----

    def test_without_versioning_nothing_says_version(self):
        self.assertIsNone(self.put("k"))
        for answer in (self.s3.get("/bucket/k"), self.s3.head("/bucket/k"), self.s3.delete("/bucket/k"),
                       self.s3.get("/bucket/k")):
            self.assertIsNone(answer.headers["x-amz-version-id"])
            self.assertIsNone(answer.headers["x-amz-delete-marker"])

    def test_every_version_is_kept(self):
        self.put("k", b"zero")
        self.versioning("Enabled")
        ids = [self.put("k", body) for body in (b"first", b"second")]
        self.assertRegex(ids[0], ID)
        self.assertLess(*ids)
        answer = self.s3.get("/bucket/k")
        self.assertEqual((answer.body, answer.headers["x-amz-version-id"]), (b"second", ids[1]))
        for version, body in zip(["null"] + ids, (b"zero", b"first", b"second")):
            answer = self.s3.get("/bucket/k", f"versionId={version}")
            self.assertEqual((answer.body, answer.headers["x-amz-version-id"]), (body, version))
            answer = self.s3.head("/bucket/k", f"versionId={version}")
            self.assertEqual(answer.headers["Content-Length"], str(len(body)))
        self.assertS3Error(self.s3.get("/bucket/k", "versionId=0000010000000000"), 404, "NoSuchVersion")
        self.assertS3Error(self.s3.get("/bucket/none", f"versionId={ids[0]}"), 404, "NoSuchVersion")
        self.assertEqual(self.listed(), [("k", ids[1], True, False), ("k", ids[0], False, False),
                                         ("k", "null", False, False)])
        self.assertEqual(self.s3.get("/bucket").texts("Contents/Key"), ["k"])
        self.assertS3Error(self.s3.delete("/bucket"), 409, "BucketNotEmpty")

    def test_delete_markers(self):
        self.versioning("Enabled")
        first = self.put("k")
        answer = self.s3.delete("/bucket/k")
        marker = answer.headers["x-amz-version-id"]
        self.assertEqual((answer.status, answer.headers["x-amz-delete-marker"]), (204, "true"))
        for method in (self.s3.get, self.s3.head):
            answer = method("/bucket/k")
            self.assertEqual((answer.status, answer.headers["x-amz-delete-marker"], answer.headers["x-amz-version-id"]),
                             (404, "true", marker))
        answer = self.s3.get("/bucket/k", f"versionId={marker}")
        self.assertS3Error(answer, 405, "MethodNotAllowed")
        self.assertEqual(answer.headers["x-amz-delete-marker"], "true")
        self.assertEqual(self.s3.get("/bucket/k", f"versionId={first}").body, b"1")
        self.assertEqual(self.s3.get("/bucket").texts("Contents/Key"), [])
        self.assertEqual(self.listed(), [("k", marker, True, True), ("k", first, False, False)])
        self.assertS3Error(self.s3.put("/bucket/k", b"2", headers={"If-Match": "*"}), 404, "NoSuchKey")
        answer = self.s3.delete("/bucket/k", f"versionId={marker}")
        self.assertEqual((answer.headers["x-amz-delete-marker"], answer.headers["x-amz-version-id"]), ("true", marker))
        self.assertEqual(self.s3.get("/bucket/k").body, b"1")
        answer = self.s3.delete("/bucket/k", f"versionId={first}")
        self.assertEqual((answer.status, answer.headers["x-amz-delete-marker"], answer.headers["x-amz-version-id"]),
                         (204, None, first))
        self.assertEqual(self.s3.get("/bucket/k").headers["x-amz-delete-marker"], None)
        self.assertEqual(self.s3.delete("/bucket/k", f"versionId={first}").status, 204)
        self.assertEqual(self.s3.delete("/bucket").status, 204)

    def test_suspended(self):
        self.versioning("Enabled")
        first = self.put("k", b"first")
        self.versioning("Suspended")
        self.assertIsNone(self.put("k", b"null"))
        self.put("k", b"null again")
        self.assertEqual(self.s3.get("/bucket/k").headers["x-amz-version-id"], "null")
        self.assertEqual(self.listed(), [("k", "null", True, False), ("k", first, False, False)])
        answer = self.s3.delete("/bucket/k")
        self.assertEqual((answer.headers["x-amz-delete-marker"], answer.headers["x-amz-version-id"]), ("true", "null"))
        self.assertEqual(self.listed(), [("k", "null", True, True), ("k", first, False, False)])
        self.assertEqual(self.s3.delete("/bucket/k", "versionId=null").status, 204)
        self.assertEqual(self.s3.get("/bucket/k").body, b"first")

    def test_conditions_judge_the_current_version(self):
        self.versioning("Enabled")
        first, second = (f'"{hashlib.md5(body).hexdigest()}"' for body in (b"first", b"second"))
        self.put("k", b"first")
        self.put("k", b"second", headers={"If-Match": first})
        self.assertS3Error(self.s3.put("/bucket/k", b"x", headers={"If-Match": first}), 412, "PreconditionFailed")
        self.assertS3Error(self.s3.put("/bucket/k", b"x", headers={"If-None-Match": "*"}), 412, "PreconditionFailed")
        self.assertS3Error(self.s3.delete("/bucket/k", headers={"If-Match": first}), 412, "PreconditionFailed")
        self.assertEqual(self.s3.delete("/bucket/k", headers={"If-Match": second}).status, 204)
        self.put("k", b"third", headers={"If-None-Match": "*"})

    # ---- what else knows versions ----

    def test_tags_and_attributes(self):
        self.versioning("Enabled")
        ids = [self.put("k", body) for body in (b"first", b"second!")]
        for version, colour in zip(ids, ("red", "blue")):
            self.assertEqual(self.s3.put("/bucket/k", TAGS.format(colour), f"tagging&versionId={version}").status, 200)
        for version, colour, size in zip(ids, ("red", "blue"), ("5", "7")):
            answer = self.s3.get("/bucket/k", f"tagging&versionId={version}")
            self.assertEqual((answer.texts("TagSet/Tag/Value"), answer.headers["x-amz-version-id"]), ([colour], version))
            answer = self.s3.get("/bucket/k", f"attributes&versionId={version}",
                                 headers={"x-amz-object-attributes": "ObjectSize"})
            self.assertEqual((answer.xml().findtext("ObjectSize"), answer.headers["x-amz-version-id"]), (size, version))
        self.assertEqual(self.s3.delete("/bucket/k", f"tagging&versionId={ids[0]}").status, 204)
        self.assertEqual(self.s3.get("/bucket/k", "tagging").texts("TagSet/Tag/Value"), ["blue"])
        self.assertS3Error(self.s3.put("/bucket/k", TAGS.format("x"), "tagging&versionId=0000010000000000"), 404,
                           "NoSuchVersion")

    def test_copy(self):
        self.versioning("Enabled")
        first = self.put("k", b"first")
        self.put("k", b"second")
        answer = self.s3.put("/bucket/copy", headers={"x-amz-copy-source": f"/bucket/k?versionId={first}"})
        self.assertEqual((answer.status, answer.headers["x-amz-copy-source-version-id"]), (200, first))
        self.assertRegex(answer.headers["x-amz-version-id"], ID)
        self.assertEqual(self.s3.get("/bucket/copy").body, b"first")
        answer = self.s3.put("/bucket/k", headers={"x-amz-copy-source": f"/bucket/k?versionId={first}"})
        self.assertEqual(answer.status, 200, answer) # an older one becomes current again
        self.assertEqual(self.s3.get("/bucket/k").body, b"first")
        self.assertEqual(len(self.listed("prefix=k")), 3)
        self.s3.delete("/bucket/k")
        self.assertS3Error(self.s3.put("/bucket/copy", headers={"x-amz-copy-source": "/bucket/k"}), 404, "NoSuchKey")

    def test_uploads_in_parts(self):
        self.versioning("Enabled")
        first = self.put("k", b"first")
        upload = self.s3.post("/bucket/k", b"", "uploads").xml().findtext("UploadId")
        etag = self.s3.put("/bucket/k", b"a part", f"partNumber=1&uploadId={upload}").headers["ETag"]
        between = self.put("k", b"between")
        answer = self.s3.post("/bucket/k", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
                              f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>", f"uploadId={upload}")
        version = answer.headers["x-amz-version-id"]
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.listed(), [("k", version, True, False), ("k", between, False, False),
                                         ("k", first, False, False)])
        self.put("k", b"after")
        self.assertEqual(self.s3.get("/bucket/k", f"versionId={version}").body, b"a part")
        self.assertEqual(self.s3.get("/bucket/k", f"versionId={version}&partNumber=1").body, b"a part")

    def test_delete_many(self):
        self.versioning("Enabled")
        first, second = self.put("a"), self.put("b")
        document = (f"<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>{second}</VersionId></Object>"
                    "<Object><Key>none</Key></Object><Object><Key>a</Key><VersionId>x</VersionId></Object></Delete>")
        root = self.s3.post("/bucket", document, "delete").xml()
        deleted = [[entry.findtext(name) for name in ("Key", "VersionId", "DeleteMarker")]
                   for entry in root.findall("Deleted")]
        self.assertEqual(deleted, [["a", None, "true"], ["b", second, None], ["none", None, "true"]])
        self.assertEqual([entry.text for entry in root.findall("Error/Code")], ["NoSuchVersion"])
        marker = root.findtext("Deleted/DeleteMarkerVersionId")
        self.assertEqual([entry[:2] for entry in self.listed("prefix=a")], [("a", marker), ("a", first)])
        document = f"<Delete><Object><Key>a</Key><VersionId>{marker}</VersionId></Object></Delete>"
        entry = self.s3.post("/bucket", document, "delete").xml().find("Deleted")
        self.assertEqual([entry.findtext(name) for name in ("VersionId", "DeleteMarker", "DeleteMarkerVersionId")],
                         [marker, "true", marker])
        self.assertEqual(self.s3.get("/bucket/a").status, 200)

    # ---- listings ----

    def test_pages(self):
        self.put("a/1")
        self.versioning("Enabled")
        for key in ("a/1", "a/2", "b", "b", "c"):
            self.put(key)
        self.s3.delete("/bucket/b")
        self.versioning("Suspended")
        self.put("b")
        everything = self.listed()
        self.assertEqual([key for key, *_ in everything], ["a/1", "a/1", "a/2", "b", "b", "b", "b", "c"])
        self.assertEqual([key for key, _, latest, _ in everything if latest], ["a/1", "a/2", "b", "c"])
        for limit in (1, 2, 3, 5):
            found, more, markers = [], True, ""
            while more:
                root = self.s3.get("/bucket", f"versions&max-keys={limit}{markers}").xml()
                page = self.listed(f"max-keys={limit}{markers}")
                self.assertLessEqual(len(page), limit)
                found += page
                more = root.findtext("IsTruncated") == "true"
                markers = (f"&key-marker={root.findtext('NextKeyMarker')}"
                           f"&version-id-marker={root.findtext('NextVersionIdMarker')}")
            self.assertEqual(found, everything)
        answer = self.s3.get("/bucket", "versions&delimiter=%2F&max-keys=2")
        self.assertEqual((answer.texts("CommonPrefixes/Prefix"), answer.texts("NextKeyMarker")), (["a/"], ["b"]))
        answer = self.s3.get("/bucket", "versions&delimiter=%2F&key-marker=a/")
        self.assertEqual((answer.texts("CommonPrefixes/Prefix"), answer.texts("Version/Key")),
                         ([], ["b", "b", "b", "c"]))
        self.assertEqual([entry[1] for entry in self.listed("key-marker=b&version-id-marker=null")],
                         [entry[1] for entry in everything[4:]])


if __name__ == "__main__":
    main()
