#!/usr/bin/env python3
"""`lakehouse vector`: indexes made, filled from every kind of source, searched and deleted from the shell."""

import csv
import io
import json
import random
import subprocess

from support.lakehouse import BIN, SLOWDOWN, TestCase, main, sanitizer_environment
from support.vectors import clustered, nearest

DIMENSION = 4
COUNT = 250


class VectorCli(TestCase):
    def lake(self):
        self.stack_ = self.stack()
        self.data = clustered(random.Random(5), COUNT, DIMENSION)
        self.cli("create", "docs", "--dimension", str(DIMENSION), "--metric", "l2")
        return self.stack_

    def cli(self, *arguments, status=0, stdin=None):
        """What `lakehouse vector ...` prints: a list of documents; or stderr of a failure."""
        url = f"http://127.0.0.1:{self.stack_.gateway.port}"
        done = subprocess.run([str(BIN / "lakehouse"), "vector", *arguments, "--url", url], input=stdin,
                              text=True, capture_output=True, timeout=60 * SLOWDOWN, cwd=self.folder,
                              env=sanitizer_environment())
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        return [json.loads(line) for line in done.stdout.splitlines()] if status == 0 else done.stderr

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def ndjson(self, count=COUNT):
        return "".join(json.dumps({"id": i, "vector": self.data[i], "metadata": {"part": i % 5}}) + "\n"
                       for i in range(count))

    def found(self, *more):
        hits = self.cli("search", "docs", json.dumps(self.data[3]), "-k", "5", *more)
        return [hit["id"] for hit in hits]

    def test_a_whole_life(self):
        self.lake()
        path = self.file("items.ndjson", self.ndjson())
        self.assertEqual(self.cli("add", "docs", path, "--batch", "100"),
                         [{"added": COUNT, "updated": 0, "durable": True}])
        self.assertEqual(self.cli("add", "docs", "-", stdin=self.ndjson(7)),
                         [{"added": 0, "updated": 7, "durable": True}])
        wanted = [str(i) for i in nearest("l2", self.data, self.data[3], 5)]
        self.assertEqual(self.found(), wanted)
        self.assertEqual(self.found("--exact", "--ef", "100"), wanted)
        self.assertNotIn("3", [hit["id"] for hit in self.cli("search", "docs", "--id", "3")])
        hits = self.cli("search", "docs", json.dumps(self.data[3]), "--filter", '{"part": 2}')
        self.assertEqual({hit["metadata"]["part"] for hit in hits}, {2})
        [stats] = self.cli("stats", "docs")
        self.assertEqual((stats["name"], stats["count"]), ("docs", COUNT))
        self.assertEqual([index["name"] for index in self.cli("ls")], ["docs"])
        [recall] = self.cli("recall", "docs", "--sample", "20", "-k", "5")
        self.assertEqual((recall["recall"], recall["sample"]), (1, 20))
        self.assertEqual(self.cli("delete", "docs", "3", "4", "nope")[0]["deleted"], 2)
        self.assertEqual(self.cli("delete", "docs", "--filter", '{"part": 0}')[0]["deleted"], COUNT // 5)
        self.assertNotIn("3", self.found())
        self.cli("drop", "docs")
        self.assertEqual(self.cli("ls"), [])
        self.assertIn("docs", self.cli("stats", "docs", status=3))

    def test_files_that_the_server_reads(self):
        lake = self.lake()
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["key", "embedding", "part", "title"])
        for i in range(COUNT):
            writer.writerow([i, json.dumps(self.data[i]), i % 5, f"title {i}"])
        columns = ("--id-column", "key", "--vector-column", "embedding")
        path = self.file("items.csv", out.getvalue())
        self.assertEqual(self.cli("add", "docs", path, *columns)[0]["added"], COUNT)
        self.assertEqual(self.found(), [str(i) for i in nearest("l2", self.data, self.data[3], 5)])
        [hit] = self.cli("search", "docs", json.dumps(self.data[3]), "-k", "1")
        self.assertEqual(hit["metadata"], {"part": 3, "title": "title 3"})
        self.assertEqual(lake.catalogd.get("/catalog/datasets").json()["items"], [])
        # The same rows as a Parquet file, which the lake has made of them.
        self.assertEqual(lake.ingestd.post("/ingest?dataset=kept", out.getvalue().encode(),
                                           {"Content-Type": "text/csv"}).status, 201)
        key = lake.storaged.get("/storage?prefix=datasets/main/kept/data/").json()["items"][0]["key"]
        parquet = self.folder / "items.parquet"
        parquet.write_bytes(lake.storaged.get(f"/storage/{key}").body)
        self.assertEqual(self.cli("add", "docs", str(parquet), *columns)[0]["updated"], COUNT)
        sql = "SELECT key + 1000 AS id, embedding AS vector, {'a': part}::JSON AS metadata FROM kept WHERE part = 1"
        self.assertEqual(self.cli("add", "docs", "--sql", sql)[0]["added"], COUNT // 5)
        [hit] = self.cli("search", "docs", "--id", "1001", "-k", "1")
        self.assertEqual(hit["distance"], 0)

    def test_mistakes(self):
        self.lake()
        vector = json.dumps([0] * DIMENSION)
        for arguments, status, part in (
                ((), 2, "lakehouse vector what?"), (("serach",), 2, "did you mean: lakehouse vector search"),
                (("create", "x"), 2, "--dimension"), (("add", "docs"), 2, "add what?"),
                (("add", "docs", "f", "--sql", "FROM t"), 2, "add what?"),
                (("search", "docs"), 2, "search for what?"),
                (("search", "docs", "x"), 2, "the vector is an array"),
                (("search", "docs", "[1]"), 1, "components"), (("search", "nope", vector), 3, "nope"),
                (("search", "docs", vector, "--filter", "{"), 2, "--filter"),
                (("delete", "docs"), 2, "delete what?"), (("stats",), 2, "usage: lakehouse vector stats"),
                (("drop", "nope"), 3, "nope"), (("create", "docs", "--dimension", "9"), 4, "docs"),
                (("add", "docs", "/nowhere/x.ndjson"), 3, "cannot open"),
                (("add", "docs", self.file("a.ndjson", '{"id":1}')), 1, 'row 1 has no "vector"'),
                (("add", "docs", self.file("b.ndjson", '{"vector":[1,2,3,4]}')), 1, "--id-column"),
                (("add", "docs", self.file("c.ndjson", '{"id":1,"vector":7}')), 1, "no array of numbers"),
                (("add", "docs", self.file("d.ndjson", "{")), 1, "row 1"),
                (("add", "docs", self.file("e.ndjson", '{"id":1,"vector":[1]}')), 1, "components"),
                (("add", "docs", "--sql", "FROM nope"), 1, "nope")):
            self.assertIn(part, self.cli(*arguments, status=status), arguments)
        self.assertEqual(self.cli("stats", "docs")[0]["count"], 0)


if __name__ == "__main__":
    main()
