"""CPU of GET /health and of the small answers beside it, against nginx giving a static answer of the same size.

Both are pinned to one core, the load generator to the other; rounds alternate between the two."""

import bench_support as bench
from support.lakehouse import TestCase

COUNT = 20000  # requests of a round


class Bench(TestCase):
    def measure(self, service, nginx, target, rounds):
        """CPU microseconds a request: ours and nginx's, round by round."""
        ours, theirs = [], []
        for _ in range(rounds):
            for pid, port, costs in ((service.pid, service.port, ours),
                                     (nginx.worker, nginx.port, theirs)):
                cost, _ = bench.cost_us([pid], port, target, requests=COUNT, connections=16)
                costs.append(cost)
        return ours, theirs

    def runTest(self):
        options = bench.arguments()
        service = self.service("storaged", **{"log.level": "info"})
        bench.pin(service.pid)
        rows, figures = [], []
        for target in ("/health", "/livez"):
            body = service.get(target).text.strip()
            nginx = bench.Nginx(
                f"default_type application/json; location {target} {{ return 200 '{body}\\n'; }}")
            try:
                ours, theirs = self.measure(service, nginx, target, options.rounds)
            finally:
                nginx.stop()
            ratio, by = bench.spread([a / b for a, b in zip(ours, theirs)])
            rows.append((f"GET {target}", f"{bench.spread(ours)[0]:.1f} us",
                         f"{bench.spread(theirs)[0]:.1f} us", f"{ratio:.2f} ± {by:.2f}"))
            figures.append({"case": target, "ours_us": ours, "nginx_us": theirs, "ratio": ratio})
        bench.table(("CPU of one request", "storaged", "nginx", "ratio"), rows)
        bench.save(options.json, figures)


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["health"])
