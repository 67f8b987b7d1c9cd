"""The gateway in front of peers that are refused, late, slow, cut short or not HTTP at all."""

import base64
import hashlib
import http.client
import re
import socket
import time

from support.lakehouse import PORTS, SLOWDOWN, TestCase, in_threads, main
from support.slowpeer import (SlowPeer, answer, cut, delay, flood, in_turn, silence, trickle,
                              wait_until)

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


class GatewayTest(TestCase):
    def peer(self, behaviour, **more):
        peer = SlowPeer(behaviour, **more)
        self.addCleanup(peer.close)
        return peer

    def gateway(self, peer=None, **settings):
        """A gateway whose services are all the one peer, or nobody."""
        url = peer.url if peer else f"http://127.0.0.1:{PORTS.take()}"
        names = ("storaged", "catalogd", "ingestd", "queryd", "vectord")
        return self.service("gateway", {name: url for name in names}, **settings)

    def raw(self, gateway, data, seconds=10):
        """Everything that comes back until the gateway closes or is silent."""
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            connection.sendall(data)
            connection.settimeout(seconds * SLOWDOWN)
            received = b""
            try:
                while True:
                    more = connection.recv(65536)
                    if not more:
                        return received, True
                    received += more
            except TimeoutError:
                return received, False


class OtherSites(TestCase):
    def test_pages_of_other_sites_change_nothing(self):
        stack = self.stack("storaged", "gateway")
        cross = {"Sec-Fetch-Site": "cross-site"}
        for method, path in (("PUT", "/v1/storage/a"), ("POST", "/v1/sql"), ("DELETE", "/v1/storage/a")):
            body = b"1" if method != "DELETE" else None
            self.assertProblem(stack.gateway.request(method, path, body, cross), 403, "forbidden")
        self.assertEqual(stack.gateway.get("/v1/storage", cross).status, 200)
        for site in ("same-origin", "same-site", "none"):
            answer = stack.gateway.put("/v1/storage/a", b"1", {"Sec-Fetch-Site": site})
            self.assertIn(answer.status, (200, 201), answer)


class Passing(GatewayTest):
    """A request and an answer that are well."""

    def test_routes(self):
        peer = self.peer(answer(OK))
        gateway = self.gateway(peer)
        for method, path, arrives in (
                ("POST", "/v1/ingest?dataset=a&mode=create", "/ingest?dataset=a&mode=create"),
                ("GET", "/v1/ingest", "/ingest"), ("POST", "/v1/sql", "/sql"),
                ("GET", "/v1/sql", "/sql"), ("DELETE", "/v1/sql/0192-a", "/sql/0192-a"),
                ("GET", "/v1/catalog/datasets?limit=2", "/catalog/datasets?limit=2"),
                ("DELETE", "/v1/catalog/datasets/a?purge=", "/catalog/datasets/a?purge="),
                ("GET", "/v1/storage?prefix=a%2F", "/storage?prefix=a%2F"),
                ("PUT", "/v1/storage/a/b", "/storage/a/b"),
                ("GET", "/v1/vectors", "/vectors"), ("POST", "/v1/vectors", "/vectors"),
                ("POST", "/v1/vectors/a/search", "/vectors/a/search")):
            with self.subTest(method=method, path=path):
                response = gateway.request(method, path, b"x" if method in ("PUT", "POST") else None)
                self.assertEqual((response.status, response.body), (200, b"hello"))
                self.assertEqual(peer.requests[-1].line, f"{method} {arrives} HTTP/1.1")

    def test_target_goes_byte_for_byte(self):
        peer = self.peer(answer(OK))
        gateway = self.gateway(peer)
        for target in ("a%2Fb", "a/../b", "./a", "a//b/", "%2e%2e%2Fa", "a;b=c", "%E2%82%AC", "a%20b",
                       "a?x=%41&y&z=a+b", "a?x=?y=/", "!$&'()*,:@", "a%00b"):
            with self.subTest(target=target):
                gateway.get("/v1/storage/" + target)
                self.assertEqual(peer.requests[-1].line, f"GET /storage/{target} HTTP/1.1")

    def test_request_headers_are_made_anew(self):
        peer = self.peer(answer(OK))
        gateway = self.gateway(peer)
        gateway.get("/v1/storage/a", {
            "Connection": "keep-alive, X-Secret", "X-Secret": "1", "Keep-Alive": "timeout=5",
            "TE": "trailers", "Upgrade": "h2c", "Proxy-Authorization": "Basic eA==",
            "Proxy-Connection": "keep-alive", "X-Forwarded-For": "1.2.3.4",
            "X-Forwarded-Host": "evil", "Forwarded": "for=1.2.3.4", "X-Real-IP": "1.2.3.4",
            "Authorization": "Bearer abc", "If-None-Match": '"e"', "Range": "bytes=0-1",
            "X-Custom": "kept", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
        request = peer.requests[-1]
        for dropped in ("X-Secret", "Keep-Alive", "TE", "Upgrade", "Proxy-Authorization", "Connection",
                        "Proxy-Connection", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "Expect"):
            self.assertIsNone(request.header(dropped), dropped)
        self.assertEqual(request.header("X-Forwarded-For"), "127.0.0.1")
        self.assertEqual(request.header("Authorization"), "Bearer abc")
        self.assertEqual(request.header("If-None-Match"), '"e"')
        self.assertEqual(request.header("Range"), "bytes=0-1")
        self.assertEqual(request.header("X-Custom"), "kept")
        self.assertEqual(request.header("Host"), f"127.0.0.1:{gateway.port}")
        self.assertTrue(request.header("traceparent").startswith("00-0af7651916cd43dd8448eb211c80319c-"))

    def test_answer_headers_are_made_anew(self):
        peer = self.peer(answer(
            b"HTTP/1.1 201 Created\r\nConnection: X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=9\r\n"
            b"Server: inner\r\nETag: \"e\"\r\nLocation: /storage/a\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            b"Content-Type: text/x; charset=utf-8\r\nContent-Length: 2\r\n\r\nok"))
        response = self.gateway(peer).put("/v1/storage/a", b"x")
        self.assertEqual((response.status, response.body), (201, b"ok"))
        for dropped in ("X-Inner", "Keep-Alive", "Server"):
            self.assertNotIn(dropped, response.headers)
        self.assertEqual(response.headers["ETag"], '"e"')
        self.assertEqual(response.headers["Content-Type"], "text/x; charset=utf-8")
        self.assertEqual(response.headers.get_all("Set-Cookie"), ["a=1", "b=2"])
        self.assertEqual(len(response.headers.get_all("Date")), 1)

    def test_request_id(self):
        peer = self.peer(answer(OK))
        gateway = self.gateway(peer)
        response = gateway.get("/v1/storage/a", {"X-Request-Id": "my-id-1"})
        self.assertEqual(response.headers["X-Request-Id"], "my-id-1")
        self.assertEqual(peer.requests[-1].header("X-Request-Id"), "my-id-1")
        response = gateway.get("/v1/storage/a", {"X-Request-Id": "not valid!"})
        made = response.headers["X-Request-Id"]
        self.assertRegex(made, r"^[0-9a-f-]{36}$")
        self.assertEqual(peer.requests[-1].header("X-Request-Id"), made)

    def test_head_keeps_the_length(self):
        peer = self.peer(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 123456\r\nETag: \"e\"\r\n\r\n"))
        response = self.gateway(peer).head("/v1/storage/a")
        self.assertEqual((response.status, response.body), (200, b""))
        self.assertEqual(response.headers["Content-Length"], "123456")
        self.assertEqual(peer.requests[-1].line, "HEAD /storage/a HTTP/1.1")

    def test_answers_without_a_body(self):
        peer = self.peer(in_turn(answer(EMPTY), answer(b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n"),
                                 answer(OK)))
        gateway = self.gateway(peer)
        self.assertEqual(gateway.delete("/v1/storage/a").status, 204)
        response = gateway.get("/v1/storage/a")
        self.assertEqual((response.status, response.headers["ETag"]), (304, '"e"'))
        self.assertEqual(gateway.get("/v1/storage/a").body, b"hello")
        self.assertEqual(peer.connections, 1)

    def test_bodies_both_ways(self):
        body = self.random.randbytes(3_000_000)
        peer = self.peer(lambda peer, connection, request: connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body) or True)
        gateway = self.gateway(peer)
        self.assertEqual(gateway.put("/v1/storage/a", body).body, body)
        self.assertEqual(peer.requests[-1].header("Content-Length"), str(len(body)))
        self.assertEqual(peer.requests[-1].header("Expect"), "100-continue")
        gateway.put("/v1/storage/a", body[:1000])
        self.assertIsNone(peer.requests[-1].header("Expect"))

    def test_chunked_both_ways(self):
        peer = self.peer(answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"))
        response = self.gateway(peer).put("/v1/storage/a", iter([b"ab", b"c" * 70000]))
        self.assertEqual(response.body, b"hello world")
        self.assertNotIn("X-Trailer", response.headers)
        self.assertEqual(peer.requests[-1].header("Transfer-Encoding"), "chunked")

    def test_large_bodies_in_constant_memory(self):
        size = 200 << 20
        peer = self.peer(flood(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, size))
        gateway = self.gateway(peer)
        before = gateway.rss()
        self.assertEqual(len(gateway.get("/v1/storage/a").body), size)
        if SLOWDOWN == 1:
            self.assertLess(gateway.rss() - before, 8 << 20)

    def test_connections_are_kept(self):
        peer = self.peer(answer(OK))
        gateway = self.gateway(peer)
        for _ in range(20):
            gateway.get("/v1/storage/a")
        self.assertEqual(peer.connections, 1)

    def test_answer_is_passed_as_it_comes(self):
        peer = self.peer(silence(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 30000))
        gateway = self.gateway(peer)
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            connection.sendall(b"GET /v1/storage/a HTTP/1.1\r\nHost: a\r\n\r\n")
            connection.settimeout(10)
            received = b""
            while received.count(b"x") < 30000:
                received += connection.recv(65536)

    def test_slow_answer_arrives_whole(self):
        peer = self.peer(trickle(OK, 0.005))
        self.assertEqual(self.gateway(peer).get("/v1/storage/a").body, b"hello")


class Failing(GatewayTest):
    """502, 503, 504 are told apart; what broke looks broken."""

    def test_refused_is_502(self):
        response = self.gateway().get("/v1/storage/a")
        problem = self.assertProblem(response, 502, "bad_upstream")
        self.assertNotIn("127.0.0.1", response.text)
        self.assertIn("request_id", problem)

    def test_garbage_is_502(self):
        for data in (b"SSH-2.0-OpenSSH\r\n", b"\x00\x01\x02\x03" * 10, b"HTTP/1.1 999 What\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b""):
            with self.subTest(data=data):
                self.assertProblem(self.gateway(self.peer(cut(data))).get("/v1/storage/a"), 502,
                                   "bad_upstream")

    def test_503_is_passed_through(self):
        body = b'{"code":"not_ready","status":503}'
        peer = self.peer(answer(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n"
                                b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n"
                                % len(body) + body))
        response = self.gateway(peer).get("/v1/storage/a")
        self.assertEqual((response.status, response.body), (503, body))
        self.assertEqual(response.headers["Retry-After"], "7")
        self.assertEqual(response.headers["Content-Type"], "application/problem+json")

    def test_no_first_byte_is_504(self):
        gateway = self.gateway(self.peer(silence()), **{"gateway.first_byte_timeout": "200ms"})
        start = time.monotonic()
        self.assertProblem(gateway.get("/v1/storage/a"), 504, "deadline_exceeded")
        self.assertLess(time.monotonic() - start, 2 * SLOWDOWN)
        self.assertProblem(gateway.post("/v1/sql", b"SELECT 1"), 504, "deadline_exceeded")

    def test_late_first_byte_is_fine(self):
        gateway = self.gateway(self.peer(delay(0.3, OK)), **{"gateway.first_byte_timeout": "10s"})
        self.assertEqual(gateway.get("/v1/storage/a").status, 200)

    def test_whole_deadline_cuts_a_slow_answer(self):
        peer = self.peer(silence(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000))
        gateway = self.gateway(peer, **{"gateway.timeout": "1s"})
        with self.assertRaises(http.client.IncompleteRead):
            gateway.get("/v1/storage/a")
        self.assertTrue(peer.closed_by_client.wait(5))

    def test_broken_answer_breaks_the_connection(self):
        for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100000,
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + b"x" * 100000 + b"\r\n"):
            with self.subTest(data=data[:50]):
                with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
                    self.gateway(self.peer(cut(data))).get("/v1/storage/a")

    def test_small_broken_answer_is_never_a_short_success(self):
        peer = self.peer(cut(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
        self.assertProblem(self.gateway(peer).get("/v1/storage/a"), 502, "bad_upstream")

    def test_early_refusal_is_passed_on(self):
        refusal = (b"HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n"
                   b"Connection: close\r\n\r\ntoo big")
        peer = self.peer(cut(refusal), read_body=False)
        response = self.gateway(peer).put("/v1/storage/a", b"x" * 5_000_000)
        self.assertEqual((response.status, response.body), (413, b"too big"))

    def test_post_is_never_repeated(self):
        peer = self.peer(in_turn(answer(OK), cut(b""), cut(b""), answer(OK)))
        gateway = self.gateway(peer)
        self.assertEqual(gateway.get("/v1/sql").status, 200)
        self.assertProblem(gateway.post("/v1/sql", b"SELECT 1"), 502, "bad_upstream")
        self.assertEqual(len(peer.requests), 2)

    def test_get_survives_a_connection_that_died(self):
        peer = self.peer(in_turn(answer(OK), cut(b""), answer(OK)))
        gateway = self.gateway(peer)
        self.assertEqual(gateway.get("/v1/storage/a").status, 200)
        self.assertEqual(gateway.get("/v1/storage/a").status, 200)

    def test_service_that_comes_back(self):
        port = PORTS.take()
        gateway = self.service("gateway", {"storaged": f"http://127.0.0.1:{port}"})
        self.assertEqual(gateway.get("/v1/storage/a").status, 502)
        peer = self.peer(answer(OK))
        gateway.restart(**{"gateway.storaged_url": peer.url})
        self.assertEqual(gateway.get("/v1/storage/a").status, 200)


class Leaving(GatewayTest):
    """A client that goes away ends the work behind the gateway, too."""

    def leave(self, gateway, data):
        connection = socket.create_connection(("127.0.0.1", gateway.port))
        connection.sendall(data)
        return connection

    def test_while_the_service_is_silent(self):
        peer = self.peer(silence())
        gateway = self.gateway(peer)
        connection = self.leave(gateway, b"GET /v1/storage/a HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(wait_until(lambda: peer.requests))
        connection.close()
        self.assertTrue(peer.closed_by_client.wait(3 * SLOWDOWN))

    def test_amid_an_answer(self):
        peer = self.peer(flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", 10**9))
        gateway = self.gateway(peer)
        connection = self.leave(gateway, b"GET /v1/storage/a HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.recv(1000)
        connection.close()
        self.assertTrue(peer.closed_by_client.wait(5 * SLOWDOWN))

    def test_amid_its_own_body(self):
        peer = self.peer(answer(OK))
        gateway = self.gateway(peer)
        connection = self.leave(gateway, b"PUT /v1/storage/a HTTP/1.1\r\nHost: a\r\n"
                                         b"Content-Length: 1000000\r\n\r\n" + b"x" * 200000)
        time.sleep(0.2)
        connection.close()
        self.assertTrue(peer.closed_by_client.wait(5 * SLOWDOWN))
        self.assertFalse(any(request.complete for request in peer.requests))


class Refusing(GatewayTest):
    """What never reaches a service."""

    def test_requests_that_two_parsers_may_read_differently(self):
        peer = self.peer(answer(OK))
        gateway = self.gateway(peer)
        tail = b"\r\n\r\n0\r\n\r\nGET /v1/storage/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        for lines in (b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Content-Length: 5\r\nContent-Length: 6",
                      b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: +5", b"Content-Length: 5,5",
                      b"Content-Length : 5", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: gzip, chunked",
                      b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Host: b",
                      b"Transfer-Encoding:\x0bchunked", b"X-A: b\x00c"):
            with self.subTest(lines=lines):
                received, closed = self.raw(
                    gateway, b"PUT /v1/storage/a HTTP/1.1\r\nHost: a\r\n" + lines + tail)
                self.assertTrue(closed, received)
                # The library's own refusals come with their header twice; none is ever a success.
                self.assertEqual(set(re.findall(rb"HTTP/1\.1 (\d+) ", received)), {b"400"})
        self.assertEqual(peer.requests, [])

    def test_paths_and_methods(self):
        peer = self.peer(answer(OK))
        gateway = self.gateway(peer)
        for path in ("/v1", "/v1/", "/v2/sql", "/storage/a", "/v1/storaged", "/v1/sql/a/b", "/v1/storage%2Fa"):
            self.assertProblem(gateway.get(path), 404, "route_not_found")
        response = gateway.put("/v1/sql", b"x")
        self.assertProblem(response, 405, "method_not_allowed")
        self.assertIn("POST", response.headers["Allow"])
        self.assertEqual(peer.requests, [])

    def test_locate_is_not_for_the_outside(self):
        peer = self.peer(answer(OK))
        gateway = self.gateway(peer)
        for query in ("?locate", "?locate=", "?locate=1", "?a=b&locate", "?%6Cocate", "?loc%61te=x"):
            self.assertProblem(gateway.get("/v1/storage/a" + query), 403, "forbidden")
            self.assertProblem(gateway.get("/v1/storage" + query), 403, "forbidden")
        self.assertEqual(peer.requests, [])

    def test_limits(self):
        gateway = self.gateway(self.peer(answer(OK)))
        self.assertEqual(gateway.get("/v1/storage/" + "a" * 9000).status, 414)
        self.assertEqual(gateway.get("/v1/storage/a", {"X-Long": "x" * 17000}).status, 431)
        self.assertEqual(gateway.get("/v1/storage/a", {f"X-{i}": "y" for i in range(120)}).status, 431)

    def test_overload_is_503_at_once(self):
        peer = self.peer(silence())
        gateway = self.gateway(peer, **{"http.workers_max": 2, "http.queue_max": 1,
                                        "gateway.first_byte_timeout": "3s"})
        start = time.monotonic()

        def ask(_):
            response = gateway.get("/v1/storage/a")
            return response.status, response.headers["Retry-After"], time.monotonic() - start

        answers = in_threads(12, ask)
        shed = [(status, retry, at) for status, retry, at in answers if status == 503]
        self.assertGreaterEqual(len(shed), 8, answers)
        for _, retry, at in shed:
            self.assertIsNotNone(retry)
            self.assertLess(at, 2 * SLOWDOWN)


class Own(GatewayTest):
    """What the gateway answers itself."""

    def test_console(self):
        gateway = self.gateway()
        response = gateway.get("/")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertIn("<title>Lakehouse</title>", response.text)
        policy = response.headers["Content-Security-Policy"]
        scripts = re.findall(r"<script>(.*?)</script>", response.text, re.S)
        self.assertTrue(scripts)
        for script in scripts:
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            self.assertIn(f"'sha256-{digest}'", policy)
        again = gateway.get("/", {"If-None-Match": response.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))

    def test_health_of_all_has_a_deadline(self):
        gateway = self.gateway(self.peer(silence()))
        start = time.monotonic()
        health = gateway.get("/v1/health").json()
        self.assertLess(time.monotonic() - start, 3 * SLOWDOWN)
        self.assertEqual(health["status"], "degraded")
        self.assertEqual([service["service"] for service in health["services"]],
                         ["gateway", "storaged", "catalogd", "ingestd", "queryd", "vectord"])
        self.assertEqual({service["status"] for service in health["services"][1:]}, {"unreachable"})

    def test_health_of_services_that_answer_nonsense(self):
        for data in (OK, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
                     b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"status\":1}"):
            health = self.gateway(self.peer(answer(data))).get("/v1/health").json()
            self.assertEqual({service["status"] for service in health["services"][1:]}, {"unreachable"})

    def test_openapi(self):
        document = self.gateway().get("/openapi.json").json()
        for path in ("/v1/ingest", "/v1/sql", "/v1/storage/{key}", "/v1/vectors", "/v1/health", "/health"):
            self.assertIn(path, document["paths"])


if __name__ == "__main__":
    main()
