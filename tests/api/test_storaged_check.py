"""storaged check: offline, and while it serves."""
import json
import subprocess
import time
from pathlib import Path

from support.lakehouse import BIN, TestCase, main


def files(store):
    return sorted(path for path in Path(store.dir, "data/storaged/data").rglob("*")
                  if path.is_file())


def flip(path, at=100):
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


class Check(TestCase):
    def check(self, store):
        return subprocess.run([Path(BIN, "storaged"), "check", "-data", Path(store.dir, "data")],
                              capture_output=True, text=True, timeout=60)

    def filled(self):
        store = self.service("storaged")
        for i in range(3):
            store.put(f"/storage/small{i}", b"x" * (i + 1))
            store.put(f"/storage/large{i}", bytes([i]) * 100000)
        return store

    def run_online(self, store):
        self.assertEqual(store.post("/storage?check").status, 202)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            state = store.get("/storage?check").json()
            if state["state"] != "running":
                return state
            time.sleep(0.05)
        self.fail("the check does not end")

    def test_a_sound_store(self):
        store = self.filled()
        self.assertEqual(store.get("/storage?check").json()["state"], "never")
        state = self.run_online(store)
        self.assertEqual((state["state"], state["objects"], state["bytes"], state["findings"]),
                         ("complete", 6, 300006, 0))
        busy = self.check(store)
        self.assertEqual(busy.returncode, 1)
        self.assertIn("held by another process", busy.stderr)
        store.stop()
        sound = self.check(store)
        self.assertEqual((sound.returncode, sound.stderr), (0, ""))
        self.assertIn("6 objects, 300006 bytes, 0 findings", sound.stdout)

    def test_damage_is_named(self):
        store = self.filled()
        damaged, missing, _ = files(store)
        flip(damaged)
        missing.unlink()
        state = self.run_online(store)
        self.assertEqual((state["state"], state["findings"]), ("complete", 2))
        health = json.dumps(store.get("/health").json())
        self.assertIn("large0", health)
        self.assertIn("large1", health)
        self.assertNotIn("large2", health)
        store.stop()
        Path(damaged.parent, "00000100000fffff").write_bytes(b"nobody's")
        result = self.check(store)
        self.assertEqual(result.returncode, 1)
        lines = result.stdout.splitlines()
        self.assertEqual(len(lines), 4, lines)
        self.assertRegex(lines[0], "^lake/large0: block 0 ")
        self.assertRegex(lines[1], "^lake/large1: .*missing")
        self.assertRegex(lines[2], "^data/00/00000100000fffff: no object")

    def test_the_index(self):
        store = self.filled()
        store.stop()
        index = Path(store.dir, "data/storaged/index.db")
        flip(index, index.stat().st_size - 2000)
        result = self.check(store)
        self.assertEqual(result.returncode, 1)
        self.assertIn("the index: ", result.stdout)

    def test_what_is_asked_wrongly(self):
        store = self.service("storaged")
        self.assertEqual(store.post("/storage").status, 400)
        store.stop()
        nowhere = subprocess.run([Path(BIN, "storaged"), "check", "-data", Path(store.dir, "none")],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual(nowhere.returncode, 1)
        self.assertIn("no object store", nowhere.stderr)
        usage = subprocess.run([Path(BIN, "storaged"), "check", "-dat", store.dir],
                               capture_output=True, text=True, timeout=60)
        self.assertEqual(usage.returncode, 2)


if __name__ == "__main__":
    main()
