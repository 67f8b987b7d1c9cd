"""A peer that behaves badly on purpose: late, slow, cut short, not HTTP at all.

    peer = SlowPeer(answer(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"))
    ...  use peer.url ...
    peer.requests[0].head     # the raw bytes up to the empty line
    peer.close()

A behaviour is a function (peer, connection, request) -> bool: True keeps the connection.
"""

import socket
import threading
import time


class Request:
    def __init__(self, head, body, complete):
        self.head, self.body, self.complete = head, body, complete
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.headers = [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "")
                        for line in lines[1:] if line]

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if len(values) == 1 else (values or None)


class SlowPeer:
    def __init__(self, behaviour, read_body=True):
        self.behaviour, self.read_body = behaviour, read_body
        self.requests, self.connections, self.closed_by_client = [], 0, threading.Event()
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.05)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def close(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(10)
        self.listener.close()

    def _accept(self):
        while not self.stopping.is_set():
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        connection.settimeout(0.05)
        with connection:
            try:
                while not self.stopping.is_set():
                    request = self._read(connection)
                    if request is None:
                        return
                    self.requests.append(request)
                    if not self.behaviour(self, connection, request):
                        return
            except OSError:
                self.closed_by_client.set()

    def receive(self, connection):
        """Some bytes, or b"" at the end of the stream or of the test."""
        while not self.stopping.is_set():
            try:
                return connection.recv(65536)
            except TimeoutError:
                continue
        return b""

    def _read(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.receive(connection)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        request = Request(head, body, True)
        if not self.read_body:
            return request
        if request.header("Expect"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = request.header("Content-Length")
        chunked = request.header("Transfer-Encoding") == "chunked"
        while (length and len(body) < int(length)) or (chunked and not body.endswith(b"0\r\n\r\n")):
            more = self.receive(connection)
            if not more:
                request.complete = False
                self.closed_by_client.set()
                break
            body += more
        request.body = body
        return request

    def wait_for_end(self, connection):
        """Until the other side closes."""
        while self.receive(connection):
            pass
        if not self.stopping.is_set():
            self.closed_by_client.set()


def answer(data):
    def behave(peer, connection, request):
        connection.sendall(data)
        return True
    return behave


def cut(data):
    """Sends the bytes and closes."""
    def behave(peer, connection, request):
        connection.sendall(data)
        return False
    return behave


def delay(seconds, data):
    def behave(peer, connection, request):
        peer.stopping.wait(seconds)
        connection.sendall(data)
        return True
    return behave


def trickle(data, pause):
    """A byte at a time."""
    def behave(peer, connection, request):
        for index in range(len(data)):
            if peer.stopping.wait(pause):
                return False
            connection.sendall(data[index:index + 1])
        return True
    return behave


def silence(data=b""):
    """Sends the bytes, then nothing, until the other side leaves."""
    def behave(peer, connection, request):
        connection.sendall(data)
        peer.wait_for_end(connection)
        return False
    return behave


def in_turn(*behaviours):
    """The first request gets the first behaviour, and so on; the last one stays."""
    state = {"next": 0}
    lock = threading.Lock()

    def behave(peer, connection, request):
        with lock:
            index = min(state["next"], len(behaviours) - 1)
            state["next"] += 1
        return behaviours[index](peer, connection, request)
    return behave


def flood(head, total):
    """An endless-looking body of `total` bytes; stops when the other side leaves."""
    def behave(peer, connection, request):
        connection.sendall(head)
        connection.settimeout(30)
        sent, block = 0, b"x" * 65536
        while sent < total and not peer.stopping.is_set():
            connection.sendall(block)
            sent += len(block)
        connection.settimeout(0.05)
        return True
    return behave


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False
