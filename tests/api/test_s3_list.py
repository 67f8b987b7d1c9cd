#!/usr/bin/env python3
"""Listings of objects, in every version of the call, and deletes of many keys."""

import random
import unittest
import urllib.parse

from support.lakehouse import main
from support.s3 import S3, S3TestCase, crc32_of, md5_of

ODD = ["a", "a/b", "a/b/c", "a//b", "a b", "a+b", "a%2Fb", "<&>\"'", "line\nbreak", "tab\t", "ü/ß", "日本/語", "/lead",
       "trail/", "..", "../x", "~", "\U0001f600"]


def order(keys):
    return sorted(keys, key=lambda key: key.encode())


class Lists(S3TestCase):
    def setUp(self):
        super().setUp()
        self.store, self.s3 = self.start_s3()
        self.bucket(self.s3)

    def fill(self, keys, body=b"1"):
        for key in keys:
            self.assertEqual(self.s3.put(S3.path("bucket", key), body).status, 200)

    def pages(self, kind, query="", limit=3):
        """(keys, prefixes) of all pages, as each kind of listing walks them."""
        keys, prefixes, more = [], [], ""
        element = {"v1": "Contents", "v2": "Contents", "versions": "Version"}[kind]
        for _ in range(1000):
            head = {"v1": "", "v2": "list-type=2&", "versions": "versions&"}[kind]
            answer = self.s3.get("/bucket", f"{head}max-keys={limit}&encoding-type=url{query}{more}")
            self.assertEqual(answer.status, 200, answer)
            root = answer.xml()
            found = answer.texts(f"{element}/Key")
            folders = answer.texts("CommonPrefixes/Prefix")
            self.assertLessEqual(len(found) + len(folders), limit)
            keys += [urllib.parse.unquote(key) for key in found]
            prefixes += [urllib.parse.unquote(folder) for folder in folders]
            if root.findtext("IsTruncated") == "false":
                return keys, prefixes
            if kind == "v2":
                more = f"&continuation-token={root.findtext('NextContinuationToken')}"
            elif kind == "v1":
                more = f"&marker={root.findtext('NextMarker') or found[-1]}"
            else:
                version = root.findtext("NextVersionIdMarker")
                more = f"&key-marker={root.findtext('NextKeyMarker')}"
                more += f"&version-id-marker={version}" if version else ""
        self.fail("the listing has no end")

    def test_all_kinds_agree_with_a_model(self):
        draw = random.Random(7)
        keys = {"".join(draw.choice("ab/-") for _ in range(draw.randint(1, 6))) for _ in range(60)} | set(ODD)
        self.fill(keys)
        for prefix, delimiter in (("", ""), ("", "/"), ("a", ""), ("a/", "/"), ("a", "/"), ("", "b"), ("b", "-a"), ("x", "/"),
                                  ("", "//"), ("a//", "/")):
            plain, folders = [], []
            for key in order(keys):
                rest = key[len(prefix):]
                if not key.startswith(prefix):
                    continue
                if delimiter and delimiter in rest:
                    folder = prefix + rest[:rest.index(delimiter) + len(delimiter)]
                    if folder not in folders:
                        folders.append(folder)
                else:
                    plain.append(key)
            query = f"&prefix={urllib.parse.quote(prefix)}&delimiter={urllib.parse.quote(delimiter)}"
            for kind in ("v1", "v2", "versions"):
                with self.subTest(kind=kind, prefix=prefix, delimiter=delimiter):
                    self.assertEqual(self.pages(kind, query, limit=7), (plain, folders))

    def test_keys_without_encoding(self):
        keys = [key for key in ODD]
        self.fill(keys)
        for query in ("", "list-type=2", "versions"):
            element = "Version/Key" if query == "versions" else "Contents/Key"
            self.assertEqual(self.s3.get("/bucket", query).texts(element), order(keys))

    def test_what_an_entry_says(self):
        body = b"twelve bytes"
        self.s3.put("/bucket/k", body, headers={"x-amz-checksum-crc32": crc32_of(body)})
        etag = self.s3.head("/bucket/k").headers["ETag"]
        for query, element, owner in (("", "Contents", True), ("list-type=2", "Contents", False),
                                      ("list-type=2&fetch-owner=true", "Contents", True), ("versions", "Version", True)):
            entry = self.s3.get("/bucket", query).xml().find(element)
            with self.subTest(query=query):
                self.assertEqual([entry.findtext(name) for name in ("Key", "Size", "ETag", "StorageClass",
                                                                    "ChecksumAlgorithm", "ChecksumType")],
                                 ["k", "12", etag, "STANDARD", "CRC32", "FULL_OBJECT"])
                self.assertEqual(entry.find("Owner") is not None, owner)
                self.assertRegex(entry.findtext("LastModified"), r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        entry = self.s3.get("/bucket", "versions").xml().find("Version")
        self.assertEqual((entry.findtext("VersionId"), entry.findtext("IsLatest")), ("null", "true"))

    def test_what_a_page_says(self):
        self.fill(["a", "b/c", "d"])
        root = self.s3.get("/bucket", "list-type=2&start-after=a&max-keys=1&prefix=").xml()
        self.assertEqual([root.findtext(name) for name in ("Name", "Prefix", "KeyCount", "MaxKeys", "StartAfter",
                                                           "IsTruncated")], ["bucket", "", "1", "1", "a", "true"])
        self.assertIsNone(root.findtext("Delimiter"))
        root = self.s3.get("/bucket", "delimiter=%2F&max-keys=2&encoding-type=url").xml()
        self.assertEqual((root.findtext("NextMarker"), root.findtext("Delimiter")), ("b/", "/"))
        self.assertEqual(self.s3.get("/bucket", "max-keys=0").xml().findtext("IsTruncated"), "false")
        self.assertEqual(self.s3.get("/bucket", "max-keys=99999").xml().findtext("MaxKeys"), "1000")

    def test_bad_questions(self):
        token = "list-type=2&max-keys=1&continuation-token="
        for query in ("max-keys=-1", "max-keys=x", "max-keys=1.5", "list-type=3", "list-type=", "encoding-type=xml",
                      token + "nonsense", token + "00", token + "%FF", "versions&version-id-marker=null",
                      "versions&key-marker=a&version-id-marker=abc", "versions&max-keys=a"):
            with self.subTest(query=query):
                self.assertS3Error(self.s3.get("/bucket", query), 400, "InvalidArgument")
        self.fill(["a/1", "a/2"])
        other = self.s3.get("/bucket", "list-type=2&max-keys=1&prefix=a").xml().findtext("NextContinuationToken")
        self.assertS3Error(self.s3.get("/bucket", token + other), 400, "InvalidArgument")
        self.assertS3Error(self.s3.get("/none", "list-type=2"), 404, "NoSuchBucket")

    # ---- deletes ----

    def delete(self, keys, quiet=False, **more):
        objects = "".join(f"<Object><Key>{key.replace('&', '&amp;').replace('<', '&lt;')}</Key></Object>" for key in keys)
        return self.s3.post("/bucket", f"<Delete>{'<Quiet>true</Quiet>' if quiet else ''}{objects}</Delete>", "delete",
                            **more)

    def test_delete_one(self):
        self.fill(["k", "other"])
        self.assertEqual(self.s3.delete("/bucket/none").status, 204)
        self.assertS3Error(self.s3.delete("/bucket/k", "versionId=abc"), 404, "NoSuchVersion")
        self.assertS3Error(self.s3.delete("/bucket/k", headers={"If-Match": '"0"'}), 412, "PreconditionFailed")
        for name in ("x-amz-if-match-size", "x-amz-if-match-last-modified-time", "x-amz-mfa"):
            self.assertS3Error(self.s3.delete("/bucket/k", headers={name: "1"}), 501, "NotImplemented")
        etag = self.s3.head("/bucket/k").headers["ETag"]
        self.assertEqual(self.s3.delete("/bucket/k", "versionId=null", headers={"If-Match": etag}).status, 204)
        self.assertS3Error(self.s3.get("/bucket/k"), 404, "NoSuchKey")
        self.assertEqual(self.s3.get("/bucket").texts("Contents/Key"), ["other"])

    def test_delete_many(self):
        keys = [key for key in ODD if key != "line\nbreak"] + [f"n{n}" for n in range(300)]
        self.fill(ODD + ["n1", "n2"])
        answer = self.delete(keys)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.texts("Deleted/Key"), keys)
        self.assertEqual(self.s3.get("/bucket").texts("Contents/Key"), ["line\nbreak"])
        self.assertEqual(self.delete(["none"], quiet=True).texts("Deleted"), [])
        self.assertEqual(self.delete([f"k{n}" for n in range(1000)]).status, 200)

    def test_delete_many_each_has_its_own_answer(self):
        self.fill(["a", "b", "c", "d"])
        etag = self.s3.head("/bucket/c").headers["ETag"]
        document = ("<Delete><Object><Key>a</Key><VersionId>null</VersionId></Object>"
                    "<Object><Key>b</Key><VersionId>v1</VersionId></Object>"
                    f"<Object><Key>c</Key><ETag>{etag}</ETag></Object><Object><Key>d</Key><ETag>\"0\"</ETag></Object>"
                    f"<Object><Key>{'x' * 1025}</Key></Object><Object><Key></Key></Object>"
                    "<Object><Key>b</Key><Size>1</Size></Object></Delete>")
        answer = self.s3.post("/bucket", document, "delete")
        self.assertEqual(answer.texts("Deleted/Key"), ["a", "c"])
        self.assertEqual(answer.texts("Error/Code"), ["NoSuchVersion", "PreconditionFailed", "KeyTooLongError",
                                                      "InvalidURI", "NotImplemented"])
        self.assertEqual(self.s3.get("/bucket").texts("Contents/Key"), ["b", "d"])

    def test_bad_deletes_delete_nothing(self):
        self.fill(["k"])
        good = "<Delete><Object><Key>k</Key></Object></Delete>"
        for document in ("", "<Delete/>", "<Delete><Object/></Delete>", good[:-3], "<Other/>", "not xml",
                         "<Delete>" + "<Object><Key>k</Key></Object>" * 1001 + "</Delete>",
                         '<!DOCTYPE d [<!ENTITY e "k">]><Delete><Object><Key>&e;</Key></Object></Delete>',
                         "<Delete>" + "<a>" * 30 + "</a>" * 30 + "</Delete>"):
            with self.subTest(document=document[:80]):
                self.assertS3Error(self.s3.post("/bucket", document, "delete"), 400, "MalformedXML")
        for headers, word in (({"Content-MD5": md5_of(b"other")}, "BadDigest"), ({"Content-MD5": "x"}, "InvalidDigest"),
                              ({"x-amz-checksum-crc32": crc32_of(b"other")}, "BadDigest")):
            self.assertS3Error(self.s3.post("/bucket", good, "delete", headers=headers), 400, word)
        self.assertEqual(self.s3.get("/bucket").texts("Contents/Key"), ["k"])


if __name__ == "__main__":
    main()
