"""The way of a user through everything that a lakehouse does, by one door: files in, SQL out, objects,
vectors. Used wherever the whole is tested: by hand, supervised, after a crash."""

import csv
import io
import random

ROWS = 5000
DIMENSION = 8


def people_csv(first, count):
    """Rows `first` to `first + count - 1` as CSV text. Deterministic."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "name", "city", "amount"])
    for number in range(first, first + count):
        rng = random.Random(number)
        writer.writerow([number, f'Name "{number}", Ä', rng.choice(["Oslo", "Roma", "Łódź"]),
                         rng.randrange(100_000)])
    return out.getvalue().encode()


def people(first, count):
    return list(csv.DictReader(io.StringIO(people_csv(first, count).decode())))


def vector_of(number):
    rng = random.Random(1000 + number)
    return [round(rng.uniform(-1, 1), 4) for _ in range(DIMENSION)]


def sql(gateway, text, **more):
    response = gateway.post("/v1/sql", {"sql": text, **more})
    assert response.status == 200, response
    return response.json()["rows"]


class Journey:
    """Steps that leave something behind, and one that checks all of it again."""

    def __init__(self, test, gateway, stored=201):
        """`stored`: the answer to a PUT of a new key; 200 where it cannot be known to be new."""
        self.test, self.gateway, self.stored = test, gateway, stored

    def all(self):
        self.ingest()
        self.query()
        self.store()
        self.search()
        self.check()

    def ingest(self):
        test, gateway = self.test, self.gateway
        headers = {"Content-Type": "text/csv"}
        response = gateway.post("/v1/ingest?dataset=people", people_csv(0, ROWS), headers)
        test.assertEqual(response.status, 201, response)
        first = response.json()
        test.assertEqual((first["status"], first["rows"]), ("created", ROWS))
        response = gateway.post("/v1/ingest?dataset=people", people_csv(0, ROWS), headers)
        test.assertEqual((response.status, response.json()["status"]), (200, "unchanged"), response)
        response = gateway.post("/v1/ingest?dataset=people&mode=append", people_csv(ROWS, 10), headers)
        test.assertEqual((response.status, response.json()["status"]), (200, "appended"), response)
        test.assertEqual(response.json()["dataset_id"], first["dataset_id"])

        cities = "\n".join(f'{{"city":"{city}","country":"{country}"}}' for city, country in
                           (("Oslo", "NO"), ("Roma", "IT"), ("Łódź", "PL")))
        response = gateway.post("/v1/ingest?dataset=cities", cities, {"Content-Type": "application/x-ndjson"})
        test.assertEqual((response.status, response.json()["rows"]), (201, 3), response)
        response = gateway.post("/v1/ingest?dataset=people&mode=append", b"a,b\n1,2\n", headers)
        test.assertEqual(response.status, 409, response)

    def query(self):
        test, gateway = self.test, self.gateway
        rows = people(0, ROWS + 10)
        totals = {}
        for row in rows:
            count, total = totals.get(row["city"], (0, 0))
            totals[row["city"]] = (count + 1, total + int(row["amount"]))
        got = sql(gateway, "SELECT city, count(*), sum(amount) FROM people GROUP BY city ORDER BY city")
        test.assertEqual([(city, count, int(total)) for city, count, total in got],
                         sorted((city, *both) for city, both in totals.items()))
        joined = sql(gateway, "SELECT country, count(*) FROM people JOIN cities USING (city) "
                              "WHERE country = 'PL' GROUP BY country")
        test.assertEqual(joined, [["PL", totals["Łódź"][0]]])
        name = sql(gateway, "SELECT name FROM people WHERE id = 7")
        test.assertEqual(name, [['Name "7", Ä']])
        response = gateway.post("/v1/sql", {"sql": "SELEC 1"})
        test.assertEqual(response.status, 400, response)
        response = gateway.post("/v1/sql", {"sql": "DROP TABLE people"})
        test.assertEqual(response.status, 403, response)

    def store(self):
        test, gateway = self.test, self.gateway
        for index, key in enumerate(("docs/a", "docs/a%2Fb", "docs/%C3%A4%20x")):
            response = gateway.put(f"/v1/storage/{key}", b"bytes %d" % index)
            test.assertEqual(response.status, self.stored, response)
        response = gateway.put("/v1/storage/docs/a", b"again", {"If-None-Match": "*"})
        test.assertEqual(response.status, 412, response)
        gateway.put("/v1/storage/docs/gone", b"x")
        test.assertEqual(gateway.delete("/v1/storage/docs/gone").status, 204)

    def search(self):
        test, gateway = self.test, self.gateway
        response = gateway.post("/v1/vectors", {"name": "points", "dimension": DIMENSION, "metric": "l2"})
        test.assertEqual(response.status, 201, response)
        items = [{"id": f"p{number}", "vector": vector_of(number), "metadata": {"number": number}}
                 for number in range(300)]
        response = gateway.post("/v1/vectors/points/add", {"items": items})
        test.assertEqual(response.status, 200, response)
        test.assertEqual((response.json()["added"], response.json()["durable"]), (300, True))
        response = gateway.post("/v1/vectors/points/delete", {"ids": ["p299"]})
        test.assertEqual(response.json()["deleted"], 1, response)

    def check(self):
        """All that the steps left behind is there."""
        test, gateway = self.test, self.gateway
        test.assertEqual(sql(gateway, "SELECT count(*), min(id), max(id) FROM people"),
                         [[ROWS + 10, 0, ROWS + 9]])
        dataset = gateway.get("/v1/catalog/datasets/people").json()
        test.assertEqual(dataset["rows"], ROWS + 10)
        names = [item["dataset"] for item in gateway.get("/v1/catalog/datasets").json()["items"]]
        test.assertEqual(sorted(names), ["cities", "people"])
        test.assertEqual(gateway.get("/v1/storage/docs/a/b").body, b"bytes 1")
        listed = gateway.get("/v1/storage?prefix=docs/").json()["items"]
        test.assertEqual([item["key"] for item in listed], ["docs/a", "docs/a/b", "docs/ä x"])
        response = gateway.post("/v1/vectors/points/search", {"vector": vector_of(42), "k": 3})
        test.assertEqual(response.status, 200, response)
        best = response.json()["hits"][0]
        test.assertEqual((best["id"], best["metadata"]), ("p42", {"number": 42}))
        test.assertLess(abs(best["distance"]), 1e-6)
        index = gateway.get("/v1/vectors/points").json()
        test.assertEqual(index["count"], 299)
