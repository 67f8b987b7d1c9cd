"""The whole way through the gateway, with nothing else."""

import hashlib
import http.client
import json
import socket
import time

from support.journey import Journey, people_csv, sql
from support.lakehouse import SLOWDOWN, TestCase, in_threads, main, shared


class Whole(TestCase):
    def setUp(self):
        super().setUp()
        self.all = self.stack()
        self.gateway = self.all.gateway

    def test_journey(self):
        Journey(self, self.gateway).all()
        self.assertEqual(set(self.all.stop().values()), {0})

    def test_request_id_goes_through_to_the_last_log(self):
        self.gateway.put("/v1/storage/a", b"x", {"X-Request-Id": "follow-me-1"})
        response = self.gateway.get("/v1/storage/none", {"X-Request-Id": "follow-me-2"})
        self.assertEqual(response.json()["request_id"], "follow-me-2")
        self.assertEqual(response.headers["X-Request-Id"], "follow-me-2")

    def test_formats_of_sql(self):
        self.gateway.post("/v1/ingest?dataset=few", b"a,b\n1,x\n2,y\n", {"Content-Type": "text/csv"})
        text = "SELECT a, b FROM few ORDER BY a"
        response = self.gateway.post("/v1/sql", {"sql": text}, {"Accept": "text/csv"})
        self.assertEqual(response.text.splitlines(), ["a,b", "1,x", "2,y"])
        response = self.gateway.post("/v1/sql?format=ndjson", {"sql": text})
        self.assertEqual([json.loads(line) for line in response.text.splitlines()],
                         [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
        response = self.gateway.post("/v1/sql", text, {"Content-Type": "text/plain"})
        self.assertEqual(response.json()["rows"], [[1, "x"], [2, "y"]])

    def test_multipart(self):
        body = (b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nform\r\n'
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n'
                b"Content-Type: text/csv\r\n\r\n" + people_csv(0, 100) + b"\r\n--b--\r\n")
        response = self.gateway.post("/v1/ingest", body, {"Content-Type": "multipart/form-data; boundary=b"})
        self.assertEqual((response.status, response.json()["dataset"]), (201, "form"), response)
        self.assertEqual(sql(self.gateway, "SELECT count(*) FROM form"), [[100]])

    def test_a_query_sees_the_ingest_before_it(self):
        for number in range(20):
            response = self.gateway.post("/v1/ingest?dataset=log&mode=append", b"n\n%d\n" % number,
                                         {"Content-Type": "text/csv"})
            self.assertIn(response.status, (200, 201), response)
            self.assertEqual(sql(self.gateway, "SELECT count(*), max(n) FROM log"), [[number + 1, number]])

    def test_many_at_once(self):
        self.gateway.post("/v1/ingest?dataset=people", people_csv(0, 1000), {"Content-Type": "text/csv"})

        def work(index):
            body = hashlib.sha256(b"%d" % index).digest() * 1000
            self.assertEqual(self.gateway.put(f"/v1/storage/many/{index}", body).status, 201)
            self.assertEqual(sql(self.gateway, f"SELECT count(*) + {index} FROM people"), [[1000 + index]])
            self.assertEqual(self.gateway.get(f"/v1/storage/many/{index}").body, body)

        in_threads(16, work)

    def test_an_object_in_constant_memory(self):
        size, block = 256 << 20, self.random.randbytes(1 << 20)
        before = self.gateway.rss()
        response = self.gateway.put("/v1/storage/large", (block for _ in range(size >> 20)))
        self.assertEqual((response.status, response.json()["size"]), (201, size), response)
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=60 * SLOWDOWN)
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/storage/large")
        answer, got = connection.getresponse(), hashlib.sha256()
        while part := answer.read(1 << 20):
            got.update(part)
        wanted = hashlib.sha256()
        for _ in range(size >> 20):
            wanted.update(block)
        self.assertEqual(got.hexdigest(), wanted.hexdigest())
        if SLOWDOWN == 1:
            self.assertLess(self.gateway.rss() - before, 8 << 20)

    def test_a_client_that_leaves_cancels_its_query(self):
        text = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
        body = json.dumps({"sql": text}).encode()
        with socket.create_connection(("127.0.0.1", self.gateway.port)) as connection:
            connection.sendall(b"POST /v1/sql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                               b"Content-Length: %d\r\n\r\n" % len(body) + body)
            deadline = time.monotonic() + 10 * SLOWDOWN
            while not self.gateway.get("/v1/sql").json()["items"] and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertTrue(self.gateway.get("/v1/sql").json()["items"])
        deadline = time.monotonic() + 10 * SLOWDOWN
        while self.gateway.get("/v1/sql").json()["items"] and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(self.gateway.get("/v1/sql").json()["items"], [])

    def test_real_files(self):
        for name, dataset in (("congress", "congress"), ("raptor", "raptor")):
            path = shared(f"csv/{name}.csv")
            response = self.gateway.post(f"/v1/ingest?dataset={dataset}", path.read_bytes(),
                                         {"Content-Type": "text/csv"})
            self.assertEqual(response.status, 201, response)
            self.assertEqual(sql(self.gateway, f"SELECT count(*) FROM {dataset}"),
                             [[response.json()["rows"]]])

    def test_health_tells_who_is_missing(self):
        self.assertEqual(self.gateway.get("/v1/health").json()["status"], "ok")
        self.all.vectord.kill()
        health = self.gateway.get("/v1/health").json()
        self.assertEqual(health["status"], "degraded")
        states = {service["service"]: service["status"] for service in health["services"]}
        self.assertEqual(states["vectord"], "unreachable")
        self.assertEqual(states["storaged"], "ok")
        self.assertProblem(self.gateway.get("/v1/vectors"), 502, "bad_upstream")
        self.all.vectord.restart()
        self.assertEqual(self.gateway.get("/v1/vectors").status, 200)


if __name__ == "__main__":
    main()
