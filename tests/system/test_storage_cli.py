#!/usr/bin/env python3
"""lakehouse storage: a tree of small files up, down and compared; large files in parts; sync; and how it ends
when something is wrong."""

import hashlib
import json
import os
import signal
import subprocess
import time
import urllib.request

from support.faultproxy import FaultProxy
from support.lakehouse import BIN, PORTS, SLOWDOWN, TestCase, main, sanitizer_environment
from support.s3 import S3, Signer

MIB = 1 << 20
KEY_ID, SECRET = "cli-key", "cli-secret-0123456789"


class StorageCli(TestCase):
    def setUp(self):
        super().setUp()
        self.store = self.service("storaged", **{"keys.id": KEY_ID, "keys.secret": SECRET})
        self.s3 = S3(self.store.port, Signer(KEY_ID, SECRET))
        self.endpoint = self.store.url
        self.assertEqual(self.cli("mb", "photos").returncode, 0)

    def environment(self, **more):
        kept = {key: value for key, value in sanitizer_environment().items()
                if not key.startswith(("LAKEHOUSE", "AWS_"))}
        return {**kept, "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": KEY_ID,
                "AWS_SECRET_ACCESS_KEY": SECRET, **more}

    def command(self, *words):
        return [str(BIN / "lakehouse"), "storage", *map(str, words)]

    def cli(self, *words, stdin=None, env=None):
        return subprocess.run(self.command(*words), input=stdin, capture_output=True, cwd=self.folder,
                              timeout=120 * SLOWDOWN, env=env or self.environment())

    def ok(self, *words, **more):
        done = self.cli(*words, **more)
        self.assertEqual(done.returncode, 0, (words, done.stderr))
        return done.stdout.decode()

    def sum(self, *words, **more):
        return json.loads(self.ok(*words, **more))

    def fails(self, code, pattern, *words, **more):
        done = self.cli(*words, **more)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        self.assertRegex(done.stderr.decode(), pattern)

    def tree(self, name, count):
        """Small files in folders, with names of all kinds."""
        root = self.folder / name
        for number in range(count):
            path = root / f"dir {number % 13}" / f"ü+%{number % 7}" / f"file&{number}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.random.randbytes(number % 3000))
        return root

    def contents(self, root):
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    # ---- trees ----

    def test_two_thousand_files(self):
        up = self.tree("up", 2000)
        expected = self.contents(up)
        done = self.sum("put", up, "photos/in", "-j", "8")
        self.assertEqual((done["files"], done["bytes"]), (2000, sum(map(len, expected.values()))))
        self.assertEqual(json.loads(self.ok("du", "photos/in/")), {"objects": 2000, "bytes": done["bytes"]})
        self.assertEqual(self.sum("get", "photos/in/", "down")["files"], 2000)
        self.assertEqual(self.contents(self.folder / "down"), expected)
        # The same again: nothing moves.
        for words in (("put", up, "photos/in"), ("get", "photos/in/", "down")):
            again = self.sum(*words, "--sync")
            self.assertEqual((again["files"], again["skipped"]), (0, 2000))
        # Changed, new and gone.
        names = sorted(expected)
        (up / names[5]).write_bytes(b"changed")
        (up / names[6]).unlink()
        (up / "new").write_bytes(b"new")
        done = self.sum("put", up, "photos/in", "--sync", "--delete")
        self.assertEqual((done["files"], done["skipped"], done["deleted"]), (2, 1998, 1))
        (self.folder / "down" / "extra").write_bytes(b"extra")
        done = self.sum("get", "photos/in", "down", "-r", "--sync", "--delete")
        self.assertEqual((done["files"], done["skipped"], done["deleted"]), (2, 1998, 2))
        self.assertEqual(self.contents(self.folder / "down"), self.contents(up))
        # A copy inside the store, and away with all of it.
        self.assertEqual(self.sum("cp", "-r", "photos/in/", "photos/copy/")["files"], 2000)
        self.assertEqual(self.sum("get", "photos/copy/", "copied")["files"], 2000)
        self.assertEqual(self.contents(self.folder / "copied"), self.contents(up))
        self.fails(1, "BucketNotEmpty", "rb", "photos")
        self.assertEqual(self.sum("rm", "-r", "photos")["deleted"], 4000)
        self.assertEqual(self.ok("ls", "photos"), "")
        self.ok("rb", "photos")
        self.assertEqual(self.s3.head("/photos").status, 404)

    def test_large_files(self):
        body = self.random.randbytes(40 * MIB + 3)
        (self.folder / "large").write_bytes(body)
        self.assertEqual(self.sum("put", "large", "photos/")["bytes"], len(body))
        etag = json.loads(self.ok("stat", "photos/large"))["etag"]
        self.assertRegex(etag, r"^[0-9a-f]{32}-3$")
        self.assertEqual(self.sum("put", "large", "photos/large", "--sync")["skipped"], 1)
        self.assertEqual(self.sum("get", "photos/large", "back")["bytes"], len(body))
        self.assertTrue((self.folder / "back").read_bytes() == body)
        self.assertEqual(self.sum("get", "photos/large", "back", "--sync")["skipped"], 1)
        self.assertEqual(self.cli("get", "photos/large", "-").stdout, body)
        self.assertEqual(self.sum("put", "-", "photos/stdin", stdin=body)["bytes"], len(body))
        self.assertEqual(self.cli("get", "photos/stdin", "-").stdout, body)
        self.assertEqual(self.sum("put", "-", "photos/nothing", stdin=b"")["bytes"], 0)

    # ---- one by one ----

    def test_listing(self):
        for key in ("a/1", "a/2", "b", "c\n\x1b[31m", "ü ö"):
            self.assertEqual(self.s3.put(S3.path("photos", key), key.encode()).status, 200)
        self.assertEqual(self.ok("ls").split(), ["lake", "photos"])
        self.assertEqual(self.ok("ls", "photos").splitlines()[:2], ["b", "c"])
        self.assertIn("a/\n", self.ok("ls", "photos"))
        self.assertEqual(self.ok("ls", "photos/a/"), "a/1\na/2\n")
        self.assertEqual(self.ok("ls", "-r", "s3://photos/a").splitlines(), ["a/1", "a/2"])
        lines = [json.loads(line) for line in self.ok("ls", "photos", "--json").splitlines()]
        self.assertEqual([line.get("key") or line["prefix"] for line in lines], ["b", "c\n\x1b[31m", "ü ö", "a/"])
        self.assertEqual(lines[0]["etag"], hashlib.md5(b"b").hexdigest())
        self.assertRegex(self.ok("ls", "-l", "photos/b"), r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d +1 bytes  [0-9a-f]{32}  b\n")
        stat = json.loads(self.ok("stat", "photos/ü ö"))
        self.assertEqual((stat["key"], stat["size"]), ("ü ö", 5))

    def test_objects(self):
        (self.folder / "f").write_bytes(b"one")
        (self.folder / "g").write_bytes(b"two")
        self.ok("put", "f", "g", "photos/d/")
        self.ok("put", "f", "photos/named")
        self.ok("cp", "photos/named", "photos/d/")
        self.ok("cp", "photos/named", "photos/other")
        self.assertEqual(self.ok("ls", "-r", "photos").split(), ["d/f", "d/g", "d/named", "named", "other"])
        (self.folder / "folder").mkdir()
        self.ok("get", "photos/d/g", "folder")
        self.assertEqual((self.folder / "folder" / "g").read_bytes(), b"two")
        (self.folder / "folder" / "g").unlink()
        self.ok("get", "photos/other")
        self.assertEqual((self.folder / "other").read_bytes(), b"one")
        url = self.ok("presign", "photos/named", "--expires", "5m").strip()
        self.assertEqual(urllib.request.urlopen(url).read(), b"one")
        url = self.ok("presign", "photos/uploaded", "--put").strip()
        request = urllib.request.Request(url, data=b"by url", method="PUT")
        self.assertEqual(urllib.request.urlopen(request).status, 200)
        self.assertEqual(self.cli("get", "photos/uploaded", "-").stdout, b"by url")
        self.ok("rm", "photos/named", "photos/never-there")
        self.fails(3, "photos/named", "stat", "photos/named")

    # ---- how it ends ----

    def test_exit_codes(self):
        self.s3.put("/photos/x", b"x")
        nobody = {"env": self.environment(AWS_ENDPOINT_URL=f"http://127.0.0.1:{PORTS.take()}")}
        stranger = {"env": self.environment(AWS_SECRET_ACCESS_KEY="another-secret-0123456789")}
        self.fails(2, "takes ls, put", )
        self.fails(2, "did you mean: lakehouse storage presign", "presing", "photos/x")
        self.fails(2, "takes BUCKET/KEY", "stat")
        self.fails(2, "names no object", "stat", "photos")
        self.fails(2, "names no bucket", "ls", "/")
        self.fails(2, "goes with --sync", "put", "f", "photos/", "--delete")
        self.fails(2, "-r means all", "rm", "photos")
        self.fails(2, "from 1s to 7d", "presign", "photos/x", "--expires", "8d")
        self.fails(2, "not the address of an S3 store", "ls", "--endpoint", "ftp://x")
        self.fails(2, "-j is at most", "ls", "-j", "1000")
        self.fails(3, "NoSuchBucket", "ls", "nobucket")
        self.fails(3, "photos/none", "get", "photos/none", "f")
        self.fails(3, "no objects below", "get", "photos/none/", "f")
        self.fails(3, "cannot look at missing", "put", "missing", "photos/")
        self.fails(5, "SignatureDoesNotMatch", "ls", "photos", **stranger)
        self.fails(6, "no connection", "ls", "photos", **nobody)
        self.assertFalse([name for name in os.listdir(self.folder) if name.endswith(".part") or name == "f"])

    def test_keys_that_are_no_names_of_files(self):
        for key in ("in/../../escape", "in//x", "in/a/./b", "in/.."):
            self.assertEqual(self.s3.put(S3.path("photos", key), b"x").status, 200)
            self.fails(1, "cannot be the name of a file", "get", "photos/in/", "target")
            self.ok("rm", f"photos/{key}")
        self.assertFalse((self.folder / "escape").exists())

    def test_faults_are_repaired_and_damage_is_noticed(self):
        proxy = FaultProxy(self.store.port)
        self.addCleanup(proxy.close)
        self.endpoint = proxy.url
        up = self.tree("up", 60)
        for fault in ("busy", "lose", "refuse", "error"):
            proxy.fault("PUT", "/photos/in/", fault, times=2)
            proxy.fault("GET", "/photos/in/", fault, times=2)
        proxy.fault("GET", "/photos/in/", "half", times=3)
        proxy.fault("GET", "list-type", "busy")
        self.assertEqual(self.sum("put", up, "photos/in")["files"], 60)
        self.assertEqual(self.sum("get", "photos/in/", "down")["files"], 60)
        self.assertEqual(self.contents(self.folder / "down"), self.contents(up))
        proxy.clear()
        (self.folder / "f").write_bytes(b"12345")
        self.ok("put", "f", "photos/f")
        proxy.fault("GET", "/photos/f", "corrupt")
        self.fails(1, "does not match", "get", "photos/f", "damaged")
        self.assertFalse([name for name in os.listdir(self.folder) if name.startswith("damaged")])

    def test_interrupt_leaves_nothing_behind(self):
        proxy = FaultProxy(self.store.port)
        self.addCleanup(proxy.close)
        self.endpoint = proxy.url
        proxy.fault("PUT", "partNumber=3", "stall", times=-1)
        proxy.fault("PUT", "partNumber=2", "stall", times=-1)
        (self.folder / "large").write_bytes(bytes(48 * MIB))
        process = subprocess.Popen(self.command("put", "large", "photos/large"), cwd=self.folder,
                                   stderr=subprocess.PIPE, env=self.environment())
        deadline = time.monotonic() + 30 * SLOWDOWN
        while proxy.count("PUT", "partNumber=3") == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30 * SLOWDOWN)
        self.assertEqual(process.returncode, 130, errors)
        self.assertEqual(self.s3.get("/photos", "uploads=").texts("Upload/UploadId"), [])
        self.assertEqual(self.s3.head("/photos/large").status, 404)

    def test_by_the_configuration(self):
        (self.folder / "lakehouse.toml").write_text(
            f'[storaged]\nlisten = "127.0.0.1:{self.store.port}"\n[keys]\nid = "{KEY_ID}"\nsecret = "{SECRET}"\n')
        bare = {key: value for key, value in self.environment().items() if not key.startswith("AWS_")}
        self.assertIn("photos", self.ok("ls", env=bare))
        (self.folder / "lakehouse.toml").write_text(
            f'[storaged]\nbackend = "s3"\ns3_endpoint = "{self.store.url}"\ns3_bucket = "photos"\n'
            f's3_access_key = "{KEY_ID}"\ns3_secret_key = "{SECRET}"\n')
        self.assertIn("photos", self.ok("ls", env=bare))
        self.assertIn("photos", self.ok("ls", "--endpoint", self.store.url, "--key-id", KEY_ID, "--secret", SECRET,
                                        "--config", "/dev/null", env=bare))


if __name__ == "__main__":
    main()
