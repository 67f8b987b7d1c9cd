"""The REST of ingestd: every kind of input that its notes on bad input name, each option, each error."""

import json
import os
import socket
import struct
import subprocess
import time

from support.lakehouse import TestCase, in_threads, main


class Ingestd(TestCase):
    settings = {}

    def setUp(self):
        super().setUp()
        self.stack_ = self.stack("storaged", "catalogd", "ingestd", **self.settings)
        self.ingestd = self.stack_.ingestd
        self.count = 0

    def ingest(self, body, query="", dataset=None, headers=None):
        if dataset is None:
            self.count += 1
            dataset = f"t{self.count}"
        if isinstance(body, str):
            body = body.encode()
        return self.ingestd.post(f"/ingest?dataset={dataset}&{query}", body, headers)

    def accepted(self, body, query="", **more):
        response = self.ingest(body, query, **more)
        self.assertIn(response.status, (200, 201), response)
        return response.json()

    def refused(self, body, query="", status=422, code="bad_data", line=None, says="", hint="", **more):
        """The problem; and nothing of it is left."""
        response = self.ingest(body, query, **more)
        problem = self.assertProblem(response, status, code)
        if line is not None:
            self.assertEqual(problem.get("line"), line, problem)
        self.assertIn(says, problem["detail"])
        self.assertIn(hint, problem.get("hint", ""))
        self.assertNotIn("/spool/", json.dumps(problem))
        self.assertNotIn("Auto-Detected", json.dumps(problem))
        if "dataset" not in more:
            self.assertEqual(self.stack_.catalogd.get(f"/catalog/datasets/t{self.count}").status, 404)
        self.nothing_left()
        return problem

    def objects(self):
        listing = self.stack_.storaged.get("/storage?prefix=datasets/").json()
        return {item["key"] for item in listing["items"]}

    def referenced(self):
        names = [item["dataset"] for item in self.stack_.catalogd.get("/catalog/datasets").json()["items"]]
        keys = set()
        for name in names:
            head = self.stack_.catalogd.get(f"/catalog/datasets/{name}").json()["snapshot"]
            for snapshot in range(1, head + 1):
                dataset = self.stack_.catalogd.get(f"/catalog/datasets/{name}?snapshot={snapshot}").json()
                keys |= {item["key"] for item in dataset["objects"]}
        return keys

    def nothing_left(self):
        self.assertEqual(self.objects(), self.referenced())
        spool = list((self.stack_.folder / "data" / "ingestd" / "spool").iterdir())
        self.assertEqual(spool, [])
        self.assertEqual(list((self.stack_.folder / "data" / "ingestd" / "journal").iterdir()), [])

    def types(self, answer):
        return {column["name"]: column["type"] for column in answer["schema"]}

    def codes(self, answer):
        return [warning["code"] for warning in answer["warnings"]]


class Answers(Ingestd):
    def test_created_has_everything(self):
        response = self.ingest("a,b\n1,x\n2,y\n", dataset="orders")
        self.assertEqual(response.status, 201)
        answer = response.json()
        self.assertEqual(answer["dataset"], "orders")
        self.assertEqual(answer["status"], "created")
        self.assertEqual((answer["snapshot"], answer["rows"], answer["rejected"]), (1, 2, 0))
        self.assertEqual(answer["bytes_in"], 12)
        self.assertEqual(answer["schema"], [{"name": "a", "type": "BIGINT", "nullable": True},
                                            {"name": "b", "type": "VARCHAR", "nullable": True}])
        self.assertEqual(answer["warnings"], [])
        self.assertRegex(answer["content_id"], "^[0-9a-f]{64}$")
        self.assertGreaterEqual(answer["elapsed_ms"], 0)
        dataset = self.stack_.catalogd.get("/catalog/datasets/orders").json()
        self.assertEqual(dataset["dataset_id"], answer["dataset_id"])
        [item] = dataset["objects"]
        self.assertEqual((item["rows"], item["bytes"]), (2, answer["bytes_out"]))
        self.assertEqual(item["stats"], {"a": {"min": "1", "max": "2", "nulls": 0},
                                         "b": {"min": "x", "max": "y", "nulls": 0}})
        self.assertRegex(item["key"], r"^datasets/main/orders/data/[0-9a-f-]{36}\.parquet$")
        stored = self.stack_.storaged.get("/storage/" + item["key"]).body
        self.assertEqual((stored[:4], stored[-4:], len(stored)), (b"PAR1", b"PAR1", item["bytes"]))
        self.nothing_left()

    def test_same_again_append_replace(self):
        self.assertEqual(self.accepted("a,b\n1,x\n", dataset="d")["status"], "created")
        for mode in ("create", "append", "replace"):
            answer = self.accepted("a,b\n1,x\n", f"mode={mode}", dataset="d")
            self.assertEqual((answer["status"], answer["snapshot"], answer["rows"]), ("unchanged", 1, 1))
        self.refused("a,b\n2,x\n", status=409, code="already_exists", hint="mode=append", dataset="d")
        answer = self.accepted("a,b\n2,y\n3,z\n", "mode=append", dataset="d")
        self.assertEqual((answer["status"], answer["snapshot"], answer["rows"]), ("appended", 2, 2))
        self.assertEqual(self.stack_.catalogd.get("/catalog/datasets/d").json()["rows"], 3)
        self.assertEqual(self.accepted("a,b\n2,y\n3,z\n", "mode=append", dataset="d")["status"], "unchanged")
        answer = self.accepted("a,b\n9,q\n", "mode=replace", dataset="d")
        self.assertEqual((answer["status"], answer["snapshot"]), ("replaced", 3))
        self.assertEqual(self.stack_.catalogd.get("/catalog/datasets/d").json()["rows"], 1)
        # What was replaced is no part of the present state: it can be appended again.
        self.assertEqual(self.accepted("a,b\n2,y\n3,z\n", "mode=append", dataset="d")["status"], "appended")
        self.nothing_left()

    def test_append_and_replace_make_what_is_not_there(self):
        self.assertEqual(self.accepted("a\n1\n", "mode=append", dataset="x")["status"], "created")
        self.assertEqual(self.accepted("a\n1\n", "mode=replace", dataset="y")["status"], "created")

    def test_append_fits_columns_by_name(self):
        self.accepted("id,v,t\n1,1.5,x\n", dataset="d")
        answer = self.accepted("t,v,id\ny,2,7\n", "mode=append", dataset="d")
        self.assertEqual(self.types(answer), {"id": "BIGINT", "v": "DOUBLE", "t": "VARCHAR"})
        answer = self.accepted("T,V,ID\n5,3,8\n", "mode=append", dataset="d")
        self.assertEqual(list(self.types(answer)), ["id", "v", "t"])
        answer = self.accepted('{"t":"z","id":9,"v":1}\n', "mode=append&format=ndjson", dataset="d")
        self.assertEqual(self.types(answer), {"id": "BIGINT", "v": "DOUBLE", "t": "VARCHAR"})
        self.assertEqual(self.accepted("10,1,a\n", "mode=append&header=false", dataset="d")["rows"], 1)

    def test_append_of_other_columns_says_which(self):
        self.accepted("id,v\n1,2\n", dataset="d")
        problem = self.refused("id,w\n1,2\n", "mode=append", 409, "fingerprint_conflict", dataset="d")
        self.assertIn("lacks v", problem["detail"])
        self.assertIn("lacks w", problem["detail"])
        self.refused("id\n1\n", "mode=append", 409, "fingerprint_conflict", dataset="d")
        self.refused("1,2,3\n", "mode=append&header=false", 409, "fingerprint_conflict", dataset="d")

    def test_append_value_that_does_not_fit(self):
        self.accepted("id,v\n1,2\n", dataset="d")
        for value in ("x", "1.5", "9223372036854775808"):
            problem = self.refused(f"id,v\n1,2\n3,{value}\n", "mode=append", line=3, dataset="d")
            self.assertEqual((problem["column"], problem["excerpt"]), (2, value))
            self.assertIn("'v'", problem["detail"])
        self.refused('{"id":1,"v":2}\n{"id":2,"v":2.5}\n', "mode=append", line=2, dataset="d")

    def test_replace_with_another_schema(self):
        self.accepted("id,v\n1,2\n", dataset="d")
        self.refused("id,w\n1,2\n", "mode=replace", 409, "fingerprint_conflict", dataset="d")
        self.refused("id,v\n1,x\n", "mode=replace", 409, "fingerprint_conflict", hint="BIGINT", dataset="d")

    def test_content_id_knows_bytes_and_options(self):
        first = self.accepted("a;b\n1;2\n")["content_id"]
        self.assertEqual(self.accepted("a;b\n1;2\n", "format=csv&delimiter=;")["content_id"], first)
        self.assertNotEqual(self.accepted("a;b\n1;2\n", "null=x")["content_id"], first)
        self.assertNotEqual(self.accepted("a;b\n1;3\n")["content_id"], first)
        # In one dataset, other options are other content.
        self.accepted("a\nNA\n", dataset="d")
        self.assertEqual(self.accepted("a\nNA\n", "null=NA&mode=append", dataset="d")["status"], "appended")

    def test_namespaces(self):
        self.assertEqual(self.accepted("a\n1\n", dataset="main.x")["dataset"], "x")
        self.assertEqual(self.accepted("a\n1\n", dataset="x")["status"], "unchanged")
        answer = self.accepted("a\n1\n", dataset="sales.x")
        self.assertEqual((answer["dataset"], answer["status"]), ("sales.x", "created"))
        self.assertTrue(any(key.startswith("datasets/sales/x/data/") for key in self.objects()))


class Csv(Ingestd):
    """The lines of the table of CSV inputs, one by one."""

    def test_value_after_the_sample_widens(self):
        rows = "".join(f"{i},{i}\n" for i in range(30000))
        for last, wide in (("abc", "VARCHAR"), ("1.5", "DOUBLE"), ("007", "VARCHAR"), ("1e3", "DOUBLE")):
            answer = self.accepted(f"id,v\n{rows}30000,{last}\n")
            self.assertEqual(self.types(answer), {"id": "BIGINT", "v": wide}, last)
            self.assertEqual(self.codes(answer), ["W-WIDENED"])
            self.assertIn("30002", answer["warnings"][0]["message"])
            self.assertEqual(answer["warnings"][0]["column"], "v")
            self.assertEqual(answer["rows"], 30001)

    def test_time_of_day_after_dates_widens(self):
        answer = self.accepted("d\n" + "2026-01-02\n" * 30000 + "2026-01-03 04:05:06\n")
        self.assertEqual(self.types(answer), {"d": "TIMESTAMP"})
        self.assertEqual(self.codes(answer), ["W-WIDENED"])

    def test_cast_failure_of_duckdb_widens(self):
        answer = self.accepted("t\n" + "10:11:12\n" * 30000 + "x\n")
        self.assertEqual(self.types(answer), {"t": "VARCHAR"})
        self.assertEqual(self.codes(answer), ["W-WIDENED"])

    def test_ragged(self):
        self.refused("a,b\n1,2\n1,2,3\n4,5\n", line=3, says="3 values", hint="delimiter")
        self.refused("a,b\n1,2\n3\n4,5\n", line=3, says="1 values")

    def test_one_column_whose_name_holds_separators(self):
        self.refused('"a,b"\n"1,2"\n', line=1, says="separator", hint="delimiter")
        self.assertEqual(list(self.types(self.accepted('"a,b"\n1\n', "delimiter=,"))), ["a,b"])

    def test_one_column_of_text(self):
        answer = self.accepted("name\nBob, the builder\nAnn\n")
        self.assertEqual((answer["rows"], self.codes(answer)), (2, ["W-ONE-COLUMN"]))

    def test_unterminated_quote(self):
        self.refused('a,b\n1,"x\n2,y\n3,z\n', line=2, says="never closed", hint="quote=none")
        answer = self.accepted('a,b\n1,"x\n2,y\n3,z\n', "quote=none")
        self.assertEqual(answer["rows"], 3)

    def test_text_after_a_quote(self):
        self.refused('a,b\n1,"x"y\n', line=2, says="closing quote", hint="escape")
        self.accepted('a,b\n1,"x\\"y"\n', "escape=%5C")

    def test_latin1(self):
        body = "name,city\nJosé,Köln\n".encode("latin-1")
        self.refused(body, line=2, says="UTF-8", hint="?encoding=latin-1")
        answer = self.accepted(body, "encoding=latin-1", dataset="latin")
        stats = self.stack_.catalogd.get("/catalog/datasets/latin").json()["objects"][0]["stats"]
        self.assertEqual(stats["city"]["min"], "Köln")
        self.assertEqual(answer["rows"], 1)
        late = b"id,city\n" + b"1,abc\n" * 60000 + b"7,K\xf6ln\n"
        self.refused(late, line=60002, says="UTF-8", hint="latin-1")
        self.accepted("a\n“x”\n".encode("windows-1252"), "encoding=windows-1252")

    def test_utf16(self):
        for codec in ("utf-16-le", "utf-16-be"):
            body = "\ufeffname,city\nJosé,Köln😀\n".encode(codec)
            answer = self.accepted(body, dataset=codec.replace("-", "_"))
            self.assertEqual(self.codes(answer), ["W-ENCODING"])
            dataset = self.stack_.catalogd.get("/catalog/datasets/" + codec.replace("-", "_")).json()
            self.assertEqual(dataset["objects"][0]["stats"]["city"]["max"], "Köln😀")
        self.refused("a,b\n1,2\n".encode("utf-16-le"), says="UTF-16", hint="utf-16le")
        self.accepted("a,b\n1,2\n".encode("utf-16-le"), "encoding=utf-16")
        self.refused(b"\xff\xfea\0\n\0\x3d\xd8a\0", line=2, says="surrogate")

    def test_bom_tabs_semicolons_newlines(self):
        for body in ("\ufeffa,b\n1,x\n", "a\tb\n1\tx\n", "a;b\n1;x\n", "a|b\n1|x\n", "a,b\r\n1,x\r\n",
                     "a,b\r1,x\r", "a,b\n1,x", 'a,b\n1,"x\ny"\n', 'a,b\n1,"x\r\ny"\n', "\n\na,b\n1,x\n",
                     "a,b\n1,x\n\n\n", 'a,b\n1, "x, y" \n'):
            answer = self.accepted(body)
            self.assertEqual((answer["rows"], self.types(answer)), (1, {"a": "BIGINT", "b": "VARCHAR"}), body)

    def test_decimal_comma(self):
        self.assertEqual(self.types(self.accepted("n;m\n2,5;1\n")), {"n": "VARCHAR", "m": "BIGINT"})
        answer = self.accepted("n;m\n2,5;1\n", "decimal_separator=,")
        self.assertEqual(self.types(answer), {"n": "DOUBLE", "m": "BIGINT"})

    def test_leading_zeros_and_plus_stay_text(self):
        self.assertEqual(self.types(self.accepted("z,p\n01234,+49 89\n")), {"z": "VARCHAR", "p": "VARCHAR"})

    def test_mixed_line_ends(self):
        self.refused("a,b\r\n1,2\n3,4\r\n", line=2, says="LF", hint="strict_mode=false")
        self.assertEqual(self.accepted("a,b\r\n1,2\n3,4\r\n", "strict_mode=false")["rows"], 2)

    def test_long_line(self):
        self.assertEqual(self.accepted("a,b\n1," + "x" * 3_000_000 + "\n2,y\n")["rows"], 2)

    def test_empty(self):
        for body in ("", "\n", " \r\n\n", "\ufeff"):
            self.refused(body, says="empty")

    def test_header_only(self):
        for body in ("a,b,c\n", "a,b,c"):
            answer = self.accepted(body)
            self.assertEqual((answer["rows"], self.types(answer)),
                             (0, {"a": "VARCHAR", "b": "VARCHAR", "c": "VARCHAR"}))

    def test_no_header(self):
        answer = self.accepted("1,2\n3,4\n")
        self.assertEqual((answer["rows"], list(self.types(answer))), (2, ["column0", "column1"]))
        self.assertEqual(self.codes(answer), ["W-NO-HEADER"])
        self.assertEqual(self.codes(self.accepted("1,2\n3,4\n", "header=false")), [])
        answer = self.accepted("name,2025,2026\na,1,2\n", "header=true")
        self.assertEqual(list(self.types(answer)), ["name", "2025", "2026"])

    def test_duplicate_and_empty_names(self):
        answer = self.accepted("a,a,b,A,\n1,2,3,4,5\n")
        self.assertEqual(list(self.types(answer)), ["a", "a_1", "b", "A_2", "column4"])
        self.assertEqual(self.codes(answer), ["W-RENAMED"] * 3)
        self.assertEqual([warning["column"] for warning in answer["warnings"]], ["a_1", "A_2", "column4"])

    def test_nul_bytes(self):
        answer = self.accepted(b"a,b\n1,x\0y\n2,z\n", "format=csv")
        self.assertEqual((answer["rows"], self.codes(answer)), (2, ["W-NUL-BYTES"]))

    def test_infinite_number(self):
        problem = self.refused("n,m\n1.5,1\n1e999,2\n", line=3, says="1e999")
        self.assertEqual((problem["column"], problem["excerpt"]), (1, "1e999"))
        self.assertEqual(self.types(self.accepted("n\n1.5\ninf\n"))["n"], "DOUBLE")

    def test_integers_beyond_64_bits(self):
        answer = self.accepted("n\n123456789012345678901\n5\n")
        self.assertEqual((self.types(answer), self.codes(answer)), ({"n": "DOUBLE"}, ["W-INT-OVERFLOW-TO-DOUBLE"]))
        answer = self.accepted("n\n123456789012345678901\n5\n", "type.n=DECIMAL(38,0)")
        self.assertEqual((self.types(answer), self.codes(answer)), ({"n": "DECIMAL(38,0)"}, []))

    def test_dates(self):
        answer = self.accepted("d\n01/02/2026\n03/04/2026\n")
        self.assertEqual(self.codes(answer), ["W-DATE-AMBIGUOUS"])
        answer = self.accepted("d\n01/02/2026\n03/04/2026\n", "date_format=%25m/%25d/%25Y", dataset="us")
        self.assertEqual((self.types(answer), self.codes(answer)), ({"d": "DATE"}, []))
        stats = self.stack_.catalogd.get("/catalog/datasets/us").json()["objects"][0]["stats"]
        self.assertEqual(stats["d"], {"min": "2026-01-02", "max": "2026-03-04", "nulls": 0})
        self.assertEqual(self.codes(self.accepted("d\n31/02/2026\n03/04/2026\n".replace("31/02", "31/01"))), [])
        self.refused("d\n2026-01-02\n2026-13-45\n", "type.d=DATE", line=3, says="2026-13-45")

    def test_null_text(self):
        answer = self.accepted("n\n1\nNA\n\n2\n", "null=NA", dataset="n")
        self.assertEqual((answer["rows"], self.types(answer)), (4, {"n": "BIGINT"}))
        stats = self.stack_.catalogd.get("/catalog/datasets/n").json()["objects"][0]["stats"]
        self.assertEqual(stats["n"]["nulls"], 2)

    def test_types_said(self):
        answer = self.accepted("z,d\n007,1.50\n", "type.z=VARCHAR&type.d=decimal(10,2)")
        self.assertEqual(self.types(answer), {"z": "VARCHAR", "d": "DECIMAL(10,2)"})
        self.refused("d\n1\n1.555\n", "type.d=DECIMAL(10,2)", line=3, says="1.555")
        self.refused("v\n1\nx\n", "type.v=INTEGER", line=3, hint="type.v=VARCHAR")
        self.refused("v\n1\n", "type.w=INTEGER", 400, "invalid_request", says="type.w")
        self.accepted("my column\n1\n", "type.my%20column=VARCHAR")

    def test_formulas_pass(self):
        answer = self.accepted('f\n"=cmd|\'/c calc\'!A1"\n', dataset="f")
        stats = self.stack_.catalogd.get("/catalog/datasets/f").json()["objects"][0]["stats"]
        self.assertEqual((answer["rows"], stats["f"]["min"]), (1, "=cmd|'/c calc'!A1"))

    def test_excerpt_is_cut(self):
        problem = self.refused("v\n1\n" + "y" * 5000 + "\n", "type.v=BIGINT", line=3)
        self.assertEqual(problem["excerpt"], "y" * 200)


class Json(Ingestd):
    def test_ndjson_and_json(self):
        for body, query in (('{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n', ""), ('[{"a":1,"b":"x"},{"a":2,"b":"y"}]', ""),
                            ('{\n"a":1,\n"b":"x"\n}\n{"a":2,"b":"y"}', "format=json"),
                            ('\ufeff{"a":1,"b":"x"}\n\n{"b":"y","a":2}', "format=ndjson")):
            answer = self.accepted(body, query)
            self.assertEqual((answer["rows"], self.types(answer)), (2, {"a": "BIGINT", "b": "VARCHAR"}), body)
        body = '{"a":1,"b":"x"}\n'.encode("utf-16")
        self.assertEqual(self.types(self.accepted(body, "format=ndjson")), {"a": "BIGINT", "b": "VARCHAR"})

    def test_bad_line(self):
        problem = self.refused('{"a":1}\n{"a":2\n{"a":3}\n', "format=ndjson", line=2)
        self.assertEqual(problem["excerpt"], '{"a":2')
        self.refused('{"a":1}\n5\n', "format=ndjson", line=2)
        self.refused('{"a":1,"a":2}\n', "format=ndjson", line=1, says="duplicate")
        self.refused('[{"a":1},\n{"a":2]', "format=json", line=2)
        self.refused("[]", says="no JSON objects")
        self.refused("[1,2]", "format=json")

    def test_mixed_types(self):
        answer = self.accepted('{"a":1}\n{"a":"x"}\n')
        self.assertEqual((self.types(answer), self.codes(answer)), ({"a": "JSON"}, ["W-MIXED-TYPE"]))
        answer = self.accepted('{"a":1}\n{"a":"x"}\n', "type.a=VARCHAR")
        self.assertEqual((self.types(answer), self.codes(answer)), ({"a": "VARCHAR"}, []))

    def test_the_whole_file_decides_on_types(self):
        rows = "".join('{"a":%d}\n' % i for i in range(30000))
        self.assertEqual(self.types(self.accepted(rows + '{"a":1.5}\n')), {"a": "DOUBLE"})
        self.assertEqual(self.types(self.accepted(rows + '{"b":"late"}\n')), {"a": "BIGINT", "b": "VARCHAR"})

    def test_nested(self):
        answer = self.accepted('{"a":{"b":[1,2]},"c":[{"d":"x"}]}\n')
        self.assertEqual(self.types(answer), {"a": "STRUCT(b BIGINT[])", "c": "STRUCT(d VARCHAR)[]"})

    def test_deep_nesting_costs_one_request(self):
        response = self.ingest('{"a":' + "[" * 200000 + "]" * 200000 + "}\n", "format=ndjson")
        self.assertGreaterEqual(response.status, 400, response)
        self.accepted("a\n1\n")
        self.nothing_left()


class Parquet(Ingestd):
    def stored(self, dataset):
        [item] = self.stack_.catalogd.get(f"/catalog/datasets/{dataset}").json()["objects"]
        return self.stack_.storaged.get("/storage/" + item["key"]).body

    def test_parquet_in(self):
        self.accepted("a,b,c\n1,x,2026-01-02\n2,,\n", dataset="from_csv")
        file = self.stored("from_csv")
        answer = self.accepted(file, dataset="again")
        self.assertEqual((answer["rows"], self.types(answer)), (2, {"a": "BIGINT", "b": "VARCHAR", "c": "DATE"}))
        self.assertEqual(self.accepted(file, "mode=append", dataset="from_csv")["status"], "appended")
        self.assertEqual(self.accepted(file, "mode=append", dataset="from_csv")["status"], "unchanged")

    def test_garbage(self):
        self.refused(b"PAR1" + bytes(1000) + b"PAR1", says="Parquet")
        self.refused(bytes(range(256)) * 4, "format=parquet", says="Parquet")
        self.refused(b"PAR1", says="Parquet")

    def test_every_cut_and_many_flips(self):
        self.accepted("a,b\n" + "".join(f"{i},value {i}\n" for i in range(100)), dataset="good")
        file = self.stored("good")
        for _ in range(20):
            flipped = bytearray(file)
            flipped[self.random.randrange(len(file))] ^= 1 << self.random.randrange(8)
            response = self.ingest(bytes(flipped), "format=parquet")
            self.assertIn(response.status, (201, 422, 500, 503), response)
        for cut in self.random.sample(range(len(file)), 10):
            self.refused(file[:cut], "format=parquet", says="empty" if cut == 0 else "Parquet")
        self.assertEqual(self.ingestd.get("/livez").status, 200)

    def test_types_that_do_not_fit(self):
        self.accepted("v\n1.5\n2\n", dataset="doubles")
        self.accepted("v\n1.0\n2\n", dataset="whole")
        self.accepted("v\n1\n", dataset="ints")
        problem = self.refused(self.stored("doubles"), "mode=append", says="row 1", dataset="ints")
        self.assertEqual(problem["excerpt"], "1.5")
        self.assertEqual(self.accepted(self.stored("whole"), "mode=append", dataset="ints")["rows"], 2)


class Requests(Ingestd):
    settings = {"ingestd.body_bytes_max": "64KiB", "ingestd.columns_max": 4, "ingestd.line_bytes_max": "8KiB",
                "ingestd.resample_bytes_max": "1KiB", "ingestd.sample_rows": 10}

    def test_parameters(self):
        for query in ("mode=upsert", "format=xml", "encoding=ebcdic", "header=perhaps", "delimiter=ab",
                      "delimiter=%22", "quote=,", "escape=,", "null=a,b", "null=%22", "date_format=%25Q",
                      "timestamp_format=", "type.a=NOPE", "type.a=BIGINT);DROP", "strict_mode=2", "null=%ff", "null=%zz"):
            self.refused("a\n1\n", query, 400, "invalid_request")
        problem = self.refused("a\n1\n", "delimeter=,", 400, "invalid_request", says="delimeter")
        self.assertIn("delimiter", problem["hint"])
        self.refused("a\n1\n", "dataset=a%2Fb", 400, "invalid_name")
        for name in ("9x", "a.b.c", "x%20y", "%C3%A4", "..", "x" * 129):
            response = self.ingestd.post(f"/ingest?dataset={name}", b"a\n1\n")
            self.assertProblem(response, 400, "invalid_name")
        self.assertProblem(self.ingestd.post("/ingest", b"a\n1\n"), 400, "invalid_request")

    def test_content_types(self):
        self.accepted("a\n1\n", headers={"Content-Type": "text/csv; charset=utf-8"})
        self.accepted('{"a":1}', headers={"Content-Type": "application/x-ndjson"})
        answer = self.accepted("a,b\tc\n1,2\t3\n", headers={"Content-Type": "text/tab-separated-values"})
        self.assertEqual(list(self.types(answer)), ["a,b", "c"])
        for content_type in ("image/png", "application/xml", "application/pdf"):
            self.refused("a\n1\n", "", 415, "unsupported_media_type", hint="format=csv",
                         headers={"Content-Type": content_type})
        self.accepted("a\n1\n", "format=csv", headers={"Content-Type": "application/xml"})
        self.refused("a\n1\n", "", 415, "unsupported_media_type", headers={"Content-Encoding": "gzip"})
        for start, hint in ((b"\x1f\x8b\x08rest", "gunzip"), (b"PK\x03\x04rest", "CSV"), (b"%PDF-1.4", "CSV"),
                            (b"\x7fELF\x02\x00\x01\xff\xfe\x80\x00", "Parquet")):
            self.refused(start, "", 415, "unsupported_media_type", hint=hint)

    def test_limits(self):
        self.refused("a,b,c,d,e\n1,2,3,4,5\n", says="more than 4 columns")
        self.refused('{"a":1,"b":1,"c":1,"d":1,"e":1}\n', says="more than 4")
        self.refused("a\n1\n" + "x" * 9000 + "\n", line=3, says="longer than 8192")
        rows = "a\n" + "1\n" * 5000
        self.refused(rows + "x\n", line=5002, says="'x' is no BIGINT", hint="type.a=VARCHAR")
        self.assertProblem(self.ingest("a\n" + "1\n" * 40000), 413, "too_large")
        chunks = (b"1\n" * 1000 for _ in range(100))
        try:
            self.assertProblem(self.ingestd.post("/ingest?dataset=big", chunks), 413, "too_large")
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while it was still being sent
        self.nothing_left()

    def test_multipart(self):
        def form(*parts, end="--XX--\r\n"):
            body = b""
            for name, filename, content in parts:
                disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
                body += f"--XX\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"
            return body + end.encode()

        headers = {"Content-Type": "multipart/form-data; boundary=XX"}
        post = lambda body, query="": self.ingestd.post("/ingest" + query, body, headers)

        answer = post(form(("file", "2026 sales.csv", b"a,b\r\n1,2\r\n"))).json()
        self.assertEqual((answer["dataset"], answer["rows"], answer["bytes_in"]), ("_2026_sales", 1, 10))
        answer = post(form(("name", "", b"orders"), ("file", "x.csv", b"a\n1\n"))).json()
        self.assertEqual(answer["dataset"], "orders")
        answer = post(form(("file", "x.csv", b"a;b\n1;2\n"), ("mode", "", b"append"), ("delimiter", "", b";")),
                      "?dataset=late").json()
        self.assertEqual((answer["dataset"], list(self.types(answer))), ("late", ["a", "b"]))
        answer = post(form(("file", "x.ndjson", b'{"a":1}')), "?dataset=nd").json()
        self.assertEqual(self.types(answer), {"a": "BIGINT"})

        self.assertProblem(post(form(("name", "", b"x"))), 400, "invalid_request")
        self.assertProblem(post(form(("file", "a.csv", b"a\n"), ("file", "b.csv", b"b\n"))), 400, "invalid_request")
        self.assertProblem(post(form(("file", "a.csv", b"a\n"), ("colour", "", b"red"))), 400, "invalid_request")
        self.assertProblem(post(form(("name", "", b"9x"), ("file", "a.csv", b"a\n"))), 400, "invalid_name")
        self.assertProblem(post(form(("file", "a.csv", b"a\n1\n"), end="")), 400, "incomplete_body")
        self.assertProblem(self.ingestd.post("/ingest?dataset=x", b"", {"Content-Type": "multipart/form-data"}),
                           400, "invalid_request")
        self.nothing_left()

    def test_routes(self):
        self.assertEqual(self.ingestd.get("/ingest").json(), {"items": [], "next": None})
        self.assertEqual(self.ingestd.put("/ingest", b"").status, 405)
        self.assertProblem(self.ingestd.get("/nope"), 404, "route_not_found")
        paths = self.ingestd.get("/openapi.json").json()["paths"]
        self.assertIn("/ingest", paths)


class Load(Ingestd):
    settings = {"ingestd.jobs_max": 1, "ingestd.queue_max": 1, "ingestd.threads": 1}

    def slow_upload(self, dataset, head):
        """A connection whose body never ends by itself."""
        connection = socket.create_connection(("127.0.0.1", self.ingestd.port))
        connection.sendall(f"POST /ingest?dataset={dataset} HTTP/1.1\r\nHost: x\r\n"
                           f"Content-Length: 1000000\r\n\r\n".encode() + head)
        return connection

    def wait_jobs(self, count):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            items = self.ingestd.get("/ingest").json()["items"]
            if len(items) == count:
                return items
            time.sleep(0.02)
        self.fail(f"{count} jobs expected, {items}")

    def test_list_full_house_and_hang_up(self):
        first = self.slow_upload("one", b"a,b\n1,2\n")
        self.wait_jobs(1)
        second = self.slow_upload("two", b"a,b\n")
        items = self.wait_jobs(2)
        self.assertEqual([item["dataset"] for item in items], ["one", "two"])
        self.assertEqual({item["phase"] for item in items}, {"receiving"})
        self.assertEqual(items[0]["bytes_total"], 1000000)
        response = self.ingest("a\n1\n", dataset="three")
        self.assertProblem(response, 503, "busy")
        self.assertIn("Retry-After", response.headers)
        first.close()
        second.close()
        self.wait_jobs(0)
        self.nothing_left()
        self.accepted("a\n1\n", dataset="three")

    def test_hang_up_while_converting(self):
        rows = b"".join(b"%d,some text that is %d long,%d.5\n" % (i, i, i) for i in range(300000))
        body = b"a,b,c\n" + rows * 6
        connection = socket.create_connection(("127.0.0.1", self.ingestd.port))
        connection.sendall(f"POST /ingest?dataset=gone HTTP/1.1\r\nHost: x\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n".encode())
        connection.sendall(body)
        while not any(item["phase"] == "converting" for item in self.ingestd.get("/ingest").json()["items"]):
            time.sleep(0.005)
        # Reset, not just closed: nobody waits for the answer any more.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        self.wait_jobs(0)
        self.assertEqual(self.stack_.catalogd.get("/catalog/datasets/gone").status, 404)
        self.nothing_left()


class Together(Ingestd):
    settings = {"ingestd.jobs_max": 4, "ingestd.queue_max": 100}

    def test_appends_at_the_same_time_all_count(self):
        self.accepted("a\n0\n", dataset="d")
        answers = in_threads(8, lambda i: self.accepted(f"a\n{i + 1}\n", "mode=append", dataset="d"))
        self.assertEqual({answer["status"] for answer in answers}, {"appended"})
        self.assertEqual(sorted(answer["snapshot"] for answer in answers), list(range(2, 10)))
        self.assertEqual(self.stack_.catalogd.get("/catalog/datasets/d").json()["rows"], 9)
        self.nothing_left()

    def test_the_same_file_at_the_same_time_counts_once(self):
        answers = in_threads(6, lambda i: self.accepted("a\n1\n2\n", dataset="d"))
        self.assertEqual(sorted(answer["status"] for answer in answers), ["created"] + ["unchanged"] * 5)
        self.assertEqual(self.stack_.catalogd.get("/catalog/datasets/d").json()["rows"], 2)
        self.nothing_left()

    def test_one_of_many_creates(self):
        responses = in_threads(6, lambda i: self.ingest(f"a\n{i}\n", dataset="d"))
        self.assertEqual(sorted(response.status for response in responses), [201] + [409] * 5)
        self.nothing_left()


class Bounds(TestCase):
    def test_deadline(self):
        stack = self.stack("storaged", "catalogd", "ingestd", **{"ingestd.timeout": "1s", "ingestd.threads": 1})
        rows = b"".join(b"%d,some text that is %d long,%d.5\n" % (i, i, i) for i in range(300000))
        body = (b"a,b,c\n" + rows * 12 for _ in range(1))
        response = stack.ingestd.post("/ingest?dataset=x", b"".join(body))
        self.assertProblem(response, 504, "deadline_exceeded")
        self.assertEqual(stack.ingestd.post("/ingest?dataset=y", b"a\n1\n").status, 201)

    def test_nothing_behind_it(self):
        """Without catalog or store the answer is a 502, 503 or 504, soon, and nothing stays."""
        stack = self.stack("storaged", "catalogd", "ingestd")
        stack.catalogd.kill()
        response = stack.ingestd.post("/ingest?dataset=x", b"a\n1\n")
        self.assertProblem(response, 503, "unavailable")
        stack.catalogd.start()
        stack.storaged.kill()
        response = stack.ingestd.post("/ingest?dataset=x", b"a\n1\n")
        self.assertIn(response.status, (502, 503, 504), response)
        stack.storaged.start()
        self.assertEqual(stack.ingestd.post("/ingest?dataset=x", b"a\n1\n").status, 201)
        deadline = time.monotonic() + 20
        while stack.ingestd.get("/health").json()["status"] != "ok" and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(stack.ingestd.get("/health").json()["unsettled"], 0)
        keys = [item["key"] for item in stack.storaged.get("/storage?prefix=datasets/").json()["items"]]
        self.assertEqual(len(keys), 1)

    def test_full_disk(self):
        """Too small for the upload, and too small for the Parquet file beside it."""
        small = self.folder / "small"
        small.mkdir()
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], capture_output=True).returncode != 0:
            self.skipTest("needs to mount a small file system")
        self.addCleanup(subprocess.run, ["umount", str(small)])
        stack = self.stack("storaged", "catalogd")
        urls = {"storaged": stack.storaged.url, "catalogd": stack.catalogd.url}
        ingestd = self.service("ingestd", urls, data_dir=str(small / "data"))
        self.addCleanup(ingestd.stop)
        response = ingestd.post("/ingest?dataset=big", b"a\n" + self.random.randbytes(5 << 20).hex().encode() + b"\n")
        self.assertProblem(response, 507, "storage_full")
        lines = b"a\n" + b"".join(self.random.randbytes(50).hex().encode() + b"\n" for _ in range(65000))
        response = ingestd.post("/ingest?dataset=both", lines)
        self.assertProblem(response, 507, "storage_full")
        self.assertEqual(ingestd.post("/ingest?dataset=fits", b"a\n1\n").status, 201)
        self.assertEqual(list((small / "data" / "ingestd" / "spool").iterdir()), [])

    def test_memory_does_not_grow_with_the_file(self):
        stack = self.stack("storaged", "catalogd", "ingestd")
        stack.ingestd.post("/ingest?dataset=warm", b"a\n1\n")
        before = stack.ingestd.rss()
        rows = b"".join(b"%d,some text,%d.5\n" % (i, i) for i in range(50000))
        chunks = [b"a,b,c\n"] + [rows] * 30
        self.assertEqual(stack.ingestd.post("/ingest?dataset=big", iter(chunks)).json()["rows"], 1500000)
        self.assertLess(stack.ingestd.rss() - before, 4 << 20)


if __name__ == "__main__":
    main()
