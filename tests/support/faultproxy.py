"""A proxy in front of a real S3 server that spoils chosen requests.

    proxy = FaultProxy(store.port)
    proxy.fault("PUT", "/bucket/key", "lose", times=1)     # done, but the answer never comes
    ...  use proxy.url ...
    proxy.seen                                              # [("PUT", "/bucket/key", "lose"), ...]
    proxy.close()

A fault is one of
    busy      503 SlowDown, not passed on        error     500 InternalError, not passed on
    lose      passed on, the connection is closed instead of the answer
    refuse    the connection is closed, nothing is passed on
    fail      passed on, the answer is a 500
    half      passed on; half of the answer's body, then the connection is closed
    stall     passed on; half of the answer's body, then silence until the client goes
    hidden    200 with an <Error> as its body, not passed on
    garbage   no HTTP
    moved     301 with another region
    corrupt   passed on; the middle byte of the answer's body is another one
    (status, code)   an <Error>, not passed on
"""

import http.client
import re
import socket
import threading

REASONS = {"busy": (503, "SlowDown"), "error": (500, "InternalError"), "moved": (301, "PermanentRedirect")}


def error_body(code):
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>'.encode()


class Rule:
    def __init__(self, method, pattern, fault, times):
        self.method, self.pattern, self.fault, self.times = method, re.compile(pattern), fault, times

    def takes(self, method, target):
        if self.times == 0 or self.method not in (method, "*") or not self.pattern.search(target):
            return False
        self.times -= 1
        return True


class FaultProxy:
    def __init__(self, port):
        self.target = port
        self.rules, self.seen = [], []
        self.answer_hook = None  # (method, target, headers) -> None or (status, headers, body), before the rules
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener.settimeout(0.05)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def fault(self, method, pattern, fault, times=1):
        """The next `times` requests of that method whose target matches; -1 = all."""
        with self.lock:
            self.rules.append(Rule(method, pattern, fault, times))

    def clear(self):
        with self.lock:
            self.rules.clear()
            self.seen.clear()

    def count(self, method, pattern=""):
        """Requests of that method whose target matches."""
        with self.lock:
            return sum(1 for seen, target, _ in self.seen if seen == method and re.search(pattern, target))

    def close(self):
        self.stopping.set()
        self.thread.join(5)
        self.listener.close()

    def _accept(self):
        while not self.stopping.is_set():
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(60)
        with connection, connection.makefile("rb") as reader:
            try:
                while self._one(connection, reader):
                    pass
            except (OSError, http.client.HTTPException):
                pass

    def _choose(self, method, target):
        with self.lock:
            fault = next((rule.fault for rule in self.rules if rule.takes(method, target)), None)
            self.seen.append((method, target, fault))
        return fault

    def _one(self, connection, reader):
        line = reader.readline()
        if not line:
            return False
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = http.client.parse_headers(reader)
        body = reader.read(int(headers.get("Content-Length", 0)))
        fault = self._choose(method, target)
        if self.answer_hook and (answer := self.answer_hook(method, target, headers)):
            return self._send(connection, method, *answer)
        if fault == "refuse":
            return False
        if fault == "garbage":
            connection.sendall(b"this is no HTTP\r\n\r\n")
            return False
        if fault == "hidden":
            return self._send(connection, method, 200, {}, error_body("InternalError"))
        if fault in REASONS or isinstance(fault, tuple):
            status, code = REASONS.get(fault) or fault
            more = {"x-amz-bucket-region": "eu-elsewhere-1"} if fault == "moved" else {}
            return self._send(connection, method, status, more, error_body(code))
        return self._pass_on(connection, method, target, headers, body, fault)

    def _pass_on(self, connection, method, target, headers, body, fault):
        upstream = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        try:
            upstream.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            content = answer.read()
            length = answer.getheader("Content-Length")
        finally:
            upstream.close()
        if fault == "lose":
            return False
        if fault == "fail":
            return self._send(connection, method, 500, {}, error_body("InternalError"))
        if fault == "corrupt":
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]
        passed = {name: value for name, value in answer.getheaders()
                  if name.lower() not in ("content-length", "transfer-encoding", "connection")}
        if fault in ("half", "stall"):
            self._send(connection, method, answer.status, passed, content[:len(content) // 2], len(content))
            if fault == "stall":
                connection.recv(1)  # until the client goes
            return False
        return self._send(connection, method, answer.status, passed, content,
                          length if method == "HEAD" else None)

    def _send(self, connection, method, status, headers, body, length=None):
        lines = [f"HTTP/1.1 {status} Proxied"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if status != 204:
            lines.append(f"Content-Length: {len(body) if length is None else length}")
        connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" +
                           (b"" if method == "HEAD" else body))
        return True
