"""The load under which a store is crashed: workers that put, overwrite, delete, copy, upload in parts and write
under conditions, by both doors, and judge every answer by the model."""

import base64
import contextlib
import hashlib
import http.client
import json
import random
import re
import threading
import time
from urllib.parse import quote

from model import Key, Race, State, Upload, Violation, check_state

KEYS_OF_WORKER = 40
LARGE_KEYS = 2  # of these: uploaded in parts
PART = 5 << 20
SMALL = (0, 1, 100, 4096, 4096, 4096, 65536, 65537)
REFUSED = (412, 503, 507)  # nothing was changed
GONE = (OSError, http.client.HTTPException)


class Crashed(Exception):
    """The connection broke: the store is gone, and the outcome of the request is open."""


class InDoubt(Exception):
    """The power was cut meanwhile: the outcome of the request is open."""


class Cut:
    """When the power was cut. Software cannot cut it in no time: a sync that is under way meanwhile may
    return as if it had been done. With a real cut nobody would hear of that, so an answer that comes after
    the cut began, to a request that was sent before it had ended, is no answer. A request that was sent later
    must not be acknowledged: that one counts."""

    def __init__(self):
        self.began = self.ended = None

    def covers(self, sent):
        return self.began is not None and (self.ended is None or sent < self.ended)


class Wire:
    """One kept-alive connection."""

    def __init__(self, port, cut=None):
        self.cut = cut or Cut()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, method, path, body=None, headers=None):
        sent = time.monotonic()
        try:
            self.connection.request(method, path, body=body, headers=headers or {})
            answer = self.connection.getresponse()
            text = answer.read()
        except GONE as reason:
            self.connection.close()
            raise Crashed(str(reason)) from reason
        if self.cut.covers(sent):
            raise InDoubt
        return answer.status, text, answer.headers

    def close(self):
        self.connection.close()


class Worker:
    """Owns its keys. `early_ack` plants a fault into the harness itself: what was sent counts as acknowledged."""

    def __init__(self, number, seed, early_ack=False):
        self.number, self.random, self.early_ack = number, random.Random(f"{seed}/{number}"), early_ack
        self.keys = [Key(f"w{number}/{'large' if i < LARGE_KEYS else 'key'}-{i:02}")
                     for i in range(KEYS_OF_WORKER)]
        self.uploads = []
        self.count = 0
        self.acknowledged = 0
        self.refused = 0

    # ---- one change of a key ----

    def fresh(self, sizes, in_parts=False):
        self.count += 1
        return State(f"{self.number}/{self.count}/{self.random.random()}", tuple(sizes), in_parts)

    def change(self, wire, changes, method, path, body=None, headers=None, done=(200, 201, 204)):
        """changes: [(key, new state)]. True when it was acknowledged. While the answer is awaited both states
        are possible."""
        befores = [key.state for key, _ in changes]
        for key, state in changes:
            key.maybe.append(state)
            if self.early_ack:
                key.settle(state)
        for key, state in changes:
            key.tell(f"{method} {state.etag if state else ''} {headers or ''}")
        status, text, _ = wire.ask(method, path, body, headers)
        for key, _ in changes:
            key.tell(f"-> {status} {text[:300] if status >= 400 else ''}")
        if status in done and b"<Error>" not in text:
            for key, state in changes:
                key.settle(state)
            self.acknowledged += 1
            return True
        if status in REFUSED:
            for (key, _), before in zip(changes, befores):
                key.settle(before)
            self.refused += 1
        elif status < 500:
            raise Violation(f"{method} {path}: {status} {text[:200]!r}")
        return False

    def pick(self, large=False):
        keys = self.keys[:LARGE_KEYS] if large else self.keys[LARGE_KEYS:]
        free = [key for key in keys if not key.is_open and all(key is not u.key for u in self.uploads)]
        return self.random.choice(free) if free else None

    def size(self):
        if self.random.random() < 0.8:
            return self.random.choice(SMALL)
        return self.random.randrange(70_000, 1_500_000)

    # ---- operations ----

    def put(self, wire):
        key = self.pick()
        state = self.fresh([self.size()])
        door = "/storage/" if self.random.random() < 0.5 else "/lake/"
        self.change(wire, [(key, state)], "PUT", door + key.name, state.bytes)

    def put_if_absent(self, wire):
        key, state = self.pick(), self.fresh([self.size()])
        was = key.state
        done = self.change(wire, [(key, state)], "PUT", f"/storage/{key.name}", state.bytes,
                           {"If-None-Match": "*"})
        if done and was is not None:
            raise Violation(f"{key.name}: If-None-Match: * let an existing object be replaced")

    def put_if_match(self, wire):
        key, state = self.pick(), self.fresh([self.size()])
        was = key.state
        right = was is not None and self.random.random() < 0.7
        etag = was.etag if right else hashlib.md5(b"another").hexdigest()
        done = self.change(wire, [(key, state)], "PUT", f"/storage/{key.name}", state.bytes,
                           {"If-Match": f'"{etag}"'})
        if done and not right:
            raise Violation(f"{key.name}: a wrong If-Match let the object be replaced")

    def delete(self, wire):
        key = self.pick()
        self.change(wire, [(key, None)], "DELETE", f"/storage/{key.name}")

    def delete_many(self, wire):
        keys = {key.name: key for key in (self.pick() for _ in range(5)) if key}
        names = "".join(f"<Object><Key>{name}</Key></Object>" for name in keys)
        body = f"<Delete>{names}</Delete>".encode()
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        self.change(wire, [(key, None) for key in keys.values()], "POST", "/lake?delete", body,
                    {"Content-MD5": md5})

    def copy(self, wire):
        source = self.pick(large=self.random.random() < 0.2)
        target = self.pick()
        if not source or source.state is None or source is target:
            return
        self.change(wire, [(target, source.state)], "PUT", f"/lake/{target.name}", b"",
                    {"x-amz-copy-source": quote(f"lake/{source.name}")})

    def get(self, wire):
        key = self.pick(large=self.random.random() < 0.1)
        if key:
            verify_bytes(wire, key.name, key.state, may_fail=True)

    # ---- uploads in parts ----

    def begin_upload(self, wire):
        key = self.pick(large=True)
        if not key:
            return
        target = self.fresh([PART, PART + self.random.randrange(1000), self.random.randrange(1, 100_000)], True)
        status, text, _ = wire.ask("POST", f"/lake/{key.name}?uploads")
        if status == 200:
            found = re.search(rb"<UploadId>([^<]+)</UploadId>", text)
            self.uploads.append(Upload(key, found.group(1).decode(), target))
            self.acknowledged += 1

    def go_on_with_upload(self, wire):
        if not self.uploads:
            return self.begin_upload(wire)
        upload = self.random.choice(self.uploads)
        missing = [n for n in range(1, len(upload.target.sizes) + 1) if n not in upload.acknowledged]
        if not missing:
            return self.complete(wire, upload)
        number = self.random.choice(missing)
        status, _, headers = wire.ask("PUT", f"/lake/{upload.key.name}?partNumber={number}&uploadId={upload.id}",
                                      upload.target.part(number - 1))
        if status == 200:
            upload.acknowledged[number] = headers["ETag"].strip('"')
            self.acknowledged += 1
        elif status < 500:
            raise Violation(f"part {number} of {upload.key.name}: {status}")

    def complete(self, wire, upload):
        parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>"
                        for n, etag in sorted(upload.acknowledged.items()))
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        if self.random.random() < 0.2:
            if self.change(wire, [(upload.key, upload.key.state)], "DELETE",
                           f"/lake/{upload.key.name}?uploadId={upload.id}"):
                self.uploads.remove(upload)
        elif self.change(wire, [(upload.key, upload.target)], "POST",
                         f"/lake/{upload.key.name}?uploadId={upload.id}", body):
            self.uploads.remove(upload)

    # ---- the loop ----

    operations = ((put, 40), (put_if_absent, 10), (put_if_match, 10), (delete, 10), (delete_many, 3), (copy, 5),
                  (get, 10), (go_on_with_upload, 3))

    def step(self, wire, races):
        if self.random.random() < 0.03:
            return self.race(wire, races)
        operation = self.random.choices([o for o, _ in self.operations], [w for _, w in self.operations])[0]
        if self.pick() is None:
            raise Crashed("every key's outcome is open")
        return operation(self, wire)

    def race(self, wire, races):
        race = races.current(self.number)
        state = State(f"race/{race.name}/{self.number}", (1000 + self.number,))
        with races.mutex:
            race.maybe.append(state)
        status, text, _ = wire.ask("PUT", f"/storage/{race.name}", state.bytes, {"If-None-Match": "*"})
        with races.mutex:
            if status in (200, 201):
                if race.won:
                    raise Violation(f"{race.name}: two workers won")
                race.won = state
                self.acknowledged += 1
            elif status in REFUSED:
                race.maybe.remove(state)
            elif status < 500:
                raise Violation(f"{race.name}: {status} {text[:200]!r}")


class Races:
    """Keys for which all workers compete; each worker tries each of them once."""

    def __init__(self):
        self.mutex = threading.Lock()
        self.list = []
        self.tried = {}

    def current(self, worker):
        with self.mutex:
            index = self.tried.get(worker, 0)
            self.tried[worker] = index + 1
            if index == len(self.list):
                self.list.append(Race(f"race/{index:06}"))
            return self.list[index]


class Load:
    def __init__(self, seed, workers=6, early_ack=False):
        self.workers = [Worker(number, seed, early_ack) for number in range(workers)]
        self.races = Races()
        self.violations = []
        self.cut = Cut()
        self.random = random.Random(f"{seed}/load")

    @property
    def acknowledged(self):
        return sum(worker.acknowledged for worker in self.workers)

    def start(self, port):
        self.cut = Cut()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(worker, port)) for worker in self.workers]
        for thread in self.threads:
            thread.start()

    def run(self, worker, port):
        wire = Wire(port, self.cut)
        try:
            while not self.stopping.is_set():
                with contextlib.suppress(InDoubt):
                    worker.step(wire, self.races)
        except Crashed:
            pass
        except Violation as violation:
            self.violations.append(str(violation))
        finally:
            wire.close()

    def join(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    # ---- after the crash ----

    def verify(self, port, sample=0.03):
        """Every key by the listing; the bytes of those whose outcome was open, and of a sample."""
        wire = Wire(port)
        for number, worker in enumerate(self.workers):
            found = listing(wire, f"w{number}/")
            for key in worker.keys:
                was_open = key.is_open
                size, etag = found.pop(key.name, (0, None))
                try:
                    key.settle(check_state(key.name, [key.state, *key.maybe], size, etag))
                    if was_open or self.random.random() < sample:
                        verify_bytes(wire, key.name, key.state)
                except Violation as violation:
                    self.violations.append(f"{violation}; before that: {'; '.join(key.story)}")
                    key.settle(None)
            self.violations += [f"{name}: nobody put it there" for name in found]
            self.verify_uploads(wire, worker)
        self.verify_races(wire)
        wire.close()

    def verify_uploads(self, wire, worker):
        for upload in list(worker.uploads):
            status, text, _ = wire.ask("GET", f"/lake/{upload.key.name}?uploadId={upload.id}")
            if status == 404 and len(upload.acknowledged) == len(upload.target.sizes):
                worker.uploads.remove(upload)  # its end was under way; the key's state tells which
                continue
            if status != 200:
                self.violations.append(f"upload {upload.id} of {upload.key.name}: {status}")
                worker.uploads.remove(upload)
                continue
            found = {int(number): etag.decode() for number, etag in re.findall(
                rb"<PartNumber>(\d+)</PartNumber>.*?<ETag>(?:&quot;|\")?([0-9a-f]+)", text, re.DOTALL)}
            for number, etag in upload.acknowledged.items():
                if found.get(number) != etag:
                    self.violations.append(f"part {number} of {upload.key.name}: {found.get(number)}, not {etag}")

    def verify_races(self, wire):
        found = listing(wire, "race/")
        for race in self.races.list:
            size, etag = found.pop(race.name, (0, None))
            candidates = [race.won] if race.won else [None, *race.maybe]
            try:
                race.won, race.maybe = check_state(race.name, candidates, size, etag), []
            except Violation as violation:
                self.violations.append(str(violation))
        self.violations += [f"{name}: nobody put it there" for name in found]


def listing(wire, prefix):
    """{key: (size, etag)} of all pages."""
    found, cursor = {}, ""
    while cursor is not None:
        status, text, _ = wire.ask("GET", f"/storage?prefix={prefix}&limit=1000" +
                                   (f"&cursor={cursor}" if cursor else ""))
        if status != 200:
            raise Violation(f"the listing of {prefix} failed: {status} {text[:200]!r}")
        page = json.loads(text)
        found |= {item["key"]: (item["size"], item["etag"]) for item in page["items"]}
        cursor = page["next"]
    return found


def verify_bytes(wire, name, state, may_fail=False):
    """may_fail: the disk may be gone already, and a failure is an honest answer."""
    status, body, _ = wire.ask("GET", f"/storage/{name}")
    if status >= 500 and may_fail:
        return
    if state is None:
        if status != 404:
            raise Violation(f"{name}: {status}, but it was deleted or never put")
    elif status != 200:
        raise Violation(f"{name}: {status} {body[:200]!r}, but it was acknowledged")
    elif body != state.bytes:
        raise Violation(f"{name}: {len(body)} bytes that are not those that were acknowledged")
