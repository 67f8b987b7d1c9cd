#!/usr/bin/env python3
"""The peer of bench/recall/vectord/recall.c: faiss (PyPI: faiss-cpu), the same files, settings and output.

  recall.py BASE.f32 QUERY.f32 DIMENSION cosine|l2|ip [ROWS [THREADS]]

HNSW over floats ("flat") or 8-bit codes ("sq8"): FAISS_KIND says which. All queries go over in one call, so that
Python costs nothing; each thread takes its part of them."""

import os
import sys

import faiss
from peer import main

KIND = os.environ.get("FAISS_KIND", "flat")


def build(base, metric, threads):
    faiss.omp_set_num_threads(threads)
    measure = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    dimension = base.shape[1]
    if KIND == "sq8":
        index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_8bit, 16, measure)
    else:
        index = faiss.IndexHNSWFlat(dimension, 16, measure)
    index.hnsw.efConstruction = 200
    index.train(base)
    index.add(base)
    return index


def search(index, queries, k, ef):
    index.hnsw.efSearch = ef
    return index.search(queries, k)[1]


if __name__ == "__main__":
    main(build, search, sys.argv)
