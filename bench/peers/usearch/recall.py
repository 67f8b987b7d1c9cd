#!/usr/bin/env python3
"""The peer of bench/recall/vectord/recall.c: usearch (PyPI), the same files, settings and output.

  recall.py BASE.f32 QUERY.f32 DIMENSION cosine|l2|ip [ROWS [THREADS]]

USEARCH_KIND is the type that it keeps: f32, bf16, i8. All queries go over in one call."""

import os
import sys

import numpy
from peer import main
from usearch.index import Index

KIND = os.environ.get("USEARCH_KIND", "f32")
THREADS = 1


def build(base, metric, threads):
    global THREADS
    THREADS = threads
    index = Index(ndim=base.shape[1], metric={"cosine": "cos", "l2": "l2sq", "ip": "ip"}[metric], dtype=KIND,
                  connectivity=16, expansion_add=200)
    index.add(numpy.arange(len(base)), base, threads=threads)
    return index


def search(index, queries, k, ef):
    index.expansion_search = ef
    return index.search(queries, k, threads=THREADS).keys.astype(numpy.int64)


if __name__ == "__main__":
    main(build, search, sys.argv)
