"""HTTP itself, byte by byte, against the two services that strangers reach first: the object store and the
gateway. Each row of the tables of bad requests is a test here; a refusal never leaves an object behind."""

import json
import re
import socket
import time

from support.lakehouse import SLOWDOWN, TestCase, in_threads, main

WAIT = 20 * SLOWDOWN


class Wire:
    """One connection; every answer is parsed strictly, so a second one hiding behind it is seen."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self.bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def _more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.bytes += data
        return bool(data)

    def _take(self, count):
        while len(self.bytes) < count:
            if not self._more():
                raise EOFError(self.bytes)
        head, self.bytes = self.bytes[:count], self.bytes[count:]
        return head

    def _line(self, end=b"\r\n"):
        while end not in self.bytes:
            if not self._more():
                raise EOFError(self.bytes)
        line, _, self.bytes = self.bytes.partition(end)
        return line

    def answer(self, head=False):
        """(status, headers, body); 0 when the connection ends without one."""
        try:
            lines = self._line(b"\r\n\r\n").split(b"\r\n")
        except EOFError:
            return 0, {}, b""
        status = int(re.fullmatch(rb"HTTP/1\.1 (\d{3}) .*", lines[0]).group(1))
        headers = {}
        for line in lines[1:]:
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if head or status in (204, 304) or status < 200:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self._line(), 16)
                body += self._take(size)
                self._take(2)
                if size == 0:
                    return status, headers, body
        return status, headers, self._take(int(headers["content-length"]))

    def ends(self, seconds=10):
        """Whether the server closes within the time, whatever it still sends."""
        self.socket.settimeout(seconds * SLOWDOWN)
        try:
            while self._more():
                pass
            return True
        except (TimeoutError, socket.timeout):
            return False

    def is_silent(self, seconds):
        self.socket.settimeout(seconds)
        try:
            return self.bytes == b"" and self.socket.recv(1) is None
        except (TimeoutError, socket.timeout):
            return True
        finally:
            self.socket.settimeout(WAIT)


PUT = "PUT /storage/victim HTTP/1.1\r\nHost: x\r\n"
GET = "GET /health HTTP/1.1\r\nHost: x\r\n"

# What is sent, and the status that answers it. All close the connection.
REFUSED = {
    "two lengths that differ": (PUT + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "two lengths that agree": (PUT + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "length and encoding": (PUT + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
    "encoding and length": (PUT + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
    "list of lengths": (PUT + "Content-Length: 3, 3\r\n\r\nabc", 400),
    "length with a plus": (PUT + "Content-Length: +3\r\n\r\nabc", 400),
    "negative length": (PUT + "Content-Length: -3\r\n\r\nabc", 400),
    "length in hex": (PUT + "Content-Length: 0x3\r\n\r\nabc", 400),
    "empty length": (PUT + "Content-Length:\r\n\r\nabc", 400),
    "length of 20 digits": (PUT + "Content-Length: 99999999999999999999\r\n\r\nabc", (400, 413)),
    "length beyond 63 bits": (PUT + "Content-Length: 9223372036854775808\r\n\r\nabc", 400),
    "space before the colon": (PUT + "Content-Length : 3\r\n\r\nabc", 400),
    "tab before the colon": (PUT + "Transfer-Encoding\t: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
    "unknown encoding": (PUT + "Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
    "gzip and chunked": (PUT + "Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
    "chunked twice": (PUT + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in HTTP/1.0": ("PUT /storage/victim HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "3\r\nabc\r\n0\r\n\r\n", 400),
    "folded encoding": (PUT + "Transfer-Encoding:\r\n chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
    "folded header": (GET + "X-A: a\r\n b\r\n\r\n", 400),
    "bare CR in a value": (GET + "X-A: a\rb\r\n\r\n", 400),
    "bare LF after a header": ("GET /health HTTP/1.1\r\nHost: x\nX-A: a\r\n\r\n", 400),
    "bare LF after the request line": ("GET /health HTTP/1.1\nHost: x\r\n\r\n", 400),
    "bare LF at the end": (GET + "\n", 400),
    "NUL in a value": (GET + "X-A: a\0b\r\n\r\n", 400),
    "NUL in a name": (GET + "X\0A: a\r\n\r\n", 400),
    "control byte in a value": (GET + "X-A: \x1b[31m\r\n\r\n", 400),
    "name that is no token": (GET + "X A: a\r\n\r\n", 400),
    "name in UTF-8": (GET + "X-\xc3\xbc: a\r\n\r\n", 400),
    "line without a colon": (GET + "nonsense\r\n\r\n", 400),
    "no Host": ("GET /health HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (GET + "Host: y\r\n\r\n", 400),
    "two Authorizations": (GET + "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400),
    "two Ranges": (GET + "Range: bytes=0-0\r\nRange: bytes=1-1\r\n\r\n", 400),
    "two dates of a signature": (GET + "X-Amz-Date: 1\r\nx-amz-date: 2\r\n\r\n", 400),
    "two If-Match": (PUT + "If-Match: a\r\nIf-Match: b\r\nContent-Length: 0\r\n\r\n", 400),
    "two spaces": ("GET  /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "space in the address": ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", (0, 400)),
    "no version": ("GET /health\r\nHost: x\r\n\r\n", 400),
    "relative address": ("GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "fragment": ("GET /health#a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "raw UTF-8 in the address": ("GET /storage/\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "HTTP/2 preface": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    "HTTP/2.0": ("GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "HTTP/0.9": ("GET /health HTTP/0.9\r\nHost: x\r\n\r\n", (400, 505)),
    "TLS on a plain port": (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", (0, 400)),
    "chunk size not hex": (PUT + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", 400),
    "chunk size with a sign": (PUT + "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", 400),
    "chunk size with 0x": (PUT + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400),
    "empty chunk size": (PUT + "Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n", 400),
    "chunk size of 17 digits": (PUT + "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
                                (400, 413)),
    "chunk longer than its size": (PUT + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", 400),
}

# Answered, and the connection goes on.
ANSWERED = {
    "unknown method": ("BREW /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, "unsupported"),
    "method in small letters": ("get /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, "unsupported"),
    "wrong method": ("DELETE /health HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"),
    "body where none belongs": (GET + "Content-Length: 3\r\n\r\nabc", 413, "too_large"),
    "unknown query": ("GET /health?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid_request"),
}


class Refusals(TestCase):
    def test_every_doubtful_request_is_refused_and_closed(self):
        store = self.service("storaged")
        for name, (request, wanted) in REFUSED.items():
            with self.subTest(name), Wire(store.port) as wire:
                status, _, _ = wire.send(request).answer()
                self.assertIn(status, wanted if isinstance(wanted, tuple) else (wanted,))
                self.assertTrue(wire.ends())
        # Nothing came of any of them, and the service is well.
        self.assertEqual(store.get("/storage/victim").status, 404)
        self.assertEqual(store.get("/storage").json()["items"], [])

    def test_the_gateway_refuses_them_itself(self):
        stack = self.stack("storaged", "gateway")
        for name, (request, wanted) in REFUSED.items():
            if isinstance(request, str):
                request = request.replace("/storage/", "/v1/storage/")
            with self.subTest(name), Wire(stack.gateway.port) as wire:
                status, _, _ = wire.send(request).answer()
                self.assertIn(status, wanted if isinstance(wanted, tuple) else (wanted,))
                self.assertTrue(wire.ends())
        self.assertEqual(stack.storaged.get("/storage").json()["items"], [])

    def test_other_refusals_keep_the_connection(self):
        store = self.service("storaged")
        with Wire(store.port) as wire:
            for name, (request, wanted, code) in ANSWERED.items():
                with self.subTest(name):
                    status, headers, body = wire.send(request).answer()
                    self.assertEqual(status, wanted)
                    self.assertEqual(headers["content-type"], "application/problem+json")
                    self.assertEqual(json.loads(body)["code"], code)
                    self.assertEqual(json.loads(body)["request_id"], headers["x-request-id"])
            status, headers, _ = wire.send("DELETE /health HTTP/1.1\r\nHost: x\r\n\r\n").answer()
            self.assertEqual(headers["allow"], "GET, HEAD")
            status, _, body = wire.send("GET /storage?limt=1 HTTP/1.1\r\nHost: x\r\n\r\n").answer()
            self.assertIn("did you mean limit?", json.loads(body)["hint"])

    def test_an_unknown_path_keeps_the_connection(self):
        gateway = self.service("gateway")  # to storaged it is a bucket
        with Wire(gateway.port) as wire:
            status, _, body = wire.send("GET /nowhere/at/all HTTP/1.1\r\nHost: x\r\n\r\n").answer()
            self.assertEqual((status, json.loads(body)["code"]), (404, "route_not_found"))
            self.assertEqual(wire.send(GET + "\r\n").answer()[0], 200)

    def test_sizes(self):
        store = self.service("storaged", **{"http.target_bytes_max": 2048, "http.header_bytes_max": 4096,
                                            "http.header_count_max": 20})
        lines = [(f"X-{i}: v\r\n") for i in range(40)]
        cases = (
            ("/" + "a" * 2047, "", 404), ("/" + "a" * 2048, "", 414), ("/" + "a" * 50000, "", 414),
            ("/", "".join(lines[:18]), 200), ("/", "".join(lines[:25]), 431), ("/", "".join(lines) * 50, 431),
            ("/", "X: " + "v" * 3900 + "\r\n", 200), ("/", "X: " + "v" * 4200 + "\r\n", 431),
            ("/", "X: " + "v" * 60000 + "\r\n", 431),
        )
        for target, headers, wanted in cases:
            with self.subTest(target=len(target), headers=len(headers)), Wire(store.port) as wire:
                wire.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
                self.assertEqual(wire.answer()[0], wanted)
                self.assertEqual(wire.ends(2), wanted > 404)


class Bodies(TestCase):
    def assert_nothing_at_work(self, service):
        """The request that asks is the only one, soon."""
        deadline = time.monotonic() + WAIT
        while "lakehouse_http_requests_in_flight 1\n" not in service.get("/metrics").text:
            self.assertLess(time.monotonic(), deadline, "requests are still at work")
            time.sleep(0.05)

    def test_too_large_is_refused_before_it_is_read(self):
        store = self.service("storaged", **{"storaged.max_object_bytes": "1MiB"})
        with Wire(store.port) as wire:  # no 100-continue for a body that will be refused
            status, headers, _ = wire.send(PUT + "Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n").answer()
            self.assertEqual(status, 413)
            self.assertEqual(headers["connection"], "close")
        with Wire(store.port) as wire:  # a client that sends anyway still hears why
            wire.send(PUT + "Content-Length: 8388608\r\n\r\n")
            try:
                wire.send(b"x" * 8388608)
            except ConnectionError:
                self.fail("the connection was reset under the client")
            self.assertEqual(wire.answer()[0], 413)
        with Wire(store.port) as wire:
            wire.send(PUT + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + "x" * 0x200000 + "\r\n0\r\n\r\n")
            self.assertEqual(wire.answer()[0], 413)
        self.assertEqual(store.get("/storage").json()["items"], [])

    def test_continue_is_sent_when_the_body_is_wanted(self):
        store = self.service("storaged")
        with Wire(store.port) as wire:
            wire.send(PUT + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(wire.answer()[0], 100)
            self.assertEqual(wire.send("hello").answer()[0], 201)
        self.assertEqual(store.get("/storage/victim").body, b"hello")

    def test_a_body_that_ends_early_makes_no_object(self):
        store = self.service("storaged")
        for size in (10, 100000, 5000000):
            with Wire(store.port) as wire:
                wire.send(PUT + f"Content-Length: {size}\r\n\r\n" + "x" * (size // 2))
                wire.socket.shutdown(socket.SHUT_WR)
                self.assertIn(wire.answer()[0], (0, 400))
            with Wire(store.port) as wire:
                wire.send(PUT + f"Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n" + "x" * (size // 2))
        self.assert_nothing_at_work(store)
        self.assertEqual(store.get("/storage/victim").status, 404)

    def test_chunked_in_every_cut(self):
        """The same upload, cut into packets at every byte: always the same object."""
        store = self.service("storaged")
        upload = PUT + "Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n1\r\n \r\nA\r\nwide world\r\n0\r\nX: y\r\n\r\n"
        for cut in range(1, len(upload), 3):
            with Wire(store.port) as wire:
                wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wire.send(upload[:cut])
                time.sleep(0.001)
                status, _, _ = wire.send(upload[cut:]).answer()
                self.assertIn(status, (200, 201), f"cut at {cut}")
        self.assertEqual(store.get("/storage/victim").body, b"hello wide world")

    def test_pipelined(self):
        store = self.service("storaged")
        with Wire(store.port) as wire:
            for i in range(20):
                wire.send(f"PUT /storage/p{i} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{i:02}"
                          f"GET /storage/p{i} HTTP/1.1\r\nHost: x\r\n\r\n"
                          f"HEAD /storage/p{i} HTTP/1.1\r\nHost: x\r\n\r\n")
            for i in range(20):
                self.assertEqual(wire.answer()[0], 201)
                self.assertEqual(wire.answer()[2], f"{i:02}".encode())
                status, headers, _ = wire.answer(head=True)
                self.assertEqual((status, headers["content-length"]), (200, "2"))

    def test_head_and_get_agree(self):
        store = self.service("storaged")
        store.put("/storage/a", b"x" * 100000)
        with Wire(store.port) as wire:
            for target in ("/storage/a", "/health", "/storage", "/storage/none"):
                full = wire.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").answer()
                head = wire.send(f"HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n").answer(head=True)
                self.assertEqual(head[0], full[0], target)
                self.assertEqual(head[1]["content-type"], full[1]["content-type"], target)
                if "content-length" in full[1]:  # (an uptime may gain a digit)
                    self.assertAlmostEqual(int(head[1]["content-length"]), len(full[2]), delta=2)
            tag = store.get("/storage/a").headers["ETag"]
            wire.send(f"GET /storage/a HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n")
            status, headers, _ = wire.answer()
            self.assertEqual(status, 304)
            self.assertIn(headers.get("content-length", "100000"), ("100000", "0"))
            self.assertEqual(wire.send(GET + "\r\n").answer()[0], 200)


class Slow(TestCase):
    def test_slow_header_and_idle(self):
        store = self.service("storaged", **{"http.header_timeout": "500ms", "http.idle_timeout": "2s"})
        with Wire(store.port) as drip, Wire(store.port) as idle, Wire(store.port) as silent:
            self.assertEqual(idle.send(GET + "\r\n").answer()[0], 200)
            begun = time.monotonic()
            try:
                for byte in GET + "X-A: " + "a" * 1000:
                    drip.send(byte)
                    time.sleep(0.05)
                    if time.monotonic() - begun > 10 * SLOWDOWN:
                        break
            except ConnectionError:
                pass
            self.assertLess(time.monotonic() - begun, 9 * SLOWDOWN)
            self.assertTrue(silent.ends())
            self.assertTrue(idle.ends())

    def test_slow_body(self):
        store = self.service("storaged", **{"http.body_rate_window": "500ms", "http.body_rate_min": 2000})
        for size in (1000, 1000000):
            with self.subTest(size), Wire(store.port) as wire:
                wire.send(PUT + f"Content-Length: {size}\r\n\r\nab")
                status, headers, body = wire.answer()
                self.assertEqual(status, 408)
                self.assertEqual(json.loads(body)["code"], "request_timeout")
                self.assertTrue(wire.ends())
        self.assertEqual(store.get("/storage/victim").status, 404)

    def test_slow_reader_gets_everything(self):
        store = self.service("storaged")
        store.put("/storage/large", b"x" * 20_000_000)
        with Wire(store.port) as wire:
            wire.send("GET /storage/large HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(1)
            self.assertEqual(len(wire.answer()[2]), 20_000_000)


class Limits(TestCase):
    def test_too_many_connections(self):
        store = self.service("storaged", **{"http.connections_max": 5})
        wires = [Wire(store.port) for _ in range(8)]
        try:
            statuses = []
            for wire in wires:
                status, headers, _ = wire.send(GET + "\r\n").answer()
                statuses.append(status)
                if status == 503:
                    self.assertEqual(headers["retry-after"], "1")
                    self.assertTrue(wire.ends())
            # (The connection that saw the service ready may still count.)
            self.assertEqual(statuses[:4] + statuses[5:], [200] * 4 + [503] * 3)
        finally:
            for wire in wires:
                wire.socket.close()
        deadline = time.monotonic() + WAIT
        status = 0
        while status != 200 and time.monotonic() < deadline:
            status = store.get("/health").status
        self.assertEqual(status, 200)

    def test_too_many_of_one_address(self):
        store = self.service("storaged", **{"http.connections_per_ip_max": 3})
        with Wire(store.port) as a, Wire(store.port) as b, Wire(store.port) as c, Wire(store.port) as d:
            statuses = [wire.send(GET + "\r\n").answer()[0] for wire in (a, b, c, d)]
        # (The connection that saw the service ready may still count.)
        self.assertEqual(statuses[:2] + statuses[3:], [200, 200, 503])

    def test_overload_is_shed_at_once(self):
        """Uploads that stay half-way hold all workers; the next request that needs one hears 503 and not silence. What
        needs none is answered."""
        store = self.service("storaged", **{"http.workers_max": 2, "http.queue_max": 0})
        with Wire(store.port) as a, Wire(store.port) as b:
            for number, wire in enumerate((a, b)):
                wire.send(f"PUT /storage/held{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
                          "Expect: 100-continue\r\n\r\n")
                self.assertEqual(wire.answer()[0], 100)
            begun = time.monotonic()
            shed = store.get("/storage?limit=1")
            self.assertProblem(shed, 503, "busy")
            self.assertEqual(shed.headers["Retry-After"], "1")
            self.assertLess(time.monotonic() - begun, 2 * SLOWDOWN)
            self.assertEqual(store.get("/livez").status, 200)
            self.assertEqual(store.put("/storage/small", b"x").status, 201)
            for wire in (a, b):
                self.assertEqual(wire.send(b"x" * 1000000).answer()[0], 201)
        self.assertEqual(store.get("/storage/held0").status, 200)


class Identity(TestCase):
    def test_request_ids(self):
        store = self.service("storaged")
        given = store.get("/storage/none", headers={"X-Request-Id": "abc-123"})
        self.assertEqual(given.headers["X-Request-Id"], "abc-123")
        self.assertEqual(given.json()["request_id"], "abc-123")
        for bad in ("a b", "a_b", "x" * 65, '"', "a;b"):
            made = store.get("/health", headers={"X-Request-Id": bad}).headers["X-Request-Id"]
            self.assertRegex(made, r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        ids = set(sum(in_threads(4, lambda _: [store.get("/livez").headers["X-Request-Id"]
                                               for _ in range(50)]), []))
        self.assertEqual(len(ids), 200)
        self.assertTrue(any(line.get("request_id") == "abc-123" for line in store.log()))

    def test_headers_come_back_clean(self):
        store = self.service("storaged")
        with Wire(store.port) as wire:
            _, headers, _ = wire.send(GET + "\r\n").answer()
        self.assertIn("date", headers)
        self.assertNotIn("server", headers)
        self.assertEqual(headers["content-type"], "application/json")


if __name__ == "__main__":
    main()
