"""Vectors for tests: clusters around random centres, exact search, and files of floats."""

import array
import heapq
import math
import struct


def clustered(random, count, dimension, clusters=100):
    """count vectors of 32-bit floats; the same seed gives the same ones."""
    centres = [[random.gauss(0, 1) for _ in range(dimension)] for _ in range(clusters)]
    vectors = []
    for _ in range(count):
        centre = centres[random.randrange(clusters)]
        vectors.append(list(array.array("f", (x + random.gauss(0, 0.5) for x in centre))))
    return vectors


def distance(metric, a, b):
    if metric == "l2":
        return math.sqrt(sum((x - y) * (x - y) for x, y in zip(a, b)))
    dot = sum(x * y for x, y in zip(a, b))
    if metric == "ip":
        return -dot
    return 1 - dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def nearest(metric, vectors, query, k):
    """The numbers of the k nearest, computed independently."""
    return [i for _, i in heapq.nsmallest(k, ((distance(metric, v, query), i)
                                             for i, v in enumerate(vectors)))]


def read_f32(path, dimension, count):
    """The first rows of a file of little-endian floats."""
    with open(path, "rb") as file:
        values = array.array("f", file.read(4 * dimension * count))
    return [list(values[i * dimension:(i + 1) * dimension]) for i in range(len(values) // dimension)]


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def add_all(service, name, vectors, batch=1000, metadata=None):
    """Adds vector i as item str(i); answers must say that all were new."""
    for start in range(0, len(vectors), batch):
        items = [{"id": str(i), "vector": vectors[i]}
                 for i in range(start, min(start + batch, len(vectors)))]
        if metadata:
            for item in items:
                item["metadata"] = metadata(int(item["id"]))
        answer = service.post(f"/vectors/{name}/add", {"items": items})
        assert answer.status == 200, answer
        assert answer.json()["added"] == len(items), answer


def recall(service, name, queries, k=10, **search):
    """Share of the service's own exact answers that its fast search finds. Equal distances count."""
    right = wanted = 0
    fast = service.post(f"/vectors/{name}/search", {"vectors": queries, "k": k, **search}).json()
    exact = service.post(f"/vectors/{name}/search",
                         {"vectors": queries, "k": k, "exact": True}).json()
    for found, truth in zip(fast["results"], exact["results"]):
        assert truth["exact"]
        farthest = truth["hits"][-1]["distance"]
        right += sum(hit["distance"] <= farthest for hit in found["hits"])
        wanted += len(truth["hits"])
    return right / wanted
