#!/usr/bin/env python3
"""Signatures by another hand: requests that botocore signs, by header and as URLs, are let in whatever their keys,
queries and headers look like, and none that differs from what was signed."""

import http.client
import unittest
from urllib.parse import quote, urlsplit

from support.lakehouse import SLOWDOWN, Response, TestCase, main

try:
    from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError as error:
    raise unittest.SkipTest(f"botocore is not here: {error}")

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PIECES = ["a", "Z9", " ", "/", "//", "..", ".", "~", "+", "*", "'", "(", "é", "=", "$", ":", "@", "&", "%", "?", "#", "!", ",",
          ";", "日本"]


class Signatures(TestCase):
    def setUp(self):
        super().setUp()
        self.store = self.service("storaged", **{"keys.id": "AKIAIOSFODNN7EXAMPLE", "keys.secret": SECRET})
        self.credentials = Credentials("AKIAIOSFODNN7EXAMPLE", SECRET)
        self.assertEqual(self.send(self.sign("PUT", "/bucket")).status, 200)

    def text(self, most=8):
        return "".join(self.random.choice(PIECES) for _ in range(self.random.randint(1, most)))

    def sign(self, method, path, headers=None, body=b"", auth=S3SigV4Auth, **more):
        request = AWSRequest(method=method, url=self.store.url + path, headers=headers or {}, data=body)
        auth(self.credentials, "s3", "eu-central-1", **more).add_auth(request)
        return request

    def send(self, request, spoil=None):
        """The request as it was signed; `spoil` changes its target and headers."""
        url = urlsplit(request.url)
        target = url.path + (f"?{url.query}" if url.query else "")
        headers = {name: value for name, value in request.headers.items()}
        if spoil:
            target = spoil(target, headers)
        connection = http.client.HTTPConnection("127.0.0.1", self.store.port, timeout=60 * SLOWDOWN)
        try:
            connection.putrequest(request.method, target, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value.encode() if isinstance(value, str) else value)
            connection.putheader("Content-Length", str(len(request.data or b"")))
            connection.endheaders(request.data or None)
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def assertSigned(self, answer, *statuses):
        self.assertNotIn(b"Signature", answer.body, answer)
        self.assertIn(answer.status, statuses, answer)

    def test_keys_and_headers(self):
        for _ in range(150):
            key = self.text()
            path = "/bucket/k" + quote(key, safe="/~")
            body = self.text().encode()
            meta = {"x-amz-meta-a": f"  {self.random.choice('abc')}   b\tc ", "Content-Type": "text/plain",
                    "x-amz-meta-B": "1,2"}
            self.assertSigned(self.send(self.sign("PUT", path, meta, body)), 200)
            answer = self.send(self.sign("GET", path))
            self.assertSigned(answer, 200)
            self.assertEqual(answer.body, body, key)
            self.assertSigned(self.send(self.sign("HEAD", path)), 200)
            url = self.sign("GET", path, auth=S3SigV4QueryAuth, expires=60)
            self.assertEqual(self.send(url).body, body, key)
            self.assertSigned(self.send(self.sign("DELETE", path)), 204)

    def test_queries(self):
        for _ in range(100):
            names = self.random.sample(["prefix", "delimiter", "max-keys", "start-after", "encoding-type"], 3)
            values = {"max-keys": "7", "encoding-type": "url"}
            query = "&".join(f"{name}={quote(values.get(name, self.text(4)), safe='-_.~')}" for name in names)
            self.assertSigned(self.send(self.sign("GET", f"/bucket?list-type=2&{query}")), 200)
            url = self.sign("GET", f"/bucket?list-type=2&{query}", auth=S3SigV4QueryAuth, expires=60)
            self.assertSigned(self.send(url), 200)

    def test_sub_resources_without_a_value(self):
        for name in ("location", "versioning", "uploads", "acl"):
            self.assertSigned(self.send(self.sign("GET", f"/bucket?{name}=")), 200)
            self.assertSigned(self.send(self.sign("GET", f"/bucket?{name}="),
                                        lambda target, _: target.removesuffix("=")), 200)

    def test_what_differs_is_refused(self):
        def longer(target, headers):
            return target + "x"

        def other_date(target, headers):
            headers["X-Amz-Date"] = headers["X-Amz-Date"][:-2] + ("0Z" if headers["X-Amz-Date"][-2] != "0" else "1Z")
            return target

        def other_meta(target, headers):
            headers["x-amz-meta-a"] = "2"
            return target

        def one_more(target, headers):
            headers["x-amz-meta-b"] = "2"
            return target

        def other_host(target, headers):
            headers["Host"] = "elsewhere"
            return target

        for spoil in (longer, other_date, other_meta, one_more, other_host):
            request = self.sign("PUT", "/bucket/a", {"x-amz-meta-a": "1"}, b"1")
            answer = self.send(request, spoil)
            self.assertEqual(answer.status, 403, (spoil.__name__, answer))
        self.assertEqual(self.send(self.sign("GET", "/bucket/a")).status, 404)


if __name__ == "__main__":
    main()
