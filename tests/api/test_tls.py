#!/usr/bin/env python3
"""TLS: what works on a plain door works on this one (the tests of test_http.py, again); versions, wrong protocols,
exchanging the certificate under load, services that talk by https."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

import support.lakehouse as support
from support.lakehouse import BIN, PORTS, SLOWDOWN, TestCase, in_threads, main, sanitizer_environment

import test_http

MIB = 1 << 20


def make_certificate(folder, name="localhost"):
    """A certificate that signs itself, and its key: paths."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-keyout", key, "-out", certificate, "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return certificate, key


class TlsTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.certificate, self.key = make_certificate(self.folder)
        support.TLS = ssl.create_default_context(cafile=self.certificate)
        self.addCleanup(setattr, support, "TLS", None)
        self.settings = {"http.tls_certificate": self.certificate, "http.tls_key": self.key,
                         "http.tls_ca": self.certificate}

    def service(self, name, urls=None, **settings):
        return super().service(name, urls, **{**self.settings, **settings})

    def stack(self, *names, **settings):
        return super().stack(*names, **{**self.settings, **settings})

    def lakehouse(self, **settings):
        return super().lakehouse(**{**self.settings, **settings})

    def connect(self, store, context=None):
        plain = socket.create_connection(("127.0.0.1", store.port), timeout=20 * SLOWDOWN)
        try:
            return (context or support.TLS).wrap_socket(plain, server_hostname="127.0.0.1")
        except BaseException:
            plain.close()
            raise


class TlsWire(test_http.Wire):
    def __init__(self, port):
        super().__init__(port)
        self.socket = support.TLS.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def send(self, data):
        try:
            return super().send(data)
        except ssl.SSLEOFError as error:
            raise ConnectionResetError from error

    def _more(self):
        try:
            return super()._more()
        except ssl.SSLError:  # cut without a word, as a plain connection would be reset
            return False


class WireTestCase(TlsTestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(setattr, test_http, "Wire", test_http.Wire)
        test_http.Wire = TlsWire


class Refusals(WireTestCase, test_http.Refusals):
    pass


class Bodies(WireTestCase, test_http.Bodies):
    test_a_body_that_ends_early_makes_no_object = None  # Python's TLS cannot close one direction; see Cut below


class Slow(WireTestCase, test_http.Slow):
    pass


class Doors(TlsTestCase):
    def test_versions(self):
        store = self.service("storaged")
        with self.connect(store) as connection:
            self.assertEqual(connection.version(), "TLSv1.3")
        context = ssl.create_default_context(cafile=self.certificate)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with self.connect(store, context) as connection:
            self.assertEqual(connection.version(), "TLSv1.2")
        context = ssl.create_default_context(cafile=self.certificate)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.connect(store, context).close()

    def test_plain_http_is_closed_without_an_answer(self):
        store = self.service("storaged")
        for sent in (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n" * 1000, b"\x16\x03\x01\xff\xff" + b"x" * 9000):
            with socket.create_connection(("127.0.0.1", store.port), timeout=20 * SLOWDOWN) as plain:
                plain.sendall(sent)
                answer = b""
                try:
                    while more := plain.recv(4096):
                        answer += more
                except ConnectionResetError:
                    pass
                self.assertNotIn(b"HTTP/1.1", answer)
        self.assertEqual(store.get("/health").status, 200)

    def test_tls_on_a_plain_door(self):
        store = self.service("storaged", **{"http.tls_certificate": self.certificate})
        context, support.TLS = support.TLS, None
        plain = TestCase.service(self, "storaged")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.connect(plain, context).close()
        self.assertEqual(plain.get("/health").status, 200)
        support.TLS = context
        self.assertEqual(store.get("/health").status, 200)

    def test_a_handshake_that_does_not_end(self):
        store = self.service("storaged", **{"http.header_timeout": "500ms"})
        with socket.create_connection(("127.0.0.1", store.port), timeout=20 * SLOWDOWN) as silent, \
                socket.create_connection(("127.0.0.1", store.port), timeout=20 * SLOWDOWN) as half:
            half.sendall(b"\x16\x03\x01\x02\x00\x01")
            self.assertEqual(store.get("/health").status, 200)  # nobody waits for them
            self.assertEqual(silent.recv(1), b"")
            half.recv(100)  # an alert, perhaps

    def test_cut(self):
        """A client that goes away in the middle of a body leaves nothing behind."""
        store = self.service("storaged")
        for size in (10, 100000, 5000000):
            with self.connect(store) as connection:
                connection.sendall(b"PUT /storage/victim HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
                                   + b"x" * (size // 2))
        deadline = time.monotonic() + 20 * SLOWDOWN
        while "lakehouse_http_requests_in_flight 1\n" not in store.get("/metrics").text:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertEqual(store.get("/storage/victim").status, 404)

    def test_many_at_once_with_large_bodies(self):
        store = self.service("storaged")

        def work(i):
            body = bytes([i]) * (MIB * (1 + i % 3) + i)
            for round_number in range(3):
                self.assertIn(store.put(f"/storage/{i}", body).status, (200, 201))
                self.assertEqual(store.get(f"/storage/{i}").body, body)
                part = store.get(f"/storage/{i}", {"Range": "bytes=1000-1999"})
                self.assertEqual((part.status, part.body), (206, body[1000:2000]))

        in_threads(8, work)

    def test_wrong_files(self):
        other_certificate, other_key = make_certificate(self.folder, "other")
        broken = self.folder / "broken.pem"
        broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        for certificate, key in ((self.certificate, other_key), (broken, self.key), (self.certificate, broken),
                                 ("/nowhere.pem", self.key), (self.certificate, "/nowhere.key"),
                                 (self.certificate, None), (None, self.key)):
            config = self.folder / "wrong.toml"
            lines = [f"data_dir = \"{self.folder}/wrong\"", "[storaged]", f"listen = \"127.0.0.1:{PORTS.take()}\"",
                     "[http]"]
            lines += [f"tls_certificate = \"{certificate}\""] if certificate else []
            lines += [f"tls_key = \"{key}\""] if key else []
            config.write_text("\n".join(lines) + "\n")
            done = subprocess.run([BIN / "storaged", "-config", config], capture_output=True, text=True,
                                  timeout=30 * SLOWDOWN, env=sanitizer_environment())
            self.assertEqual(done.returncode, 2, (certificate, key, done.stderr))


class Reload(TlsTestCase):
    def serial(self, store):
        """The certificate that a new connection is shown."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with self.connect(store, context) as connection:
            return connection.getpeercert(binary_form=True)

    def replace(self, certificate, key):
        os.replace(certificate, self.certificate)
        os.replace(key, self.key)

    def test_open_connections_stay(self):
        store = self.service("storaged")
        first = self.serial(store)
        kept = http.client.HTTPSConnection("127.0.0.1", store.port, context=support.TLS)
        kept.request("GET", "/health")
        self.assertEqual(kept.getresponse().read()[:1], b"{")
        self.replace(*make_certificate(self.folder, "second"))
        store.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20 * SLOWDOWN
        while self.serial(store) == first:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        kept.request("GET", "/health")
        self.assertEqual(kept.getresponse().status, 200)
        kept.close()
        second = self.serial(store)
        self.key.write_text("no key")
        store.process.send_signal(signal.SIGHUP)
        while "the certificate stays as it was" not in store.log_text():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertEqual(self.serial(store), second)

    def test_under_load(self):
        store = self.service("storaged")
        stop = threading.Event()

        def connect_often(_):
            while not stop.is_set():
                self.assertTrue(self.serial(store))

        def reload_often():
            for _ in range(20):
                store.process.send_signal(signal.SIGHUP)
                time.sleep(0.03)
            stop.set()

        turner = threading.Thread(target=reload_often)
        turner.start()
        in_threads(4, connect_often)
        turner.join()
        self.assertIn("certificate loaded again", store.log_text())


class Whole(TlsTestCase):
    def test_services_talk_by_tls(self):
        whole = self.lakehouse()
        answer = whole.post("/v1/ingest?dataset=numbers", b"a,b\n1,2\n3,4\n", {"Content-Type": "text/csv"})
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(whole.post("/v1/sql", {"sql": "SELECT sum(a) FROM numbers"}).json()["rows"], [[4]])
        listed = subprocess.run([BIN / "lakehouse", "health", "--config", whole.config], capture_output=True,
                                text=True, env=sanitizer_environment())
        self.assertEqual(listed.returncode, 0, listed.stdout + listed.stderr)

    def test_who_is_not_known_is_not_believed(self):
        other, _ = make_certificate(self.folder, "other")
        stack = self.stack("storaged", "gateway", **{"gateway.connect_timeout": "1s"})
        self.assertEqual(stack.gateway.get("/v1/storage").status, 200)
        stack.gateway.stop()
        stack.gateway.restart(**{"http.tls_ca": other})
        self.assertIn(stack.gateway.get("/v1/storage").status, (502, 503))


if __name__ == "__main__":
    main()
