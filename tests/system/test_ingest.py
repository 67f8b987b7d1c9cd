"""Files become datasets: real ones and generated ones, twice, appended, replaced; what fails leaves
nothing; and a kill -9 at any moment leaves all of a file or none of it."""

import csv
import io
import os
import threading
import time
from pathlib import Path

from support.lakehouse import SLOWDOWN, TestCase, main, shared


class Ingest(TestCase):
    def start(self, **settings):
        self.lake = self.stack("storaged", "catalogd", "ingestd", **settings)
        self.ingestd, self.catalogd, self.storaged = self.lake.ingestd, self.lake.catalogd, self.lake.storaged

    def ingest(self, dataset, body, query=""):
        return self.ingestd.post(f"/ingest?dataset={dataset}&{query}", body)

    def ingested(self, dataset, body, query="", status=201, word="created"):
        response = self.ingest(dataset, body, query)
        self.assertEqual(response.status, status, response)
        self.assertEqual(response.json()["status"], word)
        return response.json()

    def dataset(self, name):
        response = self.catalogd.get(f"/catalog/datasets/{name}")
        return response.json() if response.status == 200 else None

    def listed(self, prefix="datasets/"):
        keys, cursor = set(), ""
        while cursor is not None:
            page = self.storaged.get(f"/storage?prefix={prefix}&cursor={cursor}").json()
            keys |= {item["key"] for item in page["items"]}
            cursor = page["next"]
        return keys

    def referenced(self):
        """Every object that any snapshot of any dataset names."""
        keys = set()
        for item in self.catalogd.get("/catalog/datasets?limit=1000").json()["items"]:
            for snapshot in range(1, item["snapshot"] + 1):
                state = self.catalogd.get(f"/catalog/datasets/{item['dataset']}?snapshot={snapshot}").json()
                keys |= {entry["key"] for entry in state["objects"]}
        return keys

    def assertNothingLeft(self):
        self.assertEqual(self.listed(), self.referenced())
        folder = self.lake.folder / "data" / "ingestd"
        self.assertEqual(list((folder / "journal").iterdir()), [])
        self.assertEqual(list((folder / "spool").iterdir()), [])


def numbers(rows, column):
    return [float(row[column]) for row in rows if row[column] != ""]


class Files(Ingest):
    """Rows, names, extremes and empty values against Python's own reading of the same file."""

    def compare(self, name, query="", encoding="utf-8", exact=()):
        path = shared(f"csv/{name}.csv")
        with open(path, newline="", encoding=encoding) as file:
            header, *rows = csv.reader(file)
        answer = self.ingested(name, path.read_bytes(), query)
        self.assertEqual(answer["rows"], len(rows))
        names = [column["name"] for column in answer["schema"]]
        types = [column["type"] for column in answer["schema"]]
        self.assertEqual(len(names), len(header))
        self.assertEqual([ours for ours, theirs in zip(names, header) if theirs == ours.strip()],
                         [ours for ours in names if ours in header])
        [item] = self.dataset(name)["objects"]
        for index, (column, kind) in enumerate(zip(names, types)):
            stats = item["stats"][column]
            self.assertEqual(stats["nulls"], sum(row[index] == "" for row in rows), column)
            if kind in ("BIGINT", "DOUBLE") and "min" in stats:
                values = numbers(rows, index)
                self.assertEqual((float(stats["min"]), float(stats["max"])), (min(values), max(values)), column)
        for column, kind in exact:
            self.assertEqual(types[names.index(column)], kind, column)
        return answer

    def test_real_files(self):
        self.start()
        answer = self.compare("congress", exact=[("start_date", "DATE"), ("congress", "BIGINT"), ("age_years", "DOUBLE"),
                                                 ("chamber", "VARCHAR")])
        self.assertEqual((answer["rows"], answer["warnings"]), (29120, []))
        self.assertLess(answer["bytes_out"], answer["bytes_in"] / 3)
        self.compare("raptor", exact=[("player_name", "VARCHAR"), ("raptor_total", "DOUBLE"), ("season", "BIGINT")])
        self.compare("tweets", exact=[("text", "VARCHAR"), ("created_at", "TIMESTAMP"), ("id", "BIGINT")])
        self.compare("dc_characters", exact=[("name", "VARCHAR"), ("page_id", "BIGINT")])
        self.assertNothingLeft()

    def test_survey_in_another_encoding(self):
        """Two header rows, columns without a name, and bytes that are no UTF-8."""
        self.start()
        body = shared("csv/starwars_survey.csv").read_bytes()
        problem = self.assertProblem(self.ingest("survey", body), 422, "bad_data")
        self.assertEqual(problem["line"], 1)
        self.assertIn("?encoding=latin-1", problem["hint"])
        self.assertIsNone(self.dataset("survey"))
        answer = self.compare("starwars_survey", "encoding=latin-1", "latin-1")
        self.assertEqual({warning["code"] for warning in answer["warnings"]}, {"W-RENAMED"})
        self.assertNothingLeft()

    def test_generated(self):
        """A million values with every nuisance that is allowed."""
        self.start()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", "at", "word", "note", "amount", "maybe"])
        total, empty = 0, 0
        for i in range(160000):
            word = self.random.choice(["plain", 'with "quotes"', "with, comma", "with\nnewline", "ünïcode ✓", ""])
            cents = self.random.randrange(-10**6, 10**6)
            maybe = "" if self.random.random() < 0.1 else self.random.randrange(10**12)
            total, empty = total + cents, empty + (maybe == "")
            writer.writerow([i, f"2026-{i % 12 + 1:02d}-{i % 28 + 1:02d}T{i % 24:02d}:00:00", word, "x" * (i % 50),
                             f"{cents / 100:.2f}", maybe])
        answer = self.ingested("generated", text.getvalue().encode())
        self.assertEqual(answer["rows"], 160000)
        self.assertEqual({column["name"]: column["type"] for column in answer["schema"]},
                         {"id": "BIGINT", "at": "TIMESTAMP", "word": "VARCHAR", "note": "VARCHAR", "amount": "DOUBLE",
                          "maybe": "BIGINT"})
        [item] = self.dataset("generated")["objects"]
        self.assertEqual(item["stats"]["maybe"]["nulls"], empty)
        self.assertEqual(item["stats"]["id"], {"min": "0", "max": "159999", "nulls": 0})
        self.assertNothingLeft()


class Life(Ingest):
    def test_twice_append_replace(self):
        self.start()
        first = shared("csv/raptor.csv").read_bytes()
        header = first.split(b"\n")[0] + b"\n"
        made = self.ingested("raptor", first)
        again = self.ingested("raptor", first, status=200, word="unchanged")
        self.assertEqual((again["snapshot"], again["content_id"], again["rows"]),
                         (made["snapshot"], made["content_id"], made["rows"]))
        problem = self.assertProblem(self.ingest("raptor", first + first.split(b"\n")[5] + b"\n"), 409,
                                     "already_exists")
        self.assertIn("mode=append", problem["hint"])

        part = header + b"\n".join(first.split(b"\n")[1:101]) + b"\n"
        added = self.ingested("raptor", part, "mode=append", 200, "appended")
        self.assertEqual((added["snapshot"], added["rows"]), (2, 100))
        self.ingested("raptor", part, "mode=append", 200, "unchanged")
        self.assertEqual(self.dataset("raptor")["rows"], made["rows"] + 100)

        self.ingested("raptor", part, "mode=replace", 200, "replaced")
        self.ingested("raptor", part, "mode=replace", 200, "unchanged")
        self.assertEqual(self.dataset("raptor")["rows"], 100)
        past = self.catalogd.get("/catalog/datasets/raptor?snapshot=2").json()
        self.assertEqual((past["rows"], len(past["objects"])), (made["rows"] + 100, 2))
        self.assertNothingLeft()

    def test_a_bad_row_names_its_line(self):
        self.start()
        lines = shared("csv/congress.csv").read_bytes().split(b"\n")
        self.ingested("congress", b"\n".join(lines))
        bad = list(lines)
        bad[20000] = bad[20000].replace(b",", b",surplus,", 1)
        problem = self.assertProblem(self.ingest("ragged", b"\n".join(bad)), 422, "bad_data")
        self.assertEqual(problem["line"], 20001)
        bad = list(lines)
        bad[25000] = b'"not a number"' + bad[25000][bad[25000].index(b","):]
        problem = self.assertProblem(self.ingest("congress", b"\n".join(bad), "mode=append"), 422, "bad_data")
        self.assertEqual((problem["line"], problem["column"], problem["excerpt"]), (25001, 1, "not a number"))
        self.assertIn("'congress'", problem["detail"])
        self.assertIsNone(self.dataset("ragged"))
        self.assertEqual(self.dataset("congress")["snapshot"], 1)
        self.assertNothingLeft()

    def test_it_is_all_there_after_a_restart(self):
        self.start()
        body = shared("csv/dc_characters.csv").read_bytes()
        made = self.ingested("dc", body)
        for service in (self.ingestd, self.catalogd, self.storaged):
            service.kill()
        for service in (self.storaged, self.catalogd, self.ingestd):
            service.start()
        again = self.ingested("dc", body, status=200, word="unchanged")
        self.assertEqual(again["dataset_id"], made["dataset_id"])


class Killed(Ingest):
    """kill -9 at moments spread over an ingest, from the first byte to after the answer."""

    ROWS = 60000

    def body(self, number):
        return b"id,text\n" + b"".join(b"%d,some text of row %d\n" % (i + number, i) for i in range(self.ROWS))

    def workers(self):
        found = set()
        for task in Path(f"/proc/{self.ingestd.pid}/task").glob("*/children"):
            found |= {int(pid) for pid in task.read_text().split()}
        return found

    def kill_after(self, victim, seconds, number, query):
        """Starts an ingest, kills `victim` meanwhile, starts it again; the answer, or None."""
        answers = []

        def post():
            try:
                answers.append(self.ingest("d", self.body(number), query))
            except OSError:
                answers.append(None)

        poster = threading.Thread(target=post)
        poster.start()
        time.sleep(seconds)
        workers = self.workers() if victim is self.ingestd else set()
        victim.kill()
        victim.start()
        poster.join()
        for pid in workers:
            for _ in range(200):
                if not os.path.exists(f"/proc/{pid}"):
                    break
                time.sleep(0.01)
            self.assertFalse(os.path.exists(f"/proc/{pid}"), "a worker outlived its service")
        return answers[0]

    def settle(self):
        deadline = time.monotonic() + 30 * SLOWDOWN
        while time.monotonic() < deadline:
            health = self.ingestd.get("/health").json()
            if health["unsettled"] == 0 and health["jobs"] == 0:
                return
            time.sleep(0.05)
        self.fail(f"not settled: {health}")

    def loop(self, victim_of, count):
        self.start()
        began = time.monotonic()
        self.ingested("d", self.body(0))
        whole = time.monotonic() - began
        present = 1
        for number in range(1, count + 1):
            answer = self.kill_after(victim_of(), whole * 1.3 * number / count, number, "mode=append")
            self.settle()
            dataset = self.dataset("d")
            self.assertEqual(dataset["rows"] % self.ROWS, 0, "half a file")
            now = dataset["rows"] // self.ROWS
            self.assertIn(now, (present, present + 1))
            if answer is not None and answer.status == 200:
                self.assertEqual(now, present + 1, "acknowledged and lost")
            self.assertNothingLeft()
            # Whatever happened, the same request again ends with the file there once.
            again = self.ingest("d", self.body(number), "mode=append")
            self.assertEqual(again.status, 200, again)
            present += 1
            self.assertEqual(self.dataset("d")["rows"], present * self.ROWS)
        self.assertNothingLeft()

    def test_ingestd(self):
        self.loop(lambda: self.ingestd, 12)

    def test_catalogd(self):
        self.loop(lambda: self.catalogd, 8)

    def test_storaged(self):
        self.loop(lambda: self.storaged, 8)

    def test_creation(self):
        """Killed while the very first commit is made: the dataset is there whole, or not at all."""
        self.start()
        for number in range(1, 9):
            done = []

            def post():
                try:
                    done.append(self.ingest(f"n{number}", self.body(number)).status)
                except OSError:
                    done.append(None)

            poster = threading.Thread(target=post)
            poster.start()
            time.sleep(0.03 * number)
            self.ingestd.kill()
            self.ingestd.start()
            poster.join()
            self.settle()
            dataset = self.dataset(f"n{number}")
            if done[0] == 201:
                self.assertIsNotNone(dataset)
            if dataset is not None:
                self.assertEqual(dataset["rows"], self.ROWS)
            self.assertNothingLeft()


if __name__ == "__main__":
    main()
