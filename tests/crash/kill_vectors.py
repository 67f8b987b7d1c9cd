#!/usr/bin/env python3
"""kill -9 of vectord (and now and then of storaged with it) under add, delete, search and snapshot, again and
again. After each start every acknowledged item must be there with its vector and its metadata, every acknowledged
delete must have stayed, no id may be found twice, and filters must agree with that.

  tests/crash/kill_vectors.py [--rounds 300] [--seed N] [--plant early-ack]

With --plant it must find what was planted, and fails when it does not. Exit code 0: no violation."""

import argparse
import http.client
import json
import random
import shutil
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.lakehouse import PORTS, Program

DIMENSION = 8
WORKERS = 3
IDS_OF_WORKER = 400
BATCH_MAX = 30
GONE = (OSError, http.client.HTTPException)
ABSENT = None


def as_floats(numbers):
    """Rounded to 32 bits."""
    return list(struct.unpack(f"{len(numbers)}f", struct.pack(f"{len(numbers)}f", *numbers)))


def vector_of(item, version):
    dice = random.Random(f"{item}/{version}")
    return as_floats([dice.uniform(-1, 1) for _ in range(DIMENSION)])


class Item:
    """Changed by one worker. `state`: the version that was acknowledged last, or ABSENT; `maybe`: what a request
    without an answer may have made of it."""

    def __init__(self, name):
        self.name, self.state, self.maybe, self.story = name, ABSENT, [], []

    def allowed(self):
        return [self.state, *self.maybe]

    def tell(self, line):
        self.story = [*self.story[-5:], line]


class Worker(threading.Thread):
    def __init__(self, number, seed, port, items, early_ack):
        super().__init__(daemon=True)
        self.dice = random.Random(f"{seed}/{number}")
        self.port, self.items, self.early_ack = port, items, early_ack
        self.acknowledged, self.violations = 0, []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            while True:
                self.step(connection)
        except GONE:
            pass
        finally:
            connection.close()

    def step(self, connection):
        kind = self.dice.random()
        chosen = self.dice.sample(self.items, self.dice.randint(1, BATCH_MAX))
        if kind < 0.55:
            self.change(connection, "add", chosen, {item: self.dice.randrange(1 << 40) for item in chosen})
        elif kind < 0.75:
            self.change(connection, "delete", chosen, dict.fromkeys(chosen, ABSENT))
        elif kind < 0.78:
            self.ask(connection, "snapshot", b"")
        else:
            self.search(connection)

    def ask(self, connection, path, body):
        connection.request("POST", f"/vectors/docs/{path}", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def change(self, connection, path, chosen, versions):
        if path == "add":
            body = {"items": [{"id": item.name, "vector": vector_of(item.name, version),
                               "metadata": {"version": version, "even": version % 2 == 0}}
                              for item, version in versions.items()]}
        else:
            body = {"ids": [item.name for item in chosen]}
        for item, version in versions.items():
            item.maybe.append(version)
            item.tell(f"{path} {version} sent")
        if self.early_ack:
            self.settle(versions)
        status, text = self.ask(connection, path, json.dumps(body))
        if status == 200:
            self.settle(versions)
        elif status not in (503, 504):  # the outcome of these is open
            self.violations.append(f"{path} was answered by {status}: {text[:200]}")

    def settle(self, versions):
        for item, version in versions.items():
            item.state, item.maybe = version, []
            item.tell("acknowledged")
        self.acknowledged += len(versions)

    def search(self, connection):
        query = {"vector": vector_of("query", self.dice.random()), "k": 20}
        if self.dice.random() < 0.5:
            query["filter"] = {"even": True}
        status, text = self.ask(connection, "search", json.dumps(query))
        if status != 200:
            return
        names = [hit["id"] for hit in json.loads(text)["hits"]]
        if len(set(names)) != len(names):
            self.violations.append(f"an id was found twice: {names}")


class Lake:
    """storaged and vectord on one folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        ports = {name: PORTS.take() for name in ("storaged", "vectord")}
        self.programs = {}
        for name, port in ports.items():
            settings = {f"{name}.listen": f"127.0.0.1:{port}", "data_dir": str(self.folder / "data"),
                        "log.level": "info"}
            if name == "vectord":
                settings |= {"vectord.storaged_url": f"http://127.0.0.1:{ports['storaged']}",
                             "vectord.fold_log_objects": "25", "vectord.storage_timeout": "5s"}
            self.programs[name] = Program(name, port, self.folder / name, settings)
        self.vectord = self.programs["vectord"]

    def kill(self, *names):
        for name in names:
            self.programs[name].kill()

    def start(self, *names):
        for name in names:
            self.programs[name].start()


def check(lake, items, dice):
    """What the index shows against what it may show; then that is what it must show."""
    wrong = []
    answer = lake.vectord.post("/vectors/docs/search",
                               {"vector": [0] * DIMENSION, "k": 10000, "exact": True})
    if answer.status != 200:
        return [f"the index does not answer after the start: {answer}"]
    hits = answer.json()["hits"]
    found = {hit["id"]: hit["metadata"]["version"] for hit in hits}
    if len(found) != len(hits):
        wrong.append("an id stands twice")
    count = lake.vectord.get("/vectors/docs").json()["count"]
    if count != len(hits):
        wrong.append(f"the index counts {count} items and finds {len(hits)}")
    even = lake.vectord.post("/vectors/docs/search", {"vector": [0] * DIMENSION, "k": 10000,
                                                      "filter": {"even": True}}).json()["hits"]
    if {hit["id"] for hit in even} != {name for name, version in found.items() if version % 2 == 0}:
        wrong.append("a filter finds other items than there are")
    for item in items:
        version = found.pop(item.name, ABSENT)
        if version not in item.allowed():
            wrong.append(f"{item.name} is {version}, allowed: {item.allowed()}; {item.story}")
        item.state, item.maybe = version, []
    if found:
        wrong.append(f"items that nobody put: {list(found)[:5]}")
    return wrong + check_vectors(lake, dice.sample(items, 15))


def check_vectors(lake, sample):
    wrong = []
    for item in sample:
        answer = lake.vectord.get(f"/vectors/docs/items/{item.name}")
        if item.state is ABSENT:
            if answer.status != 404:
                wrong.append(f"{item.name} was deleted: {answer}")
        elif answer.status != 200 or as_floats(answer.json()["vector"]) != vector_of(
                item.name, item.state):
            wrong.append(f"{item.name} has another vector: {answer}")
    return wrong


def run(options, folder):
    dice = random.Random(options.seed)
    lake = Lake(folder)
    created = lake.vectord.post("/vectors", {"name": "docs", "dimension": DIMENSION, "metric": "l2", "m": 4,
                                             "ef_construction": 20})
    assert created.status == 201, created
    items = [[Item(f"{w}-{i}") for i in range(IDS_OF_WORKER)] for w in range(WORKERS)]
    began, acknowledged, violations = time.monotonic(), 0, []
    for number in range(1, options.rounds + 1):
        workers = [Worker(f"{number}/{w}", options.seed, lake.vectord.port, items[w],
                          options.plant == "early-ack") for w in range(WORKERS)]
        for worker in workers:
            worker.start()
        time.sleep(dice.uniform(0.01, 0.4))
        dying = ("vectord", "storaged") if dice.random() < 0.25 else ("vectord",)
        lake.kill(*dying)
        for worker in workers:
            worker.join()
            acknowledged += worker.acknowledged
            violations += worker.violations
        lake.start(*reversed(dying))
        violations += check(lake, [item for owned in items for item in owned], dice)
        if number % 10 == 0 or number == options.rounds or violations:
            print(f"\r{number} of {options.rounds} kills, {acknowledged} acknowledged changes, "
                  f"{len(violations)} violations, {time.monotonic() - began:.0f} s", end="", flush=True)
        if violations:
            break
    print()
    lake.kill("vectord", "storaged")
    return violations


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--plant", choices=("early-ack",))
    options = parser.parse_args()
    print(f"crash of vectors: seed {options.seed}")
    folder = tempfile.mkdtemp(prefix="lakehouse-crash-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    violations = run(options, folder)
    for violation in violations[:20]:
        print("VIOLATION", violation)
    if violations and not options.plant:
        print(f"what was there is in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if bool(violations) == bool(options.plant) else 1)


if __name__ == "__main__":
    main()
