#!/usr/bin/env python3
"""vector_search in SQL: hits of vectord as a table, beside the datasets of the catalog."""

import json
import random

from support.lakehouse import TestCase, main
from support.vectors import add_all, clustered, nearest

DIMENSION = 8
COUNT = 300


class VectorSql(TestCase):
    def lake(self, *more, **settings):
        self.lake_ = self.stack("storaged", "queryd", "vectord", *more, **settings)
        self.data = clustered(random.Random(3), COUNT, DIMENSION)
        self.lake_.vectord.post("/vectors",
                                {"name": "docs", "dimension": DIMENSION, "metric": "l2"})
        add_all(self.lake_.vectord, "docs", self.data, metadata=lambda i: {"part": i % 10})
        return self.lake_

    def sql(self, statement, status=200, **body):
        response = self.lake_.queryd.post("/sql", {"sql": statement, **body})
        self.assertEqual(response.status, status, (statement, response))
        return response.json()

    def rows(self, statement, **body):
        return self.sql(statement, **body)["rows"]

    def literal(self, i):
        return "[" + ", ".join(repr(x) for x in self.data[i]) + "]"

    def test_hits_are_rows(self):
        self.lake()
        answer = self.sql(f"SELECT * FROM vector_search('docs', {self.literal(5)}, k := 4)")
        self.assertEqual([(c["name"], c["type"]) for c in answer["columns"]],
                         [("id", "VARCHAR"), ("distance", "FLOAT"), ("metadata", "JSON")])
        self.assertEqual([row[0] for row in answer["rows"]],
                         [str(i) for i in nearest("l2", self.data, self.data[5], 4)])
        self.assertEqual(answer["rows"][0][1], 0)
        direct = self.lake_.vectord.post("/vectors/docs/search",
                                         {"vector": self.data[5], "k": 4}).json()["hits"]
        self.assertEqual([row[1] for row in answer["rows"]], [hit["distance"] for hit in direct])

    def test_ways_to_write_it(self):
        self.lake()
        wanted = [[str(i)] for i in nearest("l2", self.data, self.data[9], 10)]
        text = json.dumps(self.data[9])
        for statement, params in (
                (f"SELECT id FROM vector_search('docs', {self.literal(9)})", None),
                (f"SELECT id FROM vector_search('docs', {self.literal(9)}::FLOAT[{DIMENSION}], k = 10)", None),
                (f"SELECT id FROM vector_search('docs', {self.literal(9)}::FLOAT[], ef => 50)", None),
                (f"SELECT id FROM vector_search('docs', '{text}')", None),
                (f"SELECT id FROM vector_search(index := 'docs', query := '{text}'::FLOAT[])", None),
                ("SELECT id FROM vector_search('docs', ?)", [self.data[9]]),
                ("SELECT id FROM vector_search($1, $2, k := $3)", ["docs", self.data[9], 10]),
                ("SELECT id FROM vector_search('docs', $q)", {"q": self.data[9]}),
                ("SELECT id FROM vector_search('docs', $q)", {"q": text}),
                (f"FROM vector_search('docs', {self.literal(9)}) AS v(i, d, m) SELECT i", None),
                (f"SELECT vector_search.id FROM VECTOR_SEARCH('docs', {self.literal(9)})", None),
                (f"WITH h AS (FROM vector_search('docs', {self.literal(9)}, exact := true)) SELECT id FROM h", None)):
            body = {} if params is None else {"params": params}
            self.assertEqual(self.rows(statement, **body), wanted, statement)

    def test_numbers_keep_all_their_digits(self):
        """Decimals of more digits than fit 64 bits, and what only a power of ten can say."""
        self.lake()
        for value in ("0.12345678901234567890123", "-0.1234567890123456789", "-7", "1e-3", "-1.5E+2",
                      "1234567890123456789", "0.1::FLOAT", "00.50"):
            query = "[" + ", ".join([value] * DIMENSION) + "]"
            number = float(value.partition("::")[0])
            wanted = self.lake_.vectord.post("/vectors/docs/search",
                                             {"vector": [number] * DIMENSION, "k": 1}).json()["hits"]
            self.assertEqual(self.rows(f"SELECT id, distance FROM vector_search('docs', {query}, k := 1)"),
                             [[wanted[0]["id"], wanted[0]["distance"]]], value)

    def test_filters_and_parameters_elsewhere(self):
        self.lake()
        rows = self.rows("""SELECT id, metadata->>'part' FROM vector_search('docs', ?, filter := '{"part": 3}', k := ?)
                            WHERE distance >= ? ORDER BY distance""", params=[self.data[0], 7, 0])
        self.assertEqual(len(rows), 7)
        self.assertTrue(all(row[1] == "3" for row in rows))
        rows = self.rows("SELECT id FROM vector_search('docs', $q, filter := $f, k := 50) WHERE id <> $other",
                         params={"q": self.data[0], "f": {"part": {"$in": [1, 2]}}, "other": "1"})
        self.assertEqual(len(rows), 49)

    def test_joined_with_a_dataset_and_another_search(self):
        lake = self.lake("catalogd", "ingestd")
        text = "id,title\n" + "".join(f"{i},title {i}\n" for i in range(COUNT))
        self.assertEqual(lake.ingestd.post("/ingest?dataset=titles", text.encode(),
                                           {"Content-Type": "text/csv"}).status, 201)
        rows = self.rows(f"""SELECT t.title, v.distance
                             FROM vector_search('docs', {self.literal(7)}, k := 3) v
                             JOIN titles t ON t.id = CAST(v.id AS BIGINT) ORDER BY v.distance""")
        self.assertEqual([row[0] for row in rows],
                         [f"title {i}" for i in nearest("l2", self.data, self.data[7], 3)])
        both = self.rows(f"""SELECT a.id FROM vector_search('docs', {self.literal(7)}, k := 200) a
                             JOIN vector_search('docs', {self.literal(8)}, k := 200) b USING (id)""")
        self.assertGreaterEqual(len(both), 100)
        past = self.rows(f"""SELECT count(*) FROM titles AT (VERSION => 1)
                             JOIN vector_search('docs', {self.literal(7)}, k := 5) v ON v.id = titles.id::VARCHAR""")
        self.assertEqual(past, [[5]])

    def test_explain_describe_and_another_query_after_it(self):
        self.lake("catalogd")
        call = f"vector_search('docs', {self.literal(0)}, k := 2)"
        self.assertEqual(self.sql(f"EXPLAIN SELECT * FROM {call}")["row_count"], 1)
        self.assertEqual(len(self.rows(f"DESCRIBE SELECT * FROM {call}")), 3)
        for _ in range(3):
            self.assertEqual(self.rows(f"SELECT count(*) FROM {call}"), [[2]])
        self.sql('SELECT * FROM "vector_search@1"', 400)

    def test_no_metadata_is_null(self):
        self.lake()
        self.lake_.vectord.post("/vectors", {"name": "bare", "dimension": 2, "metric": "l2"})
        self.lake_.vectord.post("/vectors/bare/add", {"items": [{"id": "a", "vector": [1, 2]}]})
        self.assertEqual(self.rows("SELECT metadata IS NULL FROM vector_search('bare', [1, 2])"), [[True]])
        self.lake_.vectord.post("/vectors", {"name": "empty", "dimension": 2})
        self.assertEqual(self.rows("SELECT * FROM vector_search('empty', [1, 2])"), [])

    def test_mistakes_are_shown_in_their_place(self):
        self.lake()
        vector = self.literal(0)
        for statement, column, part in (
                (f"FROM vector_search('nope', {vector})", 6, "nope"),
                ("FROM vector_search('docs', [1, 2])", 6, "components"),
                ("FROM vector_search('docs')", 6, "'query' is missing"),
                ("FROM vector_search()", 6, "'index' is missing"),
                (f"FROM vector_search(7, {vector})", 20, "'index' is the name of an index"),
                ("FROM vector_search('docs', 'x')", 28, "'query'"),
                ("FROM vector_search('docs', [1, 'a'])", 32, "'query' is an array of numbers"),
                ("FROM vector_search('docs', [1, random()])", 32, "'query' is an array of numbers"),
                ("FROM vector_search('docs', (SELECT [1, 2]))", 28, "'query' is an array of numbers"),
                (f"FROM vector_search('docs', {vector}, 10)", None, "the others are named"),
                (f"FROM vector_search('docs', {vector}, kk := 10)", None, "no argument 'kk'"),
                (f"FROM vector_search('docs', {vector}, k := 1 + 1)", None, "'k' is a number"),
                (f"FROM vector_search('docs', {vector}, k := 0)", 6, "'k' is 0"),
                (f"FROM vector_search('docs', {vector}, k := 1, k := 2)", None, "stands twice"),
                (f"FROM vector_search('docs', {vector}, exact := 1)", None, "'exact' is true or false"),
                (f"FROM vector_search('docs', {vector}, filter := '[]')", None, "'filter' is a JSON object"),
                (f"FROM vector_search('docs', {vector}, filter := '{{')", None, "'filter'"),
                (f"FROM vector_search('docs', {vector}, filter := '{{\"a\":{{\"$gr\":1}}}}')", 6, "a.$gr")):
            problem = self.sql(statement, 400)
            self.assertEqual(problem["code"], "invalid_sql", statement)
            self.assertIn(part, problem["detail"], statement)
            self.assertEqual(problem["line"], 1, statement)
            if column is not None:
                self.assertEqual(problem["column"], column, statement)
        for statement, params in (("FROM vector_search('docs', ?)", None),
                                  ("FROM vector_search('docs', ?)", []),
                                  ("FROM vector_search('docs', $q)", {"p": [1]}),
                                  (f"FROM vector_search('docs', {vector})", [1])):
            body = {} if params is None else {"params": params}
            self.assertEqual(self.sql(statement, 400, **body)["code"], "invalid_request", statement)

    def test_vectord_is_away(self):
        self.lake()
        self.lake_.vectord.kill()
        problem = self.sql("FROM vector_search('docs', [1, 2])", 503)
        self.assertEqual(problem["code"], "unavailable")
        self.assertEqual(self.rows("SELECT 1"), [[1]])


if __name__ == "__main__":
    main()
