#!/usr/bin/env python3
"""Every operation of storaged by every kind of key: what is expected comes from a model of roles, patterns and
public buckets, so that an operation that forgets to ask is found, and one that asks for too much, too."""

import re

from support.lakehouse import main
from support.s3 import CHUNKED, S3, UNSIGNED, S3TestCase, Signer

ROLES = {"read": 1, "write": 2, "admin": 3}
PEOPLE = {  # name: role, patterns
    "root": ("admin", ["*"]),
    "keeper": ("admin", ["main"]),
    "starred": ("admin", ["ma*"]),
    "below": ("admin", ["main/app/*"]),
    "writer": ("write", ["*"]),
    "author": ("write", ["main/app/*"]),
    "single": ("write", ["main/app/a"]),
    "mixed": ("write", ["other", "main/app/*"]),
    "reader": ("read", ["*"]),
    "visitor": ("read", ["main"]),
    "guest": ("read", ["main/app/*", "open"]),
    "native": ("write", ["lake/app/*"]),
    "stranger": ("admin", ["elsewhere", "mai", "main-2", "other/"]),
}
PUBLIC = {"shown": {"read"}, "open": {"read", "write"}}
BUCKETS = ("main", "other", "shown", "open")


def secret(name):
    return f"the-secret-of-the-{name}"


def part_matches(pattern, text):
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def may(name, access, bucket, key=""):
    """docs/operations/keys.md as a function; name None: nobody."""
    if access != "admin" and access in PUBLIC.get(bucket, ()):
        return True
    return name is not None and ROLES[PEOPLE[name][0]] >= ROLES[access] and matches(name, bucket, key)


def matches(name, bucket, key):
    for pattern in PEOPLE[name][1]:
        first, slash, rest = pattern.partition("/")
        if pattern == "*" or (part_matches(first, bucket) and (not slash or part_matches(rest, key))):
            return True
    return False


def may_itself(name, bucket, key=""):
    """Whether the key may read it whatever the public may."""
    return name is not None and matches(name, bucket, key)


XML = '<?xml version="1.0"?><%s/>'
UPLOAD = "uploadId=" + "0" * 32

# What a line asks: method, query, headers, body, access.
OF_A_BUCKET = [
    ("HEAD", "", {}, "", "read"),
    *[("GET", query, {}, "", "read") for query in (
        "location", "acl", "versioning", "policy", "policyStatus", "object-lock", "encryption", "website",
        "logging", "notification", "requestPayment", "accelerate", "replication", "ownershipControls",
        "publicAccessBlock")],
    *[("GET", query, {}, "", "admin") for query in ("cors", "tagging", "lifecycle", "lakehouse-settings")],
    *[("PUT", query, {}, XML % "Nonsense", "admin") for query in (
        "cors", "tagging", "lifecycle", "acl", "lakehouse-settings")],
    *[("DELETE", query, {}, "", "admin") for query in (
        "cors", "tagging", "lifecycle", "policy", "encryption", "website", "replication", "ownershipControls",
        "publicAccessBlock")],
    ("PUT", "", {}, "", "admin"),
    ("DELETE", "", {}, "", "admin"),  # has objects, and stays
]
OF_A_PREFIX = [("GET", query, {}, "", "read") for query in ("", "list-type=2", "versions", "uploads")]
OF_AN_OBJECT = [
    *[(method, "", {}, "", "read") for method in ("GET", "HEAD")],
    *[("GET", query, {}, "", "read") for query in (
        "versionId=null", "partNumber=1", "tagging", "acl", UPLOAD)],
    ("GET", "attributes", {"x-amz-object-attributes": "ETag"}, "", "read"),
    ("PUT", "", {}, "1", "write"),
    ("PUT", "", {"If-None-Match": "*"}, "1", "write"),
    ("PUT", "tagging", {}, "<Tagging><TagSet/></Tagging>", "write"),
    ("DELETE", "tagging", {}, "", "write"),
    ("PUT", "acl", {"x-amz-acl": "private"}, "", "write"),
    ("PUT", UPLOAD + "&partNumber=1", {}, "1", "write"),
    ("POST", "uploads", {}, "", "write"),
    ("POST", UPLOAD, {}, XML % "CompleteMultipartUpload", "write"),
    ("DELETE", UPLOAD, {}, "", "write"),
]
KEYS = ("app/a", "x/a", "app", "app/../x/a", "app//a", "storage")


class Rights(S3TestCase):
    def setUp(self):
        super().setUp()
        keys = self.folder / "keys.toml"
        keys.write_text("".join(f'[[key]]\nid = "{name}"\nsecret = "{secret(name)}"\nrole = "{role}"\n'
                                f'pattern = {patterns!r}\n' for name, (role, patterns) in PEOPLE.items()))
        self.store = self.service("storaged", **{"keys.file": str(keys), "storaged.s3_domain": "s3.test"})
        root = self.client("root")
        for bucket in BUCKETS:
            self.bucket(root, bucket)
            for key in KEYS:
                self.assertEqual(root.put(S3.path(bucket, key), b"1").status, 200)
        for key in KEYS:
            self.assertEqual(root.put(S3.path("lake", key), b"1").status, 200)
        for bucket, acl in (("shown", "public-read"), ("open", "public-read-write")):
            self.assertEqual(root.put(f"/{bucket}", query="acl", headers={"x-amz-acl": acl}).status, 200)

    def client(self, name, **more):
        return S3(self.store.port, name and Signer(name, secret(name)), **more)

    def check(self, name, allowed, method, path, query="", headers=None, body=""):
        answer = self.client(name).request(method, path, query, body, headers)
        if (answer.status == 403) == allowed:
            self.fail(f"{name} {method} {path}?{query}: {answer.status} {answer.body[:300]}, allowed: {allowed}")
        if not allowed and method != "HEAD":
            self.assertEqual(answer.code, "AccessDenied")

    def everybody(self):
        return [*PEOPLE, None]

    # ---- the table ----

    def test_buckets(self):
        for name in self.everybody():
            for bucket in BUCKETS:
                for method, query, headers, body, access in OF_A_BUCKET:
                    self.check(name, may(name, access, bucket), method, f"/{bucket}", query, headers, body)

    def test_listings(self):
        for name in self.everybody():
            for bucket in BUCKETS:
                for prefix in ("", "app", "app/", "app/a", "x/"):
                    for method, query, headers, body, access in OF_A_PREFIX:
                        query = f"{query}&prefix={prefix}".lstrip("&")
                        self.check(name, may(name, access, bucket, prefix), method, f"/{bucket}", query, headers, body)

    def test_objects(self):
        for name in self.everybody():
            for bucket, keys in (("main", KEYS), ("other", KEYS[:1]), ("shown", KEYS[:1]), ("open", KEYS[:1])):
                for key in keys:
                    for method, query, headers, body, access in OF_AN_OBJECT:
                        self.check(name, may(name, access, bucket, key), method, S3.path(bucket, key), query, headers,
                                   body)

    def test_deleting(self):
        for name in self.everybody():
            for bucket in BUCKETS:
                for key in ("app/gone", "x/gone"):
                    self.check(name, may(name, "write", bucket, key), "DELETE", S3.path(bucket, key))
                body = "<Delete><Object><Key>app/gone</Key></Object><Object><Key>x/gone</Key></Object></Delete>"
                answer = self.client(name).post(f"/{bucket}", body, "delete")
                granted = [key for key in ("app/gone", "x/gone") if may(name, "write", bucket, key)]
                if name is None and not granted:
                    self.assertS3Error(answer, 403, "AccessDenied")
                else:
                    self.assertEqual(answer.texts("Deleted/Key"), granted, (name, bucket))
                    self.assertEqual(set(answer.texts("Error/Code")), set() if len(granted) == 2 else {"AccessDenied"})

    def test_copies_ask_for_their_source(self):
        upload = self.client("root").post("/main/app/parts", query="uploads").texts("UploadId")[0]
        for name in self.everybody():
            for source in ("main/app/a", "main/x/a", "other/app/a", "lake/app/a", "lake/storage", "open/app/a"):
                bucket, _, key = source.partition("/")
                for target, query in (("main/app/copy", ""), ("open/copy", ""), ("other/copy", ""),
                                      ("main/app/parts", f"uploadId={upload}&partNumber=1")):
                    to_bucket, _, to_key = target.partition("/")
                    # What the public may do is asked of the bucket that the request is for.
                    reads = may_itself(name, bucket, key) or bucket == to_bucket and may(name, "read", bucket, key)
                    allowed = may(name, "write", to_bucket, to_key) and reads
                    for spelt in (source, f"/{source}", source.replace("/", "%2F"), f"{source}?versionId=null"):
                        self.check(name, allowed, "PUT", f"/{target}", query, {"x-amz-copy-source": spelt})

    def test_the_owner_of_a_source_is_asked_for(self):
        for owner, status in (("root", 200), ("eve", 403)):
            headers = {"x-amz-copy-source": "/other/app/a", "x-amz-source-expected-bucket-owner": owner}
            self.assertEqual(self.client("writer").put("/main/copy", headers=headers).status, status)

    def test_list_buckets(self):
        for name in PEOPLE:
            expected = sorted(bucket for bucket in (*BUCKETS, "lake") if may_itself(name, bucket))
            self.assertEqual(self.client(name).get("/").texts("Buckets/Bucket/Name"), expected, name)
        self.check(None, False, "GET", "/")

    def test_new_buckets(self):
        for name in (*PEOPLE, None):
            new = "made-by-" + (name or "nobody")
            self.check(name, may(name, "admin", new), "PUT", f"/{new}")
        self.check("starred", True, "PUT", "/mall")

    # ---- the native REST ----

    def test_native(self):
        for name in self.everybody():
            headers = {"Authorization": f"Bearer {secret(name)}"} if name else {}
            for method, path, access, key in (
                    ("GET", "/storage/app/a", "read", "app/a"), ("HEAD", "/storage/app/a", "read", "app/a"),
                    ("GET", "/storage/app%2Fa", "read", "app/a"), ("GET", "/storage/x/a", "read", "x/a"),
                    ("GET", "/storage/storage", "read", "storage"), ("PUT", "/storage/app/a", "write", "app/a"),
                    ("GET", "/storage/app/../x/a", "read", "app/../x/a"),
                    ("PUT", "/storage/x/a", "write", "x/a"), ("DELETE", "/storage/app/gone", "write", "app/gone"),
                    ("GET", "/storage/app/a?locate", "admin", "app/a"), ("GET", "/storage?prefix=app/", "read", "app/"),
                    ("GET", "/storage", "read", ""), ("GET", "/storage?prefix=x/", "read", "x/"),
                    ("GET", "/storage?check", "admin", ""), ("POST", "/storage?check", "admin", ""),
                    ("POST", "/storage", "admin", "")):
                answer = self.client(None).send(method, path, headers, b"1" if method == "PUT" else b"")
                allowed = name is not None and may(name, access, "lake", key)
                expected = {True} if allowed else {401} if name is None else {403}
                found = True if answer.status not in (401, 403) else answer.status
                self.assertIn(found, expected, (name, method, path, answer.status))

    # ---- what is not as it was signed ----

    def test_unsigned_headers_are_refused(self):
        root = self.client("root")
        for header, value in (("x-amz-copy-source", "/main/app/a"), ("X-Amz-Copy-Source", "/main/app/a"),
                              ("x-amz-meta-a", "1"), ("x-amz-tagging", "a=b"), ("x-amz-acl", "public-read"),
                              ("x-amz-mp-object-size", "1"), ("x-amz-decoded-content-length", "1")):
            smuggle = lambda headers, body: ({**headers, header: value}, body)
            answer = root.put("/main/smuggled", b"1", change=smuggle)
            self.assertEqual(answer.status, 403, (header, answer.body))
            target = root.signer.presign("PUT", "/main/smuggled", "", {"Host": root.host})
            answer = root.send("PUT", target, {"Host": root.host, header: value}, b"1")
            self.assertEqual(answer.status, 403, (header, answer.body))
        self.assertS3Error(root.get("/main/smuggled"), 404, "NoSuchKey")

    def test_a_header_cannot_be_there_twice(self):
        root = self.client("root")
        for header, value in (("x-amz-copy-source", "/other/app/a"), ("Host", "evil.s3.test"),
                              ("x-amz-content-sha256", UNSIGNED)):
            double = lambda headers, body: ({**headers, header.upper(): value}, body)
            answer = root.put("/main/app/twice", headers={"x-amz-copy-source": "/main/app/a"}, change=double)
            self.assertIn(answer.status, (400, 403), (header, answer.body))

    def test_presigned_for_one_thing_only(self):
        root = self.client("root")
        host = {"Host": root.host}
        target = root.signer.presign("PUT", "/main/app/a", "", host)
        get = root.signer.presign("GET", "/main/app/a", "", host)
        for method, url, headers in (
                ("PUT", target.replace("/main/", "/other/"), host), ("PUT", target.replace("app/a", "x/a"), host),
                ("PUT", target + "&tagging", host), ("PUT", target + "&acl", host),
                ("PUT", target + "&" + UPLOAD + "&partNumber=1", host), ("DELETE", target, host), ("GET", target, host),
                ("PUT", get, host), ("GET", get + "&tagging", host), ("GET", get + "&prefix=", host),
                ("GET", get.replace("/main/app/a", "/main"), host), ("GET", get, {"Host": "other.s3.test"}),
                ("GET", get.replace("/main/app/a", "/app/a"), {"Host": "main.s3.test"})):
            answer = root.send(method, url, headers, b"1" if method == "PUT" else b"")
            self.assertEqual(answer.status, 403, (method, url, answer.body))
        self.assertEqual(root.send("HEAD", get, host).status, 403)
        self.assertEqual(root.send("GET", get, host).status, 200)

    def test_virtual_hosts(self):
        def at(name, bucket):
            return self.client(name, host=f"{bucket}.s3.test")
        root = at("root", "main")
        self.assertEqual(root.get("/app/a").body, b"1")
        self.assertEqual(root.get("/storage").status, 200)  # the key, and not the native REST
        self.assertS3Error(root.get("/storage/app/a"), 404, "NoSuchKey")
        self.assertS3Error(root.get("/other/app/b"), 404, "NoSuchKey")
        for path in ("/storage", "/storage/app/a", "/health", "/metrics", "/app/a"):
            self.assertS3Error(at(None, "main").get(path), 403, "AccessDenied")
        self.assertS3Error(at(None, "storage").get("/app/a"), 404, "NoSuchBucket")
        self.assertEqual(at("author", "main").get("/app/a").status, 200)
        self.assertEqual(at("author", "main").get("/x/a").status, 403)
        for host in ("main.s3.test.evil", "xs3.test", ".s3.test"):
            answer = self.client(None, host=host).get("/app/a")
            self.assertS3Error(answer, 404, "NoSuchBucket")

    # ---- two ways to the same answer ----

    def test_the_event_thread_asks_what_a_worker_asks(self):
        """Small puts and gets run on the event thread, but those that wait for "100 Continue" on a worker."""
        def headers_of(answer):
            skipped = ("date", "x-amz-request-id", "x-request-id", "last-modified", "connection")
            return sorted((k.lower(), v) for k, v in answer.headers.items() if k.lower() not in skipped)

        def body_of(answer):
            return re.sub(rb"<RequestId>.*?</RequestId>|\"request_id\": ?\"[^\"]*\"", b"", answer.body)

        requests = [(method, S3.path(bucket, key), query, headers, body)
                    for bucket, key in (("main", "app/a"), ("main", "x/a"), ("main", "none"), ("open", "app/a"),
                                        ("shown", "app/a"), ("none", "a"), ("lake", "app/a"), ("main", "k" * 1025))
                    for method, query, headers, body in (
                        ("GET", "", {}, b""), ("HEAD", "", {}, b""), ("GET", "", {"Range": "bytes=0-0"}, b""),
                        ("GET", "", {"If-None-Match": "*"}, b""), ("GET", "versionId=x", {}, b""),
                        ("GET", "response-content-type=a", {}, b""), ("GET", "torrent", {}, b""),
                        ("GET", "", {"x-amz-expected-bucket-owner": "eve"}, b""),
                        ("PUT", "", {}, b"1"), ("PUT", "", {"If-None-Match": "*"}, b"1"),
                        ("PUT", "", {"If-Match": '"0"'}, b"1"), ("PUT", "", {"Content-MD5": "AAAA"}, b"1"),
                        ("PUT", "", {"x-amz-acl": "public-read"}, b"1"), ("PUT", "", {"x-amz-tagging": "="}, b"1"),
                        ("PUT", "", {"x-amz-server-side-encryption": "AES256"}, b"1"),
                        ("PUT", "", {"x-amz-checksum-crc32": "AAAAAA=="}, b"1"), ("PUT", "append", {}, b"1"))]
        for name in ("root", "author", "visitor", "stranger", None):
            client = self.client(name)
            for method, path, query, headers, body in requests:
                quick = client.request(method, path, query, body, headers)
                slow = client.request(method, path, query, body, {**headers, "Expect": "100-continue"})
                self.assertEqual((quick.status, headers_of(quick), body_of(quick)),
                                 (slow.status, headers_of(slow), body_of(slow)), (name, method, path, query, headers))
        spoil = lambda headers, body: ({**headers, "Authorization": headers["Authorization"][:-1]}, body)
        for mode in (None, UNSIGNED, CHUNKED):
            for change in (None, spoil, lambda headers, body: (headers, body[:-1] + b"x")):
                answers = [self.client("root").put("/main/app/a", b"12", mode=mode, change=change, headers=more).status
                           for more in ({}, {"Expect": "100-continue"})]
                self.assertEqual(*answers, (mode, change))
        for name in ("root", "native", "visitor", None):
            token = {"X-Api-Key": secret(name)} if name else {}
            for method, path in (("GET", "/storage/app/a"), ("HEAD", "/storage/app/a"), ("GET", "/storage/x/a"),
                                 ("PUT", "/storage/app/a"), ("PUT", "/storage/x/a"), ("GET", "/storage/app/a?locate")):
                answers = [self.client(None).send(method, path, {**token, **more}, b"1" if method == "PUT" else b"")
                           for more in ({}, {"Expect": "100-continue"})]
                self.assertEqual(answers[0].status, answers[1].status, (name, method, path))


if __name__ == "__main__":
    main()
