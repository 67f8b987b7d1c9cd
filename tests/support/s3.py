"""A small S3 client for tests: it signs as version 4 says (with nothing but the standard library), in every
payload mode, and can be told to do each step wrongly.

    class Buckets(S3TestCase):
        def test_create(self):
            store, s3 = self.start_s3()
            self.assertEqual(s3.put("/photos").status, 200)
            self.assertS3Error(s3.get("/none"), 404, "NoSuchBucket")

Paths and queries are raw: what a test writes is what goes over the wire. `s3.path(bucket, key)` encodes.
"""

import base64
import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree
import zlib

from support.lakehouse import SLOWDOWN, Response, TestCase

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
CHUNKED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
CHUNKED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def b64(data):
    return base64.b64encode(data).decode()


def md5_of(data):
    return b64(hashlib.md5(data).digest())


def crc32_of(data):
    return b64(zlib.crc32(data).to_bytes(4, "big"))


def quote(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


def digest(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def without_namespaces(root):
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


class S3Response(Response):
    def xml(self):
        return without_namespaces(xml.etree.ElementTree.fromstring(self.body))

    def texts(self, path):
        """The texts of all elements at this path: answer.texts("Contents/Key")."""
        return [element.text or "" for element in self.xml().findall(path)]

    @property
    def code(self):
        """The word of an error answer; None when it is none."""
        if self.status < 400 or not self.body.strip().startswith(b"<"):
            return None
        return self.xml().findtext("Code")


class Signer:
    """The steps of signature version 4 as methods, so that a test can change one."""

    def __init__(self, access_key, secret, region="us-east-1", service="s3", now=None):
        self.access_key, self.secret, self.region, self.service = access_key, secret, region, service
        self.now = now or (lambda: datetime.datetime.now(datetime.timezone.utc))

    def stamp(self):
        return self.now().strftime("%Y%m%dT%H%M%SZ")

    def scope(self, stamp):
        return f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"

    def key(self, stamp):
        key = ("AWS4" + self.secret).encode()
        for part in (stamp[:8], self.region, self.service, "aws4_request"):
            key = digest(key, part)
        return key

    @staticmethod
    def canonical_path(path):
        """Encoded exactly once, whatever the client left plain."""
        return quote(urllib.parse.unquote_to_bytes(path), safe="/-_.~")

    @staticmethod
    def canonical_query(query):
        pairs = []
        for part in query.split("&"):
            if part:
                name, _, value = part.partition("=")
                pairs.append((quote(urllib.parse.unquote_to_bytes(name)),
                              quote(urllib.parse.unquote_to_bytes(value))))
        return "&".join(f"{name}={value}" for name, value in sorted(pairs))

    def signature(self, method, path, query, headers, signed, payload, stamp):
        values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        lines = "".join(f"{name}:{values.get(name, '')}\n" for name in signed)
        canonical = "\n".join([method, self.canonical_path(path), self.canonical_query(query), lines,
                               ";".join(signed), payload])
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, self.scope(stamp),
                          hashlib.sha256(canonical.encode()).hexdigest()])
        return digest(self.key(stamp), text).hex()

    def authorization(self, method, path, query, headers, payload, stamp):
        signed = sorted(name.lower() for name in headers if name.lower() not in ("expect", "connection"))
        signature = self.signature(method, path, query, headers, signed, payload, stamp)
        return (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{self.scope(stamp)}, "
                f"SignedHeaders={';'.join(signed)}, Signature={signature}")

    def presign(self, method, path, query="", headers=None, expires=60):
        """The path and query that anybody may use."""
        headers = dict(headers or {})
        stamp = self.stamp()
        signed = sorted(name.lower() for name in headers)
        more = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Credential": f"{self.access_key}/{self.scope(stamp)}",
                "X-Amz-Date": stamp, "X-Amz-Expires": str(expires), "X-Amz-SignedHeaders": ";".join(signed)}
        parts = [query] if query else []
        parts += [f"{name}={quote(value)}" for name, value in more.items()]
        query = "&".join(parts)
        signature = self.signature(method, path, query, headers, signed, UNSIGNED, stamp)
        return f"{path}?{query}&X-Amz-Signature={signature}"

    def chunks(self, body, seed, stamp, mode, chunk_bytes=65536, trailers=None):
        """The body as aws-chunked has it, for one of the STREAMING modes."""
        out, previous = [], seed
        is_signed = mode != UNSIGNED_TRAILER
        pieces = [body[at:at + chunk_bytes] for at in range(0, len(body), chunk_bytes)] + [b""]
        for piece in pieces:
            extension = ""
            if is_signed:
                previous = self.chunk_signature(previous, stamp, piece)
                extension = f";chunk-signature={previous}"
            end = b"\r\n" if piece or mode == CHUNKED else b""
            out.append(f"{len(piece):x}{extension}\r\n".encode() + piece + end)
        if mode == CHUNKED:
            return b"".join(out)
        lines = "".join(f"{name}:{value}\n" for name, value in (trailers or {}).items())
        out.append(lines.replace("\n", "\r\n").encode())
        if is_signed:
            text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", stamp, self.scope(stamp), previous,
                              hashlib.sha256(lines.encode()).hexdigest()])
            out.append(f"x-amz-trailer-signature:{digest(self.key(stamp), text).hex()}\r\n".encode())
        return b"".join(out) + b"\r\n"

    def chunk_signature(self, previous, stamp, piece):
        text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", stamp, self.scope(stamp), previous, EMPTY_SHA256,
                          hashlib.sha256(piece).hexdigest()])
        return digest(self.key(stamp), text).hex()


class S3:
    """One client with one key. `signer` None: requests go without a signature."""

    def __init__(self, port, signer=None, host=None, connect=None):
        self.port, self.signer = port, signer
        self.host = host or f"127.0.0.1:{port}"
        self.connect = connect or (lambda timeout: http.client.HTTPConnection("127.0.0.1", port,
                                                                              timeout=timeout))

    @staticmethod
    def path(bucket, key=None):
        return f"/{bucket}" if key is None else f"/{bucket}/{quote(key, safe='/-_.~')}"

    def request(self, method, path, query="", body=b"", headers=None, mode=None, trailers=None,
                chunk_bytes=65536, change=None, timeout=60):
        """`mode`: None = the SHA-256 of the body is signed; UNSIGNED or one of the STREAMING modes.
        `trailers`: of the modes that have some. `change(headers, body)`: a last hand on what is sent,
        behind the signature; returns both."""
        headers = {"Host": self.host, **(headers or {})}
        body = body.encode() if isinstance(body, str) else body
        payload = mode or hashlib.sha256(body).hexdigest()
        stamp = self.signer.stamp() if self.signer else ""
        if mode and mode.startswith("STREAMING-"):
            headers.setdefault("Content-Encoding", "aws-chunked")
            headers.setdefault("x-amz-decoded-content-length", str(len(body)))
            if trailers:
                headers.setdefault("x-amz-trailer", ",".join(trailers))
        if self.signer or mode:
            headers.setdefault("x-amz-content-sha256", payload)
        if self.signer:
            headers.setdefault("x-amz-date", stamp)
            headers["Authorization"] = self.signer.authorization(
                method, path, query, headers, headers["x-amz-content-sha256"], stamp)
        if mode and mode.startswith("STREAMING-"):
            seed = headers.get("Authorization", "").rpartition("Signature=")[2]
            signer = self.signer or Signer("none", "none")
            body = signer.chunks(body, seed, stamp, mode, chunk_bytes, trailers)
        if change:
            headers, body = change(headers, body)
        return self.send(method, f"{path}?{query}" if query else path, headers, body, timeout)

    def send(self, method, target, headers, body=b"", timeout=60):
        """As it is; Content-Length is added unless the headers frame the body themselves."""
        connection = self.connect(timeout * SLOWDOWN)
        try:
            connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
            names = {name.lower() for name in headers}
            for name, value in headers.items():
                connection.putheader(name, value)
            framed = "content-length" in names or "transfer-encoding" in names
            if not framed and (body or method in ("PUT", "POST")):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return S3Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def presigned(self, method, path, query="", body=b"", expires=60, headers=None):
        target = self.signer.presign(method, path, query, {"Host": self.host, **(headers or {})}, expires)
        return self.send(method, target, {"Host": self.host, **(headers or {})}, body)

    def get(self, path, query="", **more):
        return self.request("GET", path, query, **more)

    def head(self, path, query="", **more):
        return self.request("HEAD", path, query, **more)

    def put(self, path, body=b"", query="", **more):
        return self.request("PUT", path, query, body, **more)

    def post(self, path, body=b"", query="", **more):
        return self.request("POST", path, query, body, **more)

    def delete(self, path, query="", **more):
        return self.request("DELETE", path, query, **more)


class S3TestCase(TestCase):
    """Starts a storaged. Without `keys` its door is open, and the client signs with a key of no
    meaning."""

    def start_s3(self, **settings):
        store = self.service("storaged", **settings)
        return store, S3(store.port, Signer("open", "door"))

    def bucket(self, s3, name="bucket"):
        answer = s3.put(f"/{name}")
        self.assertEqual(answer.status, 200, answer)
        return f"/{name}"

    def assertS3Error(self, answer, status, word):
        self.assertEqual((answer.status, answer.code), (status, word), answer)
