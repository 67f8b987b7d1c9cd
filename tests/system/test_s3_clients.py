#!/usr/bin/env python3
"""S3 as real clients speak it: boto3, the aws command line, s3cmd, rclone, MinIO's JavaScript client and DuckDB's
httpfs, over http and https. `tools/bootstrap clients` brings them; without them these tests are skipped."""

import os
import shutil
import ssl
import subprocess
import unittest
import urllib.request
from pathlib import Path

import support.lakehouse
from support.lakehouse import SANITIZE, SUPPORT, TestCase, main

CLIENTS = SUPPORT.parents[1] / "build/clients"
PYTHON = CLIENTS / "venv/bin/python"
SCRIPTS = SUPPORT / "clients"
KEY, SECRET = "lakehouse-test-key", "a-secret-that-is-only-for-tests-1234"
FILES = 10_000 if not SANITIZE else 200


def need(path):
    if not Path(path).exists() and not shutil.which(str(path)):
        raise unittest.SkipTest(f"{path} is not here: run tools/bootstrap clients")


def tree(folder):
    """{name: bytes} of all files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


class Clients(TestCase):
    def store(self, tls=False):
        settings = {"keys.id": KEY, "keys.secret": SECRET}
        if tls:
            certificate, key = self.certificate()
            settings |= {"http.tls_certificate": str(certificate), "http.tls_key": str(key)}
            support.lakehouse.TLS = ssl.create_default_context(cafile=certificate)
            self.addCleanup(setattr, support.lakehouse, "TLS", None)
        return self.service("storaged", **settings)

    def certificate(self):
        certificate, key = self.folder / "tls.crt", self.folder / "tls.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        return certificate, key

    def run_client(self, command, store, **environment):
        values = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        values.pop("AWS_CA_BUNDLE", None)
        values |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true",
                   "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": "/dev/null", "HOME": str(self.folder),
                   "ENDPOINT": store.url, "CLIENTS": str(CLIENTS)}
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                              env=values | environment, cwd=self.folder)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def make_files(self, count):
        folder = self.folder / "files"
        for number in range(count):
            path = folder / f"d{number % 37}" / f"e{number % 5}" / f"file {number}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.random.randbytes(self.random.choice((0, 10, 1000, 5000))))
        return folder

    # ---- boto3 ----

    def test_boto3(self):
        need(PYTHON)
        store = self.store()
        url = self.run_client([PYTHON, SCRIPTS / "boto.py", "objects"], store).strip()
        with urllib.request.urlopen(url) as answer:
            self.assertEqual(answer.read(), b"plain" * 100)
        self.run_client([PYTHON, SCRIPTS / "boto.py", "race"], store)

    def test_boto3_tls(self):
        need(PYTHON)
        store = self.store(tls=True)
        endpoint = {"ENDPOINT": f"https://127.0.0.1:{store.port}", "AWS_CA_BUNDLE": str(self.folder / "tls.crt")}
        self.run_client([PYTHON, SCRIPTS / "boto.py", "objects"], store, **endpoint)
        self.run_client([PYTHON, SCRIPTS / "boto.py", "large"], store, **endpoint)

    def test_boto3_1_gib(self):
        need(PYTHON)
        store = self.store()
        self.run_client([PYTHON, SCRIPTS / "boto.py", "large"], store)
        self.assertLess(store.rss(), 200 << 20 if not SANITIZE else 2 << 30)

    # ---- the others ----

    def test_aws_command_line(self):
        need(PYTHON)
        store = self.store()
        aws = [PYTHON, "-m", "awscli", "--endpoint-url", store.url, "s3"]
        files = self.make_files(300)
        self.run_client([*aws, "mb", "s3://aws"], store)
        self.run_client([*aws, "sync", files, "s3://aws/x", "--only-show-errors"], store)
        self.assertEqual(self.run_client([*aws, "sync", files, "s3://aws/x"], store), "")
        self.run_client([*aws, "sync", "s3://aws/x", self.folder / "back", "--only-show-errors"], store)
        self.assertEqual(tree(self.folder / "back"), tree(files))
        self.run_client([*aws, "rb", "s3://aws", "--force"], store)

    def test_s3cmd(self):
        need("s3cmd")
        store = self.store()
        s3cmd = ["s3cmd", "--config=/dev/null", f"--access_key={KEY}", f"--secret_key={SECRET}", "--no-ssl",
                 f"--host=127.0.0.1:{store.port}", f"--host-bucket=127.0.0.1:{store.port}", "--no-progress"]
        files = self.make_files(200)
        big = files / "big"
        big.write_bytes(self.random.randbytes(20 << 20))
        self.run_client([*s3cmd, "mb", "s3://cmd"], store)
        self.run_client([*s3cmd, "sync", "--multipart-chunk-size-mb=8", f"{files}/", "s3://cmd/x/"], store)
        puts = [line for line in store.log() if line.get("method") == "PUT"]
        self.assertLess(len(puts), 220, "a wrong etag makes s3cmd send everything again")
        self.run_client([*s3cmd, "sync", "s3://cmd/x/", f"{self.folder}/back/"], store)
        self.assertEqual(tree(self.folder / "back"), tree(files))
        self.run_client([*s3cmd, "del", "--recursive", "--force", "s3://cmd"], store)
        self.run_client([*s3cmd, "rb", "s3://cmd"], store)

    def test_rclone_10_000_files(self):
        need("rclone")
        store = self.store()
        (self.folder / "rclone.conf").write_text(
            f"[box]\ntype = s3\nprovider = Other\naccess_key_id = {KEY}\nsecret_access_key = {SECRET}\n"
            f"endpoint = {store.url}\nregion = us-east-1\nforce_path_style = true\n")
        rclone = ["rclone", "--config", self.folder / "rclone.conf", "--transfers", "16", "--checkers", "16",
                  "--retries", "1", "--low-level-retries", "1"]
        files = self.make_files(FILES)
        self.run_client([*rclone, "mkdir", "box:clone"], store)
        self.run_client([*rclone, "sync", files, "box:clone/x"], store)
        self.run_client([*rclone, "check", files, "box:clone/x"], store)
        self.run_client([*rclone, "sync", "box:clone/x", self.folder / "back"], store)
        self.assertEqual(tree(self.folder / "back"), tree(files))
        self.run_client([*rclone, "purge", "box:clone"], store)

    def test_minio_javascript(self):
        need(CLIENTS / "node_modules/minio")
        store = self.store()
        self.run_client(["node", SCRIPTS / "minio.mjs"], store, BUCKET="javascript")

    def test_minio_javascript_tls(self):
        need(CLIENTS / "node_modules/minio")
        store = self.store(tls=True)
        self.run_client(["node", SCRIPTS / "minio.mjs"], store, BUCKET="javascript",
                        ENDPOINT=f"https://127.0.0.1:{store.port}",
                        NODE_EXTRA_CA_CERTS=str(self.folder / "tls.crt"))

    def test_duckdb_httpfs(self):
        need(CLIENTS / "venv/lib")
        store = self.store()
        aws = [PYTHON, "-m", "awscli", "--endpoint-url", store.url, "s3"]
        self.run_client([*aws, "mb", "s3://duck"], store)
        self.run_client([PYTHON, SCRIPTS / "duck.py"], store, BUCKET="duck")


if __name__ == "__main__":
    main()
