"""SQL over what was ingested: every figure is computed a second time, in Python, from the same bytes."""

import csv
import io
import json
import math
import os
import signal
import threading
import time
import unittest
from collections import Counter, defaultdict
from pathlib import Path

from support.lakehouse import SLOWDOWN, TestCase, shared


class Lake(TestCase):
    def lake(self, **settings):
        return self.stack("storaged", "catalogd", "ingestd", "queryd", **settings)

    def ingest(self, lake, name, text, mode="create", **more):
        body = text if isinstance(text, bytes) else text.encode()
        response = lake.ingestd.post(f"/ingest?dataset={name}&mode={mode}", body, {"Content-Type": "text/csv"}, **more)
        self.assertIn(response.status, (200, 201), response)
        return response.json()

    def sql(self, lake, statement, status=200, **body):
        response = lake.queryd.post("/sql", {"sql": statement, **body})
        self.assertEqual(response.status, status, (statement, response))
        return response.json()

    def rows(self, lake, statement, **body):
        return self.sql(lake, statement, **body)["rows"]

    def events(self, count, first=0):
        """A table of made-up events as CSV and as Python rows."""
        rows = []
        for i in range(first, first + count):
            rows.append((i, self.random.choice(["view", "click", "buy"]), self.random.randrange(1, 50),
                         round(self.random.uniform(0, 100), 3), self.random.choice(["", "a,b", 'say "hi"', "zwölf"])))
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("id", "kind", "customer", "amount", "note"))
        writer.writerows(rows)
        return out.getvalue(), rows


class Figures(Lake):
    def test_generated_rows(self):
        lake = self.lake()
        text, rows = self.events(20000)
        self.assertEqual(self.ingest(lake, "events", text)["rows"], 20000)

        self.assertEqual(self.rows(lake, "SELECT count(*), sum(id), min(customer), max(customer) FROM events"),
                         [[20000, sum(r[0] for r in rows), min(r[2] for r in rows), max(r[2] for r in rows)]])
        total = defaultdict(float)
        for r in rows:
            total[r[1]] += r[3]
        answer = self.rows(lake, "SELECT kind, count(*), sum(amount) FROM events GROUP BY kind ORDER BY kind")
        kinds = Counter(r[1] for r in rows)
        self.assertEqual([(k, n) for k, n, _ in answer], sorted(kinds.items()))
        for kind, _, amount in answer:
            self.assertTrue(math.isclose(amount, total[kind], rel_tol=1e-9))
        # every row, every column
        answer = self.rows(lake, "SELECT id, kind, customer, amount, coalesce(note, '') FROM events ORDER BY id")
        self.assertEqual([tuple(r) for r in answer], rows)

    def test_join(self):
        lake = self.lake()
        text, rows = self.events(5000)
        self.ingest(lake, "events", text)
        customers = {i: self.random.choice(["Bern", "Köln", "Wien"]) for i in range(1, 50, 2)}
        self.ingest(lake, "crm.customers", "customer,city\n" + "".join(f"{k},{v}\n" for k, v in customers.items()))
        answer = self.rows(lake, "SELECT c.city, count(*), sum(e.amount) FROM events e JOIN crm.customers c "
                                 "USING (customer) WHERE e.kind = $1 GROUP BY ALL ORDER BY ALL", params=["buy"])
        count, amount = Counter(), defaultdict(float)
        for r in rows:
            if r[1] == "buy" and r[2] in customers:
                count[customers[r[2]]] += 1
                amount[customers[r[2]]] += r[3]
        self.assertEqual([(c, n) for c, n, _ in answer], sorted(count.items()))
        for city, _, value in answer:
            self.assertTrue(math.isclose(value, amount[city], rel_tol=1e-9))
        answer = self.rows(lake, "SELECT count(*) FROM events e LEFT JOIN crm.customers c USING (customer) "
                                 "WHERE c.city IS NULL")
        self.assertEqual(answer, [[sum(1 for r in rows if r[2] not in customers)]])
        self.assertEqual(self.rows(lake, "SHOW TABLES"), [["crm.customers"], ["events"]])

    def test_real_files(self):
        lake = self.lake()
        path = shared("csv/congress.csv")
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(self.ingest(lake, "congress", path.read_bytes())["rows"], len(rows))
        self.assertEqual(self.rows(lake, "SELECT count(*), sum(age_days), min(start_date), count(DISTINCT bioguide_id) "
                                         "FROM congress"),
                         [[len(rows), sum(int(r["age_days"]) for r in rows), min(r["start_date"] for r in rows),
                           len({r["bioguide_id"] for r in rows})]])
        answer = self.rows(lake, "SELECT generation, chamber, count(*), avg(age_years) FROM congress "
                                 "GROUP BY ALL ORDER BY ALL")
        groups = defaultdict(list)
        for r in rows:
            groups[r["generation"], r["chamber"]].append(float(r["age_years"]))
        self.assertEqual([(g, c, n) for g, c, n, _ in answer], sorted((g, c, len(v)) for (g, c), v in groups.items()))
        for generation, chamber, _, mean in answer:
            values = groups[generation, chamber]
            self.assertTrue(math.isclose(mean, math.fsum(values) / len(values), rel_tol=1e-9))

        path = shared("csv/raptor.csv")
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.ingest(lake, "raptor", path.read_bytes())
        best = defaultdict(float)
        for r in rows:
            best[r["player_name"]] += float(r["war_total"])
        wanted = sorted(best.items(), key=lambda item: -item[1])[:10]
        answer = self.rows(lake, "SELECT player_name, sum(war_total) w FROM raptor GROUP BY 1 ORDER BY w DESC LIMIT 10")
        self.assertEqual([name for name, _ in answer], [name for name, _ in wanted])

        path = shared("csv/tweets.csv")
        with open(path, newline="", encoding="utf-8") as file:
            texts = [r["text"] for r in csv.DictReader(file)]
        self.ingest(lake, "tweets", path.read_bytes())
        answer = self.rows(lake, "SELECT count(*), sum(length(text)), count(*) FILTER (WHERE contains(text, '😂')) "
                                 "FROM tweets")
        self.assertEqual(answer, [[len(texts), sum(len(t) for t in texts), sum("😂" in t for t in texts)]])

    def test_three_formats(self):
        lake = self.lake()
        text, rows = self.events(3000)
        self.ingest(lake, "events", text)
        statement = "SELECT id, kind, amount, coalesce(note, '') AS note FROM events ORDER BY id"
        wanted = [(r[0], r[1], r[3], r[4]) for r in rows]
        kind = {"Content-Type": "text/plain"}
        answer = lake.queryd.post("/sql", statement, kind)
        self.assertEqual([tuple(r) for r in answer.json()["rows"]], wanted)
        answer = lake.queryd.post("/sql?format=ndjson", statement, kind)
        self.assertEqual([tuple(json.loads(line).values()) for line in answer.text.splitlines()], wanted)
        answer = lake.queryd.post("/sql", statement, {**kind, "Accept": "text/csv"})
        parsed = list(csv.reader(io.StringIO(answer.text, newline="")))
        self.assertEqual(parsed[0], ["id", "kind", "amount", "note"])
        self.assertEqual([(int(a), b, float(c), d) for a, b, c, d in parsed[1:]], wanted)
        # what comes out can go in again
        again = self.ingest(lake, "again", answer.body)
        self.assertEqual(again["rows"], 3000)
        self.assertEqual(self.rows(lake, "SELECT count(*) FROM events JOIN again USING (id, kind, amount)"), [[3000]])

    def test_describe(self):
        lake = self.lake()
        self.ingest(lake, "t", "a,b,c\n1,x,2026-01-31\n2,y,2026-02-01\n")
        answer = self.rows(lake, "DESCRIBE t")
        self.assertEqual([r[:2] for r in answer], [["a", "BIGINT"], ["b", "VARCHAR"], ["c", "DATE"]])
        self.assertEqual(self.rows(lake, "SELECT max(c), max(c) - min(c) FROM t"), [["2026-02-01", 1]])
        self.assertEqual(len(self.rows(lake, "SUMMARIZE t")), 3)
        plan = self.rows(lake, "EXPLAIN SELECT a FROM t WHERE b = 'x'")[0][1]
        self.assertIn("READ_PARQUET", plan)
        self.assertNotIn(str(self.folder), plan)
        self.assertEqual(self.rows(lake, "WITH t AS (SELECT 7 AS a) SELECT a FROM t"), [[7]])
        self.assertEqual(self.rows(lake, "WITH t AS (SELECT a + 1 AS a FROM t) SELECT sum(a) FROM t"), [[5]])
        problem = self.sql(lake, "SELECT filename FROM t", 400)
        self.assertEqual(problem["code"], "invalid_sql")


class Time(Lake):
    def test_time_travel(self):
        lake = self.lake()
        first = self.ingest(lake, "t", "a\n1\n2\n")
        self.assertEqual(self.rows(lake, "SELECT sum(a) FROM t"), [[3]])
        time.sleep(0.01)
        between = time.time()
        time.sleep(0.01)
        second = self.ingest(lake, "t", "a\n10\n", "append")
        third = self.ingest(lake, "t", "a\n100\n", "replace")
        one, two, three = first["snapshot"], second["snapshot"], third["snapshot"]
        self.assertEqual(self.rows(lake, "SELECT sum(a) FROM t"), [[100]])
        for snapshot, total in ((one, 3), (two, 13), (three, 100)):
            self.assertEqual(self.rows(lake, "SELECT sum(a) FROM t", snapshots={"t": snapshot}), [[total]])
            self.assertEqual(self.rows(lake, f"SELECT sum(a) FROM t AT (VERSION => {snapshot})"), [[total]])
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(between)) + f".{int(between % 1 * 1000):03}Z"
        self.assertEqual(self.rows(lake, "SELECT sum(a) FROM t", as_of=when), [[3]])
        self.assertEqual(self.rows(lake, f"SELECT sum(a) FROM t AT (TIMESTAMP => '{when}')"), [[3]])
        # several times in one statement
        answer = self.rows(lake, f"SELECT (SELECT sum(a) FROM t), x.a, t.a FROM t x AT (VERSION => {one}), t "
                                 f"ORDER BY ALL")
        self.assertEqual(answer, [[100, 1, 100], [100, 2, 100]])
        answer = self.rows(lake, f"WITH old AS (FROM t AT (VERSION => {two})) SELECT sum(old.a), max(t.a) FROM old, t")
        self.assertEqual(answer, [[13, 100]])
        # what is written in the statement counts most
        self.assertEqual(self.rows(lake, f"SELECT sum(a) FROM t AT (VERSION => {one})", snapshots={"t": two}), [[3]])
        # and the present is still the present
        self.assertEqual(self.rows(lake, "SELECT sum(a) FROM t"), [[100]])
        self.assertEqual(self.sql(lake, "SELECT * FROM t", 404, snapshots={"t": 99})["code"], "not_found")
        self.assertEqual(self.sql(lake, "SELECT * FROM t AT (VERSION => 99)", 404)["code"], "not_found")
        self.assertEqual(self.sql(lake, "SELECT * FROM t", 404, as_of="2001-01-01")["code"], "not_found")
        local = when[:-1].replace("T", " ")  # as SQL writes it; without a zone it is UTC
        self.assertEqual(self.rows(lake, f"SELECT sum(a) FROM t AT (TIMESTAMP => TIMESTAMP '{local}')"), [[3]])
        problem = self.sql(lake, "SELECT *\nFROM t AT (TIMESTAMP => 'x')", 400)
        self.assertEqual((problem["code"], problem["line"], problem["column"]), ("invalid_sql", 2, 6))

    def test_read_your_writes(self):
        """A query sent after an ingest's answer sees it, many times over."""
        lake = self.lake()
        total = 0
        self.ingest(lake, "t", "a\n0\n")
        for i in range(1, 25):
            self.ingest(lake, "t", f"a\n{i}\n", "append")
            total += i
            self.assertEqual(self.rows(lake, "SELECT sum(a), count(*) FROM t"), [[total, i + 1]])
        self.assertEqual(lake.catalogd.delete("/catalog/datasets/t").status, 204)
        self.assertEqual(self.sql(lake, "SELECT * FROM t", 400)["code"], "invalid_sql")
        self.ingest(lake, "t", "b\nnew\n")
        self.assertEqual(self.rows(lake, "SELECT * FROM t"), [["new"]])
        self.assertEqual(self.rows(lake, "SELECT * FROM t", snapshots={"t": 1}), [["new"]])
        self.assertEqual(self.rows(lake, "SELECT * FROM t AT (VERSION => 1)"), [["new"]])

    def test_readers_beside_a_writer(self):
        """Every answer is that of some whole snapshot, and never older than the one before."""
        lake = self.lake()
        self.ingest(lake, "t", "a\n1\n1\n1\n")
        stop, problems = threading.Event(), []

        def read():
            last = 0
            while not stop.is_set():
                count, total = self.rows(lake, "SELECT count(*), sum(a) FROM t")[0]
                if count != total or count % 3 or count < last:
                    problems.append((last, count, total))
                last = count

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for i in range(12):
            # each append must differ from the others, or it would be unchanged
            self.ingest(lake, "t", "a\n" + "1\n" * 3 * (i + 2), "append")
        stop.set()
        for reader in readers:
            reader.join()
        self.assertEqual(problems, [])

    def test_restart_of_the_catalog(self):
        lake = self.lake()
        self.ingest(lake, "t", "a\n1\n")
        self.assertEqual(self.rows(lake, "SELECT sum(a) FROM t"), [[1]])
        lake.catalogd.kill()
        problem = self.sql(lake, "SELECT sum(a) FROM t", 503)
        self.assertEqual(problem["code"], "unavailable")
        lake.catalogd.restart()
        self.assertEqual(self.rows(lake, "SELECT sum(a) FROM t"), [[1]])
        self.ingest(lake, "t", "a\n2\n", "append")
        self.assertEqual(self.rows(lake, "SELECT sum(a) FROM t"), [[3]])

    def test_restart_of_queryd(self):
        lake = self.lake()
        text, rows = self.events(2000)
        self.ingest(lake, "events", text)
        for _ in range(2):
            self.assertEqual(self.rows(lake, "SELECT sum(id) FROM events"), [[sum(r[0] for r in rows)]])
            lake.queryd.kill()
            lake.queryd.restart()


class Access(Lake):
    def test_bad_sql_shows_the_place(self):
        lake = self.lake()
        self.ingest(lake, "events", "id,kind\n1,a\n")
        problem = self.sql(lake, "SELECT kind,\n       knd\nFROM events", 400)
        self.assertEqual((problem["code"], problem["line"], problem["column"]), ("invalid_sql", 2, 8))
        self.assertEqual(problem["excerpt"], "       knd\n       ^")
        problem = self.sql(lake, "SELECT *\nFROM evens", 400)
        self.assertEqual((problem["line"], problem["column"], problem["hint"]), (2, 6, "did you mean events?"))
        problem = self.sql(lake, "SELEC * FROM events", 400)
        self.assertEqual((problem["line"], problem["column"], problem["excerpt"]), (1, 1, "SELEC * FROM events\n^"))
        self.assertEqual(self.rows(lake, "SELECT ID FROM EVENTS"), [[1]])

    def test_writes_and_files_are_refused(self):
        lake = self.lake()
        self.ingest(lake, "events", "id,kind\n" + "".join(f"{i},{i * i}\n" for i in range(30000)))
        objects = lake.storaged.get("/storage?prefix=datasets/").json()["items"]
        self.assertEqual(len(objects), 1)
        located = lake.storaged.get(f"/storage/{objects[0]['key']}?locate").json()["path"]
        self.assertTrue(located, "a local file is needed for this test")
        content = Path(located).read_bytes()
        folder = Path(located).parent
        for statement in (f"FROM read_parquet('{located}')", f"FROM glob('{folder}/*')",
                          f"COPY (SELECT 1) TO '{located}' (FORMAT parquet, USE_TMP_FILE false)",
                          f"COPY (SELECT 1) TO '{folder}/x.parquet'", f"ATTACH '{folder}/x.db'",
                          "INSERT INTO events VALUES (1, 2)", "DELETE FROM events", "UPDATE events SET id = 0",
                          "DROP VIEW events", "CREATE OR REPLACE VIEW events AS SELECT 1",
                          "FROM parquet_metadata('x')", f"SELECT * FROM query('FROM \"{located}\"')"):
            self.sql(lake, statement, 403)
        self.assertEqual(self.sql(lake, f"FROM '{located}'", 400)["code"], "invalid_sql")
        self.assertEqual(Path(located).read_bytes(), content)
        self.assertEqual(sorted(p.name for p in folder.iterdir()), [Path(located).name])
        self.assertEqual(self.rows(lake, "SELECT count(*), sum(kind) FROM events"),
                         [[30000, sum(i * i for i in range(30000))]])

    def test_objects_without_a_local_file(self):
        """Small objects live in storaged's index, others may be anywhere: then queryd keeps copies."""
        lake = self.lake(**{"queryd.cache_bytes_max": "1MiB"})
        total = 0
        for i in range(30):
            self.ingest(lake, f"t{i}", f"a\n{i}\n")
            total += i
        union = " UNION ALL ".join(f"SELECT a FROM t{i}" for i in range(30))
        self.assertEqual(self.rows(lake, f"SELECT sum(a) FROM ({union})"), [[total]])
        self.assertEqual(self.rows(lake, f"SELECT sum(a) FROM ({union})"), [[total]])
        metrics = dict(line.rsplit(" ", 1) for line in lake.queryd.get("/metrics").text.splitlines() if line[0] != "#")
        self.assertEqual(float(metrics["lakehouse_queryd_cache_misses_total"]), 30)
        self.assertGreaterEqual(float(metrics["lakehouse_queryd_cache_hits_total"]), 30)

    def test_a_dataset_made_again(self):
        """The same name, id and snapshot number, other rows: never the old ones."""
        lake = self.lake()
        for value in (1, 2):
            self.ingest(lake, "again", f"a\n{value}\n")
            self.assertEqual(self.rows(lake, "SELECT a FROM again"), [[value]])
            self.assertEqual(lake.catalogd.delete("/catalog/datasets/again").status, 204)

    def test_any_name_of_the_data_folder(self):
        """What would be a pattern, a quote or a partition to the engine is a name to us."""
        for name in ("with space", "it's", "[ab]c", "star*", "what?", "year=2026", 'say "x"', "zwölf"):
            with self.subTest(name):
                lake = self.lake(data_dir=str(self.folder / name))
                self.ingest(lake, "t", "a\n" + "".join(f"{i * 7919 % 100003}\n" for i in range(60000)))
                columns = self.rows(lake, "DESCRIBE t")
                self.assertEqual([c[0] for c in columns], ["a"])
                self.assertEqual(self.rows(lake, "SELECT count(*) FROM t"), [[60000]])
                lake.stop()

    def test_cache_on_another_disk(self):
        """queryd's folder may be a link."""
        elsewhere = self.folder / "elsewhere"
        data = self.folder / "data"
        elsewhere.mkdir()
        data.mkdir()
        (data / "queryd").symlink_to(elsewhere)
        lake = self.lake(data_dir=str(data))
        self.ingest(lake, "t", "a\n1\n2\n")
        self.assertEqual(self.rows(lake, "SELECT sum(a) FROM t"), [[3]])
        self.assertEqual(len(list((elsewhere / "cache").glob("*.parquet"))), 1)

    def test_another_data_folder(self):
        """A queryd that cannot see storaged's files works through its cache."""
        lake = self.stack("storaged", "catalogd", "ingestd")
        text, rows = self.events(20000)
        self.ingest(lake, "events", text)
        urls = {"storaged": lake.storaged.url, "catalogd": lake.catalogd.url}
        lake.queryd = self.service("queryd", urls)
        self.assertEqual(self.rows(lake, "SELECT sum(id) FROM events"), [[sum(r[0] for r in rows)]])
        cache = lake.queryd.dir / "data" / "queryd" / "cache"
        self.assertEqual(len(list(cache.glob("*.parquet"))), 1)
        small = self.service("queryd", urls, **{"queryd.cache_bytes_max": "1MiB"})
        self.ingest(lake, "big", "a,b\n" + "".join(f"{i},{os.urandom(20).hex()}\n" for i in range(60000)))
        response = small.post("/sql", {"sql": "SELECT count(*) FROM big"})
        self.assertEqual((response.status, response.json()["code"]), (507, "storage_full"), response)
        self.assertEqual(small.post("/sql", {"sql": "SELECT count(*) FROM events"}).json()["rows"], [[20000]])


class Endings(Lake):
    ENDLESS = "SELECT sum(a.id * b.id * c.id) FROM events a, events b, events c"

    def setUp(self):
        super().setUp()
        self.lakehouse_ = self.lake()
        self.ingest(self.lakehouse_, "events", self.events(20000)[0])

    def workers(self):
        pids = []
        for task in Path(f"/proc/{self.lakehouse_.queryd.pid}/task").iterdir():
            pids += [int(pid) for pid in (task / "children").read_text().split()]
        return pids

    def running(self):
        return [i for i in self.lakehouse_.queryd.get("/sql").json()["items"] if i["state"] == "running"]

    def start(self, statement, **body):
        result = {}
        thread = threading.Thread(target=lambda: result.update(
            response=self.lakehouse_.queryd.post("/sql", {"sql": statement, **body})))
        thread.start()
        deadline = time.monotonic() + 5 * SLOWDOWN
        while not self.running() and time.monotonic() < deadline:
            time.sleep(0.01)
        return thread, result

    def works(self):
        self.assertEqual(self.rows(self.lakehouse_, "SELECT count(*) FROM events"), [[20000]])

    def test_cancel(self):
        thread, result = self.start(self.ENDLESS)
        self.assertEqual(self.lakehouse_.queryd.delete(f"/sql/{self.running()[0]['query_id']}").status, 204)
        thread.join(5 * SLOWDOWN)
        self.assertEqual(result["response"].json()["code"], "cancelled")
        self.works()

    def test_deadline(self):
        started = time.monotonic()
        self.assertEqual(self.sql(self.lakehouse_, self.ENDLESS, 504, timeout_ms=400)["code"], "query_timeout")
        self.assertLess(time.monotonic() - started, 3 * SLOWDOWN)
        self.works()

    def test_kill_of_a_worker(self):
        thread, result = self.start("SELECT count(*) FROM events a, events b WHERE a.id + b.id = 7")
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)
        thread.join()
        self.assertEqual(result["response"].json()["rows"], [[8]])
        self.works()
        self.assertEqual(self.lakehouse_.queryd.get("/health").json()["status"], "ok")


if __name__ == "__main__":
    unittest.main()
