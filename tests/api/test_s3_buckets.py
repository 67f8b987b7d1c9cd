#!/usr/bin/env python3
"""Buckets at the S3 door, and what hangs on them: names, location, tags, life cycle, CORS, settings, access
lists; and everything that is not served, which says so and changes nothing."""

import http.client
import unittest

from support.lakehouse import main
from support.s3 import S3, S3TestCase, md5_of

CORS = """<CORSConfiguration>
<CORSRule><AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod>
<AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>
<MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>
<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule>
</CORSConfiguration>"""
RULE = "<Rule><ID>{0}</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status>{1}</Rule>"
DAYS = "<Expiration><Days>7</Days></Expiration>"


def lifecycle(*rules):
    return f"<LifecycleConfiguration>{''.join(rules)}</LifecycleConfiguration>"


def tags(*pairs):
    rows = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in pairs)
    return f"<Tagging><TagSet>{rows}</TagSet></Tagging>"


class Buckets(S3TestCase):
    def setUp(self):
        super().setUp()
        self.store, self.s3 = self.start_s3()
        self.bucket(self.s3)

    # ---- buckets ----

    def test_a_bucket_that_goes_while_something_is_put_into_it(self):
        half = 1 << 20
        connection = http.client.HTTPConnection("127.0.0.1", self.store.port, timeout=30)
        self.addCleanup(connection.close)
        connection.putrequest("PUT", "/bucket/key")
        connection.putheader("Content-Length", str(2 * half))
        connection.endheaders(bytes(half))
        self.assertEqual(self.s3.delete("/bucket").status, 204)
        connection.send(bytes(half))
        answer = connection.getresponse()
        self.assertIn(b"<Code>NoSuchBucket</Code>", answer.read())
        self.assertEqual(answer.status, 404)

    def test_life(self):
        s3 = self.s3
        self.assertEqual(s3.put("/more/").headers["Location"], "/more")
        self.assertEqual(s3.put("/more").status, 200)
        self.assertEqual(s3.head("/more").headers["x-amz-bucket-region"], "us-east-1")
        self.assertEqual(s3.get("/").texts("Buckets/Bucket/Name"), ["bucket", "lake", "more"])
        self.assertEqual(s3.put("/more/k", b"1").status, 200)
        self.assertS3Error(s3.delete("/more"), 409, "BucketNotEmpty")
        self.assertEqual(s3.delete("/more/k").status, 204)
        self.assertEqual(s3.delete("/more").status, 204)
        self.assertS3Error(s3.delete("/more"), 404, "NoSuchBucket")
        self.assertEqual(s3.head("/more").status, 404)
        self.store.kill()
        self.store.restart()
        self.assertEqual(s3.get("/").texts("Buckets/Bucket/Name"), ["bucket", "lake"])

    def test_names(self):
        for name, good in (("abc", 1), ("a.b-c.9", 1), ("0numbers", 1), ("x" * 63, 1), ("ab", 0), ("x" * 64, 0),
                           ("Upper", 0), ("under_score", 0), ("-dash", 0), ("dash-", 0), ("a..b", 0), ("a.-b", 0),
                           ("192.168.5.4", 0), ("storage", 0), ("%C3%BCmlaut", 0), ("a%2Fb", 0), ("a%00b", 0)):
            with self.subTest(name=name):
                answer = self.s3.put(f"/{name}")
                if good:
                    self.assertEqual(answer.status, 200, answer)
                else:
                    self.assertIn(answer.status, (400, 405), answer)
        self.assertS3Error(self.s3.put("/a%zz"), 400, "InvalidURI")

    def test_the_lake_stays(self):
        self.assertEqual(self.store.put("/storage/a", b"1").status, 201)
        self.assertEqual(self.s3.get("/lake/a").body, b"1")
        self.s3.delete("/lake/a")
        self.assertS3Error(self.s3.delete("/lake"), 403, "AccessDenied")

    def test_location(self):
        answer = self.s3.get("/bucket", "location")
        self.assertEqual(answer.xml().text, "us-east-1")
        body = "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>"
        self.assertEqual(self.s3.put("/here", body.format("us-east-1")).status, 200)
        self.assertEqual(self.s3.put("/here2", body.format("")).status, 200)
        for document, status, word in (
                (body.format("eu-west-1"), 400, "InvalidLocationConstraint"), ("<a/>", 400, "MalformedXML"),
                ("<CreateBucketConfiguration><Bucket/></CreateBucketConfiguration>", 501, "NotImplemented"),
                ("<Create", 400, "MalformedXML")):
            self.assertS3Error(self.s3.put("/there", document), status, word)
        self.assertEqual(self.s3.head("/there").status, 404)
        lock = {"x-amz-bucket-object-lock-enabled": "true"}
        self.assertS3Error(self.s3.put("/there", headers=lock), 501, "NotImplemented")

    def test_list_in_pages(self):
        for at in range(5):
            self.s3.put(f"/page-{at}")
        names, token = [], ""
        while True:
            answer = self.s3.get("/", f"prefix=page&max-buckets=2{token}")
            names += answer.texts("Buckets/Bucket/Name")
            more = answer.xml().findtext("ContinuationToken")
            if not more:
                break
            token = f"&continuation-token={more}"
        self.assertEqual(names, [f"page-{at}" for at in range(5)])
        for query in ("max-buckets=0", "max-buckets=x", "continuation-token=xyz", "max-buckets=10001"):
            self.assertS3Error(self.s3.get("/", query), 400, "InvalidArgument")
        self.assertEqual(self.s3.get("/", "bucket-region=eu-west-1").texts("Buckets/Bucket/Name"), [])

    def test_another_region(self):
        _, s3 = self.start_s3(**{"storaged.s3_region": "eu-central-1"})
        self.bucket(s3)
        self.assertS3Error(s3.put("/bucket"), 409, "BucketAlreadyOwnedByYou")
        self.assertEqual(s3.head("/bucket").headers["x-amz-bucket-region"], "eu-central-1")

    # ---- what is meant ----

    def test_what_is_not_served_says_so_and_changes_nothing(self):
        self.s3.put("/bucket/k", b"kept")
        for method, path, query in (
                ("PUT", "/bucket/k", "legal-hold"), ("PUT", "/bucket/k", "retention"), ("PUT", "/bucket/k", "torrent"),
                ("PUT", "/bucket/k", "encryption="), ("PUT", "/bucket/k", "some-day-new"),
                ("PUT", "/bucket/k", "tagging&acl"), ("PUT", "/bucket/k", "versionId=null"),
                ("PUT", "/bucket/k", "partNumber=1"), ("POST", "/bucket/k", "restore"),
                ("POST", "/bucket/k", "select&select-type=2"), ("GET", "/bucket/k", "torrent"),
                ("GET", "/bucket/k", "legal-hold"), ("DELETE", "/bucket/k", "partNumber=1"),
                ("DELETE", "/bucket/k", "new"), ("DELETE", "/bucket", "inventory&id=1"), ("PUT", "/bucket", "policy"),
                ("PUT", "/bucket", "website"), ("PUT", "/bucket", "metrics"),
                ("PUT", "/bucket", "replication="), ("GET", "/bucket", "analytics"), ("GET", "/bucket", "session"),
                ("POST", "/bucket", "metadataTable"), ("GET", "/bucket", "location&acl")):
            with self.subTest(method=method, path=path, query=query):
                self.assertS3Error(self.s3.request(method, path, query, b""), 501, "NotImplemented")
        self.assertEqual(self.s3.get("/bucket/k").body, b"kept")
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        self.assertS3Error(self.s3.post("/bucket", b"", headers=form), 501, "NotImplemented")
        for method, path in (("POST", "/bucket/k"), ("PUT", "/"), ("DELETE", "/"), ("POST", "/"), ("POST", "/bucket")):
            self.assertS3Error(self.s3.request(method, path), 405, "MethodNotAllowed")

    def test_neutral_parameters(self):
        self.assertEqual(self.s3.put("/bucket/k", b"1", "x-id=PutObject").status, 200)
        self.assertEqual(self.s3.get("/bucket/k", "x-id=GetObject&unknown=1").body, b"1")

    def test_what_is_not_configured(self):
        for query, word in (("policy", "NoSuchBucketPolicy"), ("cors", "NoSuchCORSConfiguration"),
                            ("lifecycle", "NoSuchLifecycleConfiguration"), ("tagging", "NoSuchTagSet"),
                            ("object-lock", "ObjectLockConfigurationNotFoundError"),
                            ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
                            ("website=", "NoSuchWebsiteConfiguration"),
                            ("replication", "ReplicationConfigurationNotFoundError"),
                            ("ownershipControls", "OwnershipControlsNotFoundError"),
                            ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration")):
            with self.subTest(query=query):
                self.assertS3Error(self.s3.get("/bucket", query), 404, word)
                self.assertEqual(self.s3.delete("/bucket", query).status,
                                 501 if query == "object-lock" else 204)
        for query, root in (("versioning", "VersioningConfiguration"), ("logging", "BucketLoggingStatus"),
                            ("notification", "NotificationConfiguration"), ("acl", "AccessControlPolicy"),
                            ("requestPayment", "RequestPaymentConfiguration"), ("policyStatus=", "PolicyStatus"),
                            ("accelerate", "AccelerateConfiguration")):
            self.assertEqual(self.s3.get("/bucket", query).xml().tag, root)

    def test_every_answer_has_its_ids(self):
        for answer in (self.s3.get("/"), self.s3.get("/none"), self.s3.head("/bucket"), self.s3.put("/bucket/k", b"1")):
            self.assertTrue(answer.headers["x-amz-request-id"])
            self.assertTrue(answer.headers["x-amz-id-2"])
            self.assertTrue(answer.headers["Server"])
        answer = self.s3.get("/none/%3Ckey%3E")
        root = answer.xml()
        self.assertEqual([root.findtext(name) for name in ("Code", "BucketName", "Key", "RequestId")],
                         ["NoSuchBucket", "none", "<key>", answer.headers["x-amz-request-id"]])

    def test_virtual_hosts(self):
        store, s3 = self.start_s3(**{"storaged.s3_domain": "s3.test, objects.local"})
        self.bucket(s3, "my.bucket")
        for host in ("my.bucket.s3.test", f"my.bucket.objects.local:{store.port}", "my.bucket.S3.TEST"):
            there = S3(store.port, s3.signer, host=host)
            for key in ("k", "storage/x", "health", "my.bucket"):
                self.assertEqual(there.put(f"/{key}", host.encode()).status, 200)
                self.assertEqual(s3.get(f"/my.bucket/{key}").body, host.encode())
            self.assertEqual(len(there.get("/", "list-type=2").texts("Contents/Key")), 4)
        there = S3(store.port, s3.signer, host="s3.test")
        self.assertEqual(there.get("/my.bucket/k").status, 200)
        self.assertEqual(there.get("/").texts("Buckets/Bucket/Name"), ["lake", "my.bucket"])
        self.assertEqual(S3(store.port, s3.signer, host="none.s3.test").get("/k").code, "NoSuchBucket")
        self.assertEqual(store.get("/health").json()["service"], "storaged")

    # ---- tags ----

    def test_tags(self):
        self.assertEqual(self.s3.put("/bucket", tags(("a", "1"), ("ü", "")), "tagging").status, 204)
        self.store.kill()
        self.store.restart()
        answer = self.s3.get("/bucket", "tagging")
        self.assertEqual([answer.texts("TagSet/Tag/Key"), answer.texts("TagSet/Tag/Value")], [["a", "ü"], ["1", ""]])
        for document, word in (
                (tags(("a", "1"), ("a", "2")), "InvalidTag"), (tags(("", "1")), "InvalidTag"),
                (tags(("k" * 129, "1")), "InvalidTag"), (tags(("k", "v" * 257)), "InvalidTag"),
                (tags(("aws:k", "1")), "InvalidTag"), (tags(*((str(n), "") for n in range(51))), "InvalidTag"),
                ("<Tagging/>", "MalformedXML"), ("<TagSet/>", "MalformedXML"), ("", "MalformedXML"),
                ("<!DOCTYPE a [<!ENTITY e 'x'>]><Tagging><TagSet/></Tagging>", "MalformedXML")):
            with self.subTest(document=document[:60]):
                self.assertS3Error(self.s3.put("/bucket", document, "tagging"), 400, word)
        self.assertS3Error(self.s3.put("/bucket", tags(), "tagging", headers={"Content-MD5": md5_of(b"x")}), 400,
                           "BadDigest")
        self.assertEqual(self.s3.get("/bucket", "tagging").texts("TagSet/Tag/Key"), ["a", "ü"])
        self.assertEqual(self.s3.delete("/bucket", "tagging").status, 204)
        self.assertS3Error(self.s3.get("/bucket", "tagging"), 404, "NoSuchTagSet")

    # ---- life cycle ----

    def test_lifecycle(self):
        marker = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
        document = lifecycle(RULE.format("m", marker), RULE.format("", DAYS), RULE.replace("<ID>{0}</ID>", "").format(
            "", "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"))
        self.assertEqual(self.s3.put("/bucket", document, "lifecycle").status, 200)
        self.assertEqual(len(set(self.s3.get("/bucket", "lifecycle").texts("Rule/ID"))), 3)
        abort = ("<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation>"
                 "</AbortIncompleteMultipartUpload>")
        document = lifecycle(RULE.format("one", DAYS), RULE.format("two", abort))
        self.assertEqual(self.s3.put("/bucket", document, "lifecycle").status, 200)
        answer = self.s3.get("/bucket", "lifecycle")
        self.assertEqual(answer.texts("Rule/ID"), ["one", "two"])
        self.assertEqual(answer.texts("Rule/Expiration/Days"), ["7"])
        for document, status, word in (
                (lifecycle(RULE.format("x", "<Expiration><Days>0</Days></Expiration>")), 400, "InvalidArgument"),
                (lifecycle(RULE.format("x", "<Expiration><Days>-1</Days></Expiration>")), 400, "InvalidArgument"),
                (lifecycle(RULE.format("x", "<Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>")), 400,
                 "InvalidArgument"),
                (lifecycle(RULE.format("x", "<Expiration><Date>soon</Date></Expiration>")), 400, "MalformedXML"),
                (lifecycle(RULE.format("x", "<Expiration/>")), 400, "MalformedXML"),
                (lifecycle(RULE.format("x", "")), 400, "InvalidRequest"),
                (lifecycle(RULE.format("x", DAYS), RULE.format("x", DAYS)), 400, "InvalidArgument"),
                (lifecycle(RULE.format("x" * 256, DAYS)), 400, "InvalidArgument"),
                (lifecycle(), 400, "MalformedXML"), (lifecycle("<Rule>" + DAYS + "</Rule>"), 400, "MalformedXML"),
                (lifecycle(RULE.format("x", DAYS).replace("Enabled", "enabled")), 400, "MalformedXML"),
                (lifecycle(*(RULE.format(n, DAYS) for n in range(101))), 400, "InvalidRequest"),
                (lifecycle(RULE.format("x", "<Transition><Days>1</Days></Transition>")), 501, "NotImplemented"),
                (lifecycle(RULE.format("x", "<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>")), 400,
                 "MalformedXML"),
                (lifecycle(RULE.format("x", DAYS).replace("<Prefix>logs/</Prefix>",
                                                          "<Tag><Key>k</Key><Value>v</Value></Tag>")), 501,
                 "NotImplemented")):
            with self.subTest(document=document[:150]):
                self.assertS3Error(self.s3.put("/bucket", document, "lifecycle"), status, word)
        self.assertEqual(self.s3.get("/bucket", "lifecycle").texts("Rule/ID"), ["one", "two"])
        self.assertEqual(self.s3.delete("/bucket", "lifecycle").status, 204)
        self.assertS3Error(self.s3.get("/bucket", "lifecycle"), 404, "NoSuchLifecycleConfiguration")

    # ---- CORS ----

    def test_cors(self):
        self.assertEqual(self.s3.put("/bucket", CORS, "cors").status, 200)
        self.s3.put("/bucket/k", b"1")
        origin = {"Origin": "https://app.example.com"}
        answer = self.s3.get("/bucket/k", headers=origin)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], origin["Origin"])
        self.assertEqual(answer.headers["Access-Control-Expose-Headers"], "ETag")
        self.assertEqual(self.s3.get("/bucket/none", headers=origin).headers["Access-Control-Allow-Origin"],
                         origin["Origin"])
        self.assertIsNone(self.s3.delete("/bucket/x", headers=origin).headers["Access-Control-Allow-Origin"])
        other = {"Origin": "https://evil.test"}
        self.assertEqual(self.s3.head("/bucket/k", headers=other).headers["Access-Control-Allow-Origin"], "*")
        self.assertIsNone(self.s3.get("/bucket/k", headers=other).headers["Access-Control-Allow-Origin"])

    def test_preflight(self):
        self.assertEqual(self.s3.put("/bucket", CORS, "cors").status, 200)
        nobody = S3(self.store.port)

        def ask(path="/bucket/k", origin="https://a.example.com", method="PUT", headers=None):
            sent = {"Origin": origin, "Access-Control-Request-Method": method,
                    "Access-Control-Request-Headers": headers}
            return nobody.request("OPTIONS", path, headers={k: v for k, v in sent.items() if v})

        answer = ask(headers="x-amz-date, X-Amz-Content-Sha256")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Access-Control-Allow-Methods"], "GET, PUT")
        self.assertEqual(answer.headers["Access-Control-Max-Age"], "600")
        self.assertEqual(ask(origin="http://x", method="HEAD").headers["Access-Control-Allow-Origin"], "*")
        for answer, status, word in ((ask(headers="x-other"), 403, "AccessForbidden"),
                                     (ask(method="DELETE"), 403, "AccessForbidden"),
                                     (ask(origin="https://a.example.org"), 403, "AccessForbidden"),
                                     (ask(path="/none/k"), 403, "AccessForbidden"),
                                     (ask(origin=None), 400, "BadRequest"), (ask(method="PATCH"), 400, "BadRequest")):
            self.assertS3Error(answer, status, word)

    def test_bad_cors(self):
        rule = "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>{}</CORSRule>"
        for rows in ("", rule.replace("GET", "PATCH"), rule.replace(">*<", ">*.*<"), rule.replace(">*<", "><"),
                     rule.format("<MaxAgeSeconds>x</MaxAgeSeconds>"), rule.format("<Other/>"),
                     rule.format("<ExposeHeader>a b</ExposeHeader>"), rule.format("") * 101,
                     "<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>", "<Rule/>"):
            with self.subTest(rows=rows[:100]):
                document = f"<CORSConfiguration>{rows.replace('{}', '')}</CORSConfiguration>"
                self.assertS3Error(self.s3.put("/bucket", document, "cors"), 400, "MalformedXML")
        self.assertS3Error(self.s3.get("/bucket", "cors"), 404, "NoSuchCORSConfiguration")

    # ---- settings and access lists ----

    def test_settings(self):
        put = lambda text: self.s3.put("/bucket", text, "lakehouse-settings")
        self.assertEqual(put('{"quota_bytes":1000}').json()["quota_bytes"], 1000)
        self.assertS3Error(self.s3.put("/bucket/k", b"x" * 2000), 403, "QuotaExceeded")
        self.assertEqual(self.s3.put("/bucket/k", b"x" * 900).status, 200)
        self.store.kill()
        self.store.restart()
        settings = self.s3.get("/bucket", "lakehouse-settings").json()
        self.assertEqual([settings[name] for name in ("name", "objects", "bytes", "quota_bytes", "public_read")],
                         ["bucket", 1, 900, 1000, False])
        self.assertEqual(put('{"quota_bytes":0,"public_read":true}').json()["public_read"], True)
        self.assertEqual(self.s3.put("/bucket/k", b"x" * 2000).status, 200)
        for text in ("", "[]", "{", '{"quota":1}', '{"quota_bytes":-1}', '{"quota_bytes":"1"}', '{"public_read":1}'):
            with self.subTest(text=text):
                self.assertEqual(put(text).status, 400)

    def test_access_lists(self):
        self.s3.put("/bucket/k", b"1")
        acl = lambda path, name: self.s3.put(path, query="acl", headers={"x-amz-acl": name} if name else {})
        self.assertEqual(acl("/bucket/k", "private").status, 200)
        self.assertS3Error(acl("/bucket/k", "public-read"), 501, "NotImplemented")
        self.assertS3Error(acl("/bucket/none", "private"), 404, "NoSuchKey")
        self.assertEqual(acl("/bucket", "public-read").status, 200)
        self.assertEqual(acl("/bucket/k", "public-read").status, 200)
        answer = self.s3.get("/bucket/k", "acl")
        self.assertEqual(answer.texts("AccessControlList/Grant/Permission"), ["FULL_CONTROL", "READ"])
        self.assertS3Error(acl("/bucket", "public-ready"), 400, "InvalidArgument")
        self.assertS3Error(acl("/bucket", "authenticated-read"), 501, "NotImplemented")
        self.assertS3Error(acl("/bucket", None), 501, "NotImplemented")
        grant = {"x-amz-grant-read": "id=1", "x-amz-acl": "private"}
        self.assertS3Error(self.s3.put("/bucket", query="acl", headers=grant), 501, "NotImplemented")
        self.assertS3Error(self.s3.put("/other", headers=grant), 501, "NotImplemented")


if __name__ == "__main__":
    main()
