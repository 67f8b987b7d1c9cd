"""CPU of a request through the gateway, against nginx as a streaming proxy of the same store.

Both proxies are pinned to one core; the store behind them (an nginx that keeps files in memory) and the
load generator have the other. Rounds alternate between the two."""

import bench_support as bench
from support.lakehouse import PORTS, TestCase

MIB = 1 << 20
# name, method, target, bytes, requests of a round
CASES = (
    ("GET 100 B", "GET", "/v1/storage/100", 100, 8000),
    ("GET 64 KiB", "GET", "/v1/storage/65536", 65536, 4000),
    ("GET 256 MiB", "GET", "/v1/storage/268435456", 256 * MIB, 2),
    ("PUT 64 KiB", "PUT", "/v1/storage/put-{n}", 65536, 2000),
    ("PUT 256 MiB", "PUT", "/v1/storage/put-large", 256 * MIB, 2),
)


class Bench(TestCase):
    def runTest(self):
        options = bench.arguments()
        store = bench.Nginx(
            "root @folder@; client_body_temp_path @folder@/storage-temp; "
            "location / { dav_methods PUT; create_full_put_path on; }", core=bench.LOAD_CORE)
        self.addCleanup(store.stop)
        (store.folder / "storage").mkdir()
        for size in (100, 65536, 256 * MIB):
            (store.folder / "storage" / str(size)).write_bytes(b"x" * size)
        proxy = bench.Nginx(
            "location /v1/ { proxy_pass http://store/; proxy_http_version 1.1; proxy_set_header Connection ''; "
            "proxy_buffering off; proxy_request_buffering off; }",
            outside=f"upstream store {{ server 127.0.0.1:{store.port}; keepalive 64; }}")
        self.addCleanup(proxy.stop)
        gateway = self.service("gateway", {"storaged": f"http://127.0.0.1:{store.port}"},
                               **{"log.level": "info"})
        bench.pin(gateway.pid)

        rows, figures = [], []
        for name, method, target, size, count in CASES:
            connections = 1 if size > MIB else 16
            body = size if method == "PUT" else 0
            ours, theirs = [], []
            for _ in range(options.rounds):
                for pid, port, costs in ((gateway.pid, gateway.port, ours),
                                         (proxy.worker, proxy.port, theirs)):
                    cost, result = bench.cost_us([pid], port, target, method=method, requests=count,
                                                 connections=connections, body=body)
                    costs.append(cost)
            ratios = [a / b for a, b in zip(ours, theirs)]
            ratio, by = bench.spread(ratios)
            rows.append((name, f"{bench.spread(ours)[0]:,.1f} us", f"{bench.spread(theirs)[0]:,.1f} us",
                         f"{ratio:.2f} ± {by:.2f}"))
            figures.append({"case": name, "gateway_us": ours, "nginx_us": theirs, "ratio": ratio})
        bench.table(("CPU of one request", "gateway", "nginx", "ratio"), rows)
        print(f"gateway resident afterwards: {gateway.rss() / MIB:.1f} MiB")
        bench.save(options.json, figures)


if __name__ == "__main__":
    import unittest
    unittest.main(argv=["proxy"])
