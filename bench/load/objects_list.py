"""A million keys: listing them in pages of 1,000 at both doors, by delimiter with few prefixes, the time to start
again, after a clean stop and after kill -9, and the memory that they cost."""

import time

import bench_objects as objects
import bench_support as bench
from support.lakehouse import TestCase

KEYS = 1_000_000
PREFIXES = 16
S3 = ("/bench?list-type=2&max-keys=1000", "<NextContinuationToken>", "continuation-token")


def listed(port, target, mark, parameter):
    return objects.run(objects.LIST_PAGES, port, target, mark, parameter, f"{objects.ACCESS}:{objects.SECRET}")


class Bench(TestCase):
    def fill(self, door):
        """Keys like "3/9f86d081884c7d65": few prefixes, an order that looks random."""
        for prefix in range(PREFIXES):
            door.load(f"{prefix:x}/{{x}}", "PUT", connections=64, requests=KEYS // PREFIXES)

    def start_seconds(self, store):
        start = time.perf_counter()
        store.start()
        return time.perf_counter() - start

    def runTest(self):
        options = bench.arguments()
        store, signed, _ = objects.storaged(self)
        begun = time.perf_counter()
        self.fill(signed)
        rows = [("put of 1 million empty objects", f"{KEYS / (time.perf_counter() - begun):,.0f} /s")]
        figures = {"rss_filled": bench.rss_bytes(store.pid)}
        rates, first = [], []
        for _ in range(options.rounds):
            result = listed(store.port, *S3)
            rates.append(KEYS / result["seconds"])
            first.append(result["first_us"] / 1000)
        figures["keys_a_second"] = rates
        rows.append(("keys listed, pages of 1,000", "{:,.0f} ± {:,.0f} /s".format(*bench.spread(rates))))
        rows.append(("first page", "{:.1f} ± {:.1f} ms".format(*bench.spread(first))))
        delimited = [listed(store.port, S3[0] + "&delimiter=/", *S3[1:])["seconds"] * 1000
                     for _ in range(options.rounds)]
        figures["delimited_ms"] = delimited
        rows.append((f"{PREFIXES} prefixes by delimiter", "{:.2f} ± {:.2f} ms".format(*bench.spread(delimited))))
        rows.append(("memory, filled and listed", f"{bench.rss_bytes(store.pid) / 1e6:.1f} MB"))
        store.stop()
        figures["start_s"] = self.start_seconds(store)
        rows.append(("start after a stop", f"{figures['start_s']:.2f} s"))
        rows.append(("memory after it", f"{bench.rss_bytes(store.pid) / 1e6:.1f} MB"))
        signed.load("killed/{x}", "PUT", connections=64, requests=20000)
        store.kill()
        figures["start_killed_s"] = self.start_seconds(store)
        rows.append(("start after kill -9 under load", f"{figures['start_killed_s']:.2f} s"))
        bench.table(("1 million keys", ""), rows)
        bench.save(options.json, figures)


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["objects_list"])
