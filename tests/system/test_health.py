"""Every service: its health, its log, its flags, and how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from support.lakehouse import (BIN, PORTS, SERVICES, SLOWDOWN, TestCase, main, sanitizer_environment,
                               write_config)


def run(program, *arguments, env=None, seconds=20):
    """The program until its end: (exit code, stdout, stderr)."""
    environment = sanitizer_environment()
    environment.update(env or {})
    done = subprocess.run([str(BIN / program), *arguments], capture_output=True, text=True,
                          timeout=seconds * SLOWDOWN, env=environment, check=False)
    return done.returncode, done.stdout, done.stderr


def connect(service):
    connection = socket.create_connection(("127.0.0.1", service.port))
    connection.settimeout(20 * SLOWDOWN)
    return connection


def read_answer(connection):
    received = b""
    while more := connection.recv(65536):
        received += more
    return received


class Health(TestCase):
    def test_all_six_answer_with_their_own_name(self):
        stack = self.stack()
        for name, service in stack.services.items():
            with self.subTest(service=name):
                response = service.get("/health")
                self.assertEqual(response.status, 200)
                health = response.json()
                self.assertEqual(health["service"], name)
                self.assertEqual(health["status"], "ok", health)
                self.assertRegex(health["version"], r"^\d+\.\d+\.\d+$")
                self.assertGreaterEqual(health["uptime_s"], 0)
                self.assertEqual(service.get("/livez").status, 200)
                self.assertEqual(service.get("/readyz").status, 200)
                self.check_metrics(name, service)
                self.check_openapi(name, service)
        health = stack.gateway.get("/v1/health").json()
        self.assertEqual(health["status"], "ok", health)
        self.assertEqual({item["service"] for item in health["services"]}, set(SERVICES))
        self.assertEqual(stack.stop(), {name: 0 for name in SERVICES})
        for name, service in stack.services.items():
            self.check_log(name, service)

    def check_metrics(self, name, service):
        text = service.get("/metrics").text
        self.assertIn(f'lakehouse_build_info{{service="{name}",version="', text)
        self.assertIn("\nlakehouse_ready 1\n", text)
        samples = re.compile(r'^[a-z_:]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.eInfaN]+$')
        for line in text.splitlines():
            if not line.startswith("#"):
                self.assertRegex(line, samples)

    def check_openapi(self, name, service):
        document = service.get("/openapi.json").json()
        self.assertTrue(document["openapi"].startswith("3.1"))
        self.assertIn("/health", document["paths"])

    def check_log(self, name, service):
        lines = service.log()
        for line in lines:
            self.assertEqual(line["service"], name)
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("debug", "info", "warn", "error"))
        messages = [line["message"] for line in lines]
        self.assertEqual([message for message in messages if message in
                          ("listening", "ready", "stopping", "stopped")],
                         ["listening", "ready", "stopping", "stopped"])


class Ending(TestCase):
    def test_sigterm_drains_a_request_in_flight(self):
        store = self.service("storaged")
        body = self.random.randbytes(400_000)
        connection = connect(store)
        connection.sendall(b"PUT /storage/slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(body) + body[:200_000])
        time.sleep(0.2)
        store.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with self.assertRaises(OSError):
            connect(store)  # nothing new is taken
        connection.sendall(body[200_000:])
        self.assertTrue(read_answer(connection).startswith(b"HTTP/1.1 201 "))
        self.assertEqual(store.process.wait(10 * SLOWDOWN), 0)
        store.restart()
        self.assertEqual(store.get("/storage/slow").body, body)

    def test_sigterm_drains_through_the_gateway(self):
        stack = self.stack("storaged", "gateway")
        body = self.random.randbytes(400_000)
        connection = connect(stack.gateway)
        connection.sendall(b"PUT /v1/storage/slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(body) + body[:200_000])
        time.sleep(0.2)
        stack.gateway.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(body[200_000:])
        self.assertTrue(read_answer(connection).startswith(b"HTTP/1.1 201 "))
        self.assertEqual(stack.gateway.process.wait(10 * SLOWDOWN), 0)

    def test_drain_has_an_end(self):
        store = self.service("storaged", **{"http.drain_timeout": "300ms"})
        connection = connect(store)
        connection.sendall(b"PUT /storage/never HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx")
        time.sleep(0.2)
        start = time.monotonic()
        self.assertEqual(store.stop(), 0)
        self.assertLess(time.monotonic() - start, 5 * SLOWDOWN)
        store.restart()
        self.assertEqual(store.get("/storage/never").status, 404)

    def test_second_sigterm_ends_at_once(self):
        store = self.service("storaged", **{"http.drain_timeout": "60s"})
        connection = connect(store)
        connection.sendall(b"PUT /storage/never HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx")
        time.sleep(0.2)
        store.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        self.assertIsNone(store.process.poll())
        store.process.send_signal(signal.SIGTERM)
        self.assertEqual(store.process.wait(5 * SLOWDOWN), 1)

    def test_sigint_is_the_same(self):
        gateway = self.service("gateway")
        gateway.process.send_signal(signal.SIGINT)
        self.assertEqual(gateway.process.wait(10 * SLOWDOWN), 0)

    def test_sighup_and_sigpipe_do_nothing(self):
        gateway = self.service("gateway")
        for number in (signal.SIGHUP, signal.SIGPIPE):
            gateway.process.send_signal(number)
        self.assertEqual(gateway.get("/livez").status, 200)


class CommandLine(TestCase):
    def test_version_and_help(self):
        for name in SERVICES:
            with self.subTest(service=name):
                for flag in ("-version", "--version"):
                    code, out, _ = run(name, flag)
                    self.assertEqual((code, out.split()[0]), (0, name))
                code, out, _ = run(name, "--help")
                self.assertEqual(code, 0)
                for word in ("-config FILE", "-listen HOST:PORT", "-data DIR", f"[{name}]", "-http.workers_max"):
                    self.assertIn(word, out)

    def test_mistakes_are_named(self):
        config = self.folder / "bad.toml"
        config.write_text('data_dir = "d"\n[storaged]\nmax_objct_bytes = "1MiB"\n')
        for arguments, words in (
                (("-lissten=127.0.0.1:0",), ("-lissten", "did you mean -listen?")),
                (("-listen",), ("needs a value",)),
                (("-listen", "nonsense"), ("nonsense",)),
                (("-max_object_bytes=x",), ("max_object_bytes",)),
                (("-http.workers_max=0",), ("workers_max",)),
                (("-config", str(self.folder / "none.toml")), ("none.toml",)),
                (("-config", str(config)), ("bad.toml:3", "max_object_bytes")),
                (("-listen", "0.0.0.0:0"), ("0.0.0.0:0", "-insecure")),
                (("-listen", "[::]:0"), ("-insecure",))):
            with self.subTest(arguments=arguments):
                code, _, errors = run("storaged", *arguments, env={"LAKEHOUSE_DATA_DIR": str(self.folder / "data")})
                self.assertEqual(code, 2, errors)
                for word in words:
                    self.assertIn(word, errors)

    def test_a_wrong_variable_is_named(self):
        code, _, errors = run("storaged", env={"LAKEHOUSE_STORAGED__MAX_OBJCT_BYTES": "1"})
        self.assertEqual(code, 2, errors)
        self.assertIn("MAX_OBJCT_BYTES", errors.upper())

    def start(self, *arguments, env=None):
        environment = sanitizer_environment()
        environment.update(env or {})
        process = subprocess.Popen([str(BIN / "gateway"), *arguments], stderr=subprocess.PIPE, text=True,
                                   env=environment)
        self.addCleanup(process.wait, 20 * SLOWDOWN)
        self.addCleanup(process.terminate)
        self.addCleanup(process.stderr.close)
        return process

    def test_port_0_is_chosen_and_logged(self):
        process = self.start("--listen=127.0.0.1:0")
        line = json.loads(process.stderr.readline())
        self.assertEqual(line["message"], "listening")
        host, _, port = line["address"].rpartition(":")
        self.assertEqual(host, "127.0.0.1")
        self.assertGreater(int(port), 0)
        socket.create_connection((host, int(port))).close()

    def test_insecure_listens_for_others(self):
        process = self.start("-insecure", "-listen", "0.0.0.0:0")
        self.assertTrue(json.loads(process.stderr.readline())["address"].startswith("0.0.0.0:"))

    def test_flag_beats_environment_beats_file(self):
        ports = [PORTS.take() for _ in range(3)]
        config = self.folder / "gateway.toml"
        write_config(config, {"gateway.listen": f"127.0.0.1:{ports[0]}"})
        variable = {"LAKEHOUSE_GATEWAY__LISTEN": f"127.0.0.1:{ports[1]}"}
        for arguments, env, port in ((("-config", str(config)), {}, ports[0]),
                                     (("-config", str(config)), variable, ports[1]),
                                     (("-config", str(config), "-listen", f"127.0.0.1:{ports[2]}"), variable,
                                      ports[2])):
            line = json.loads(self.start(*arguments, env=env).stderr.readline())
            self.assertEqual(line["address"], f"127.0.0.1:{port}")

    def test_supervisors_pipe(self):
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        process = subprocess.Popen([str(BIN / "gateway"), "-listen", "127.0.0.1:0"], pass_fds=(write_end,),
                                   stderr=subprocess.DEVNULL,
                                   env={**sanitizer_environment(), "LAKEHOUSE_NOTIFY_FD": str(write_end)})
        self.addCleanup(process.wait, 20 * SLOWDOWN)
        self.addCleanup(process.terminate)
        os.close(write_end)
        text = b""
        while more := os.read(read_end, 4096):
            text += more
        self.assertRegex(text.decode(), r"^listening 127\.0\.0\.1:\d+\nready\n$")

    def test_systemd_is_told(self):
        path = self.folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(path))
            listener.settimeout(20 * SLOWDOWN)
            self.start("-listen", "127.0.0.1:0", env={"NOTIFY_SOCKET": str(path)})
            self.assertEqual(listener.recv(100), b"READY=1")


class DataFolder(TestCase):
    def test_two_of_a_kind_never_share_it(self):
        store = self.service("storaged")
        code, _, errors = run("storaged", "-listen", "127.0.0.1:0", "-data", store.settings["data_dir"])
        self.assertEqual(code, 1, errors)
        self.assertIn(str(store.pid), errors)
        store.kill()
        store.restart()  # a lock does not outlive its process

    def test_nobody_else_may_look(self):
        store = self.service("storaged")
        store.put("/storage/a", b"x" * 100_000)
        for folder, names, files in os.walk(store.settings["data_dir"]):
            for name in names + files:
                self.assertEqual(os.stat(os.path.join(folder, name)).st_mode & 0o077, 0, name)

    def test_port_that_is_taken(self):
        gateway = self.service("gateway")
        code, _, errors = run("gateway", "-listen", f"127.0.0.1:{gateway.port}")
        self.assertNotEqual(code, 0)
        self.assertIn(str(gateway.port), errors)


class Unready(TestCase):
    @unittest.skipUnless((BIN / "catalogd").exists(), "catalogd is not built")
    def test_not_ready_until_loaded(self):
        """catalogd without storaged lives, says that it is not well, and does not answer requests."""
        port = PORTS.take()
        process = subprocess.Popen(
            [str(BIN / "catalogd"), "-listen", f"127.0.0.1:{port}", "-data", str(self.folder / "data"),
             "-storaged_url", f"http://127.0.0.1:{PORTS.take()}"],
            stderr=subprocess.DEVNULL, env=sanitizer_environment())
        try:
            deadline = time.monotonic() + 10 * SLOWDOWN
            while time.monotonic() < deadline and process.poll() is None:
                try:
                    with socket.create_connection(("127.0.0.1", port)) as connection:
                        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                        self.assertTrue(read_answer(connection).startswith(b"HTTP/1.1 200 "))
                        break
                except ConnectionRefusedError:
                    time.sleep(0.01)
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                self.assertTrue(read_answer(connection).startswith(b"HTTP/1.1 503 "))
        finally:
            process.terminate()
            self.assertEqual(process.wait(20 * SLOWDOWN), 0)


class Parallel(TestCase):
    def test_health_while_all_workers_are_busy(self):
        """The probes of a supervisor are answered although every worker waits."""
        store = self.service("storaged", **{"http.workers_max": 2, "http.queue_max": 0})
        connections = [connect(store) for _ in range(2)]
        for index, connection in enumerate(connections):
            connection.sendall(b"PUT /storage/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" % index
                               + b"x" * 300_000)
        time.sleep(0.3)
        results = []
        threads = [threading.Thread(target=lambda: results.append(store.get("/livez").status)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [200] * 5)
        # A listing needs a worker; an object that is small does not.
        self.assertEqual(store.get("/storage?limit=1").status, 503)
        for connection in connections:
            connection.close()


if __name__ == "__main__":
    main()
