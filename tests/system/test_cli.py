"""The command line tool against a running lakehouse: what it prints, where, and how it exits."""

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from support.lakehouse import BIN, SLOWDOWN, TestCase, main, sanitizer_environment

TRIPS = "id,city,fare\n" + "".join(f"{i},{'Cork' if i % 3 else 'Bergen'},{i}.25\n" for i in range(300))


def plain_environment(**more):
    """Without variables that would change what is printed."""
    kept = {key: value for key, value in sanitizer_environment().items()
            if not key.startswith("LAKEHOUSE") and key not in ("NO_COLOR", "CLICOLOR_FORCE")}
    return {**kept, "TERM": "xterm", **more}


class Cli(TestCase):
    def run_cli(self, *arguments, stdin=None, env=None, cwd=None):
        return subprocess.run([str(BIN / "lakehouse"), *arguments], input=stdin, text=True,
                              capture_output=True, timeout=60 * SLOWDOWN, cwd=cwd or self.folder,
                              env=env or plain_environment())

    def on_terminal(self, *arguments, feed=None, env=None):
        """Runs with a terminal as stdout and stderr; all that was shown, and the exit code. `feed`: pieces
        for stdin, with pauses (numbers) between them."""
        master, slave = pty.openpty()
        process = subprocess.Popen([str(BIN / "lakehouse"), *arguments], stdout=slave, stderr=slave,
                                   stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                                   cwd=self.folder, env=env or plain_environment())
        os.close(slave)
        for piece in feed or ():
            if isinstance(piece, bytes):
                process.stdin.write(piece)
                process.stdin.flush()
            else:
                time.sleep(piece)
        if feed:
            process.stdin.close()
        shown = b""
        deadline = time.monotonic() + 60 * SLOWDOWN
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    part = os.read(master, 65536)
                except OSError:  # the terminal's other end is closed
                    break
                shown += part
        os.close(master)
        return shown.decode(), process.wait(10)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)


class Offline(Cli):
    """What needs no server."""

    def test_help_and_version(self):
        for words in ((), ("help",), ("--help",), ("-h",)):
            result = self.run_cli(*words)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            for command in ("serve", "ingest", "sql", "health", "config", "demo"):
                self.assertRegex(result.stdout, rf"(?m)^  {command} ")
        for command in ("serve", "ingest", "sql", "health", "config", "demo"):
            by_word = self.run_cli("help", command)
            self.assertEqual(by_word.returncode, 0)
            self.assertTrue(by_word.stdout.startswith(f"lakehouse {command}"))
            self.assertEqual(self.run_cli(command, "--help").stdout, by_word.stdout)
        self.assertRegex(self.run_cli("version").stdout, r"^lakehouse \d+\.\d+\.\d+\n$")
        self.assertEqual(self.run_cli("--version").stdout, self.run_cli("version").stdout)

    def test_misspelt_words_are_met_with_the_nearest(self):
        for words, message, fix in (
                (("srve",), 'there is no command "srve"', "did you mean: lakehouse serve"),
                (("sql", "--fil", "x"), "lakehouse sql has no flag --fil", "did you mean --file?"),
                (("sql", "-o", "jsn", "SELECT 1"), 'not "jsn"', "did you mean json?"),
                (("config", "chek"), "not chek", "did you mean: lakehouse config check"),
                (("help", "ingst"), 'there is no command "ingst"', "did you mean: lakehouse ingest"),
                (("serve", "-storaged.lisen", "x"), "there is no flag -storaged.lisen",
                 "did you mean -storaged.listen?")):
            result = self.run_cli(*words)
            self.assertEqual(result.returncode, 2, words)
            self.assertEqual(result.stdout, "")
            self.assertIn(message, result.stderr)
            self.assertIn(f"fix: {fix}", result.stderr)

    def test_wrong_use(self):
        for words in (("ingest",), ("ingest", "a", "b"), ("ingest", "-"), ("ingest", ".csv"),
                      ("health", "x"), ("demo", "x"), ("demo", "--rows", "0"), ("sql", "-f"),
                      ("sql", "-f", "x", "SELECT 1"), ("config",), ("serve", "--demo-rows", "none")):
            result = self.run_cli(*words)
            self.assertEqual(result.returncode, 2, (words, result.stderr))
            self.assertTrue(result.stderr.startswith("error: "), words)

    def test_nobody_there(self):
        away = ("--url", "http://127.0.0.1:9")
        for words in (("health",), ("sql", "SELECT 1"), ("ingest", self.file("a.csv", "a\n1\n"))):
            result = self.run_cli(*words, *away)
            self.assertEqual(result.returncode, 6, words)
            self.assertIn("no lakehouse answers at http://127.0.0.1:9", result.stderr)
            self.assertIn("fix: start one with: lakehouse serve", result.stderr)

    def test_missing_files(self):
        result = self.run_cli("ingest", "nowhere.csv")
        self.assertEqual(result.returncode, 3)
        self.assertIn("cannot open nowhere.csv: No such file", result.stderr)
        self.assertEqual(self.run_cli("sql", "-f", "nowhere.sql").returncode, 3)
        self.assertEqual(self.run_cli("ingest", str(self.folder), "--into", "x").returncode, 1)

    def test_config(self):
        self.assertIn("defaults", self.run_cli("config", "check").stdout)
        self.assertEqual(self.run_cli("config", "init").returncode, 0)
        again = self.run_cli("config", "init")
        self.assertEqual(again.returncode, 4)
        self.assertIn("is there already", again.stderr)
        self.assertEqual(self.run_cli("config", "check").stdout, "lakehouse.toml: ok\n")
        shown = self.run_cli("config", "show").stdout
        self.assertIn('listen = "127.0.0.1:3110"', shown)
        # Every line of the template is a valid setting once it is uncommented.
        path = self.folder / "lakehouse.toml"
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line[1:] if re.match(r"#\w+ = ", line) else line for line in lines))
        self.assertEqual(self.run_cli("config", "check").returncode, 0)
        self.assertIn("# file", self.run_cli("config", "show").stdout)
        # What show prints is a configuration with the same meaning.
        self.file("shown.toml", self.run_cli("config", "show").stdout)
        reshown = self.run_cli("config", "show", "--config", "shown.toml").stdout
        self.assertEqual(re.sub(r" *# file", "", reshown),
                         re.sub(r" *# file", "", self.run_cli("config", "show").stdout))
        self.assertIn("| ", self.run_cli("config", "document").stdout)

    def test_config_mistakes(self):
        path = self.file("bad.toml", '[storaged]\nlisten = "127.0.0.1:1"\n[gatway]\nlisten = "x"\n')
        result = self.run_cli("config", "check", "--config", path)
        self.assertEqual(result.returncode, 8)
        self.assertIn(f"{path}:4:1: there is no section [gatway]", result.stderr)
        self.assertIn('did you mean "gateway"?', result.stderr)
        self.assertEqual(self.run_cli("serve", "--config", path).returncode, 2)
        env = plain_environment(LAKEHOUSE_STORAGED__LIST_LIMIT_MAX="0")
        result = self.run_cli("config", "check", env=env)
        self.assertEqual(result.returncode, 8)
        self.assertIn("LAKEHOUSE_STORAGED__LIST_LIMIT_MAX: storaged.list_limit_max is \"0\"",
                      result.stderr)


class Online(Cli):
    """With all services running."""

    def setUp(self):
        super().setUp()
        self.lake = self.lakehouse()
        self.url = ("--url", self.lake.url)

    def query(self, sql, *flags):
        result = self.run_cli("sql", sql, *flags, *self.url)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def ingest(self, name, text, *flags):
        return self.run_cli("ingest", self.file(name, text), *flags, *self.url)

    def test_files_in_and_questions_answered(self):
        first = self.ingest("trips.csv", TRIPS)
        self.assertEqual(first.returncode, 0, first.stderr)
        answer = json.loads(first.stdout)  # not a terminal: one line of JSON
        self.assertEqual((answer["dataset"], answer["status"], answer["rows"]), ("trips", "created", 300))
        again = json.loads(self.ingest("trips.csv", TRIPS).stdout)
        self.assertEqual((again["status"], again["snapshot"]), ("unchanged", answer["snapshot"]))
        other = self.ingest("trips.csv", TRIPS + "999,Cork,1.25\n")
        self.assertEqual(other.returncode, 4)
        self.assertIn("cannot ingest", other.stderr)
        self.assertIn("fix:", other.stderr)
        more = self.ingest("more.csv", "id,city,fare\n1000,Cork,2.5\n", "--into", "trips", "--mode=append")
        self.assertEqual(json.loads(more.stdout)["status"], "appended", more.stderr)
        self.assertEqual(self.query("SELECT count(*) AS n FROM trips"), "n\n301\n")
        self.assertEqual(self.query("SELECT count(*) AS n FROM trips", "--at",
                                    f"trips={answer['snapshot']}"), "n\n300\n")
        piped = self.run_cli("ingest", "-", "--into", "piped", *self.url, stdin=TRIPS)
        self.assertEqual(json.loads(piped.stdout)["rows"], 300, piped.stderr)
        bad = self.ingest("bad.csv", "a,b\n" + "1,2\n" * 30000 + "1,2,3\n")
        self.assertEqual((bad.returncode, bad.stdout), (1, ""))
        self.assertIn("30002", bad.stderr)

    def test_outputs(self):
        sql = "SELECT i, 'a \"b\", ' || i AS t FROM range(3) r(i)"
        rows = list(csv.reader(io.StringIO(self.query(sql))))
        self.assertEqual(rows, [["i", "t"], ["0", 'a "b", 0'], ["1", 'a "b", 1'], ["2", 'a "b", 2']])
        self.assertEqual(self.query(sql, "-o", "csv"), self.query(sql))
        document = json.loads(self.query(sql, "-o", "json"))
        self.assertEqual(document["rows"][2], [2, 'a "b", 2'])
        lines = [json.loads(line) for line in self.query(sql, "-o", "ndjson").splitlines()]
        self.assertEqual(lines[1], {"i": 1, "t": 'a "b", 1'})
        table = self.query(sql, "-o", "table")
        self.assertIn('│ a "b", 2 │', table)
        self.assertIn("3 rows", table)
        long = self.query("SELECT i FROM range(100000) r(i)", "-o", "table")
        self.assertIn("100,000 rows (40 shown)", long)
        self.assertEqual(len(long.splitlines()), 47)
        self.assertEqual(self.query("SELECT 1 AS a WHERE false", "-o", "table").splitlines()[-1][:6], "0 rows")

    def test_where_sql_comes_from(self):
        for result in (self.run_cli("sql", "-", *self.url, stdin="SELECT 42 AS x"),
                       self.run_cli("sql", *self.url, stdin="SELECT 42 AS x"),
                       self.run_cli("sql", "-f", self.file("q.sql", "SELECT 42 AS x"), *self.url),
                       self.run_cli("sql", "SELECT", "42", "AS", "x", *self.url),
                       self.run_cli("sql", "SELECT 42 AS x", env=plain_environment(LAKEHOUSE_URL=self.lake.url)),
                       self.run_cli("sql", "SELECT 42 AS x", "--config", str(self.lake.config))):
            self.assertEqual((result.returncode, result.stdout), (0, "x\n42\n"), result.stderr)

    def test_errors_show_the_place(self):
        result = self.run_cli("sql", "SELECT 1,\n       foo", *self.url)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        lines = result.stderr.splitlines()
        self.assertTrue(lines[0].startswith("error: "))
        caret = next(i for i, line in enumerate(lines) if line.strip() == "^")
        self.assertEqual(lines[caret].index("^"), lines[caret - 1].index("foo"))
        self.assertEqual(self.run_cli("sql", "DROP TABLE x", *self.url).returncode, 1)

    def test_health(self):
        result = self.run_cli("health", *self.url)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual([line.split()[0] for line in result.stdout.splitlines()],
                         ["gateway", "storaged", "catalogd", "ingestd", "queryd", "vectord"])
        self.assertEqual(json.loads(self.run_cli("health", "--json", *self.url).stdout)["status"], "ok")

    def wait_no_queries(self):
        deadline = time.monotonic() + 10 * SLOWDOWN
        while self.lake.get("/v1/sql").json()["items"]:
            self.assertLess(time.monotonic(), deadline, "the query still runs on the server")
            time.sleep(0.05)

    def test_interrupt_cancels_on_the_server(self):
        heavy = "SELECT count(*) FROM range(100000000) a, range(100000) b WHERE (a.range * b.range) % 7 = 3"
        endless = "SELECT range AS i FROM range(100000000000)"
        for sql in (heavy, endless):  # before the first byte, and in the middle of the rows
            process = subprocess.Popen([str(BIN / "lakehouse"), "sql", sql, *self.url],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       env=plain_environment(), cwd=self.folder)
            deadline = time.monotonic() + 20 * SLOWDOWN
            while not self.lake.get("/v1/sql").json()["items"]:
                self.assertLess(time.monotonic(), deadline, "the query did not start")
                time.sleep(0.02)
            if sql is endless:
                self.assertEqual(os.read(process.stdout.fileno(), 2), b"i\n")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20 * SLOWDOWN)
            self.assertEqual(process.returncode, 130, errors)
            self.assertIn(b"cancelled", errors)
            self.wait_no_queries()

    def test_on_a_terminal(self):
        shown, code = self.on_terminal("sql", "SELECT 1 AS a", *self.url)
        self.assertEqual(code, 0, shown)
        self.assertIn("\x1b[1ma\x1b[0m", shown)
        self.assertIn("└", shown)
        shown, _ = self.on_terminal("sql", "SELECT 1 AS a", *self.url,
                                    env=plain_environment(NO_COLOR="1"))
        self.assertNotIn("\x1b", shown)
        half = TRIPS[: len(TRIPS) // 2].encode()
        shown, code = self.on_terminal("ingest", "-", "--into", "slow", *self.url,
                                       feed=[half, 1.0, TRIPS.encode()[len(half):]])
        self.assertEqual(code, 0, shown)
        self.assertRegex(shown, r"\r\x1b\[Kingest -  [\d.]+ KB  .*/s")
        final = shown.rsplit("\x1b[K", 1)[1]
        self.assertRegex(final, r"slow.*created.* 300 rows  3 columns")
        self.assertIn('next: lakehouse sql "FROM slow LIMIT 5"', final)


class Degraded(Cli):
    def test_health_tells(self):
        stack = self.stack("storaged", "gateway")
        result = self.run_cli("health", "--url", stack.gateway.url)
        self.assertEqual(result.returncode, 8)
        self.assertRegex(result.stdout, r"(?m)^storaged   ok$")
        self.assertRegex(result.stdout, r"(?m)^vectord    unreachable: ")


class Demo(Cli):
    def serve(self, lake):
        """`lakehouse serve --demo` on the configuration of `lake`; all that it shows up to its last line."""
        process = subprocess.Popen(
            [str(BIN / "lakehouse"), "serve", "--demo", "--demo-rows", "20000", "-config",
             str(lake.config), "-log.level", "warn"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=plain_environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "lakehouse ingest your.csv" in line or "error:" in line:
                break
        return process, "".join(lines)

    def test_twice_on_the_same_data(self):
        lake = self.lakehouse()
        self.assertEqual(lake.stop(), 0)
        for run in range(2):
            process, shown = self.serve(lake)
            self.assertRegex(shown, r"lakehouse \d.* ready in ")
            self.assertRegex(shown, r"console  http://127")
            self.assertRegex(shown, r"trips: " + ("created|replaced" if run == 0 else "unchanged"), shown)
            self.assertRegex(shown, r"(?m)^│ Amsterdam +│ +\d+ │")
            self.assertIn("8 rows", shown)
            self.assertRegex(shown, r"helpdesk: 3,000 texts")
            hits = [line for line in shown.splitlines() if "ticket-" in line]
            self.assertEqual(len(hits), 5, shown)
            self.assertTrue(all("backup" in hit for hit in hits), shown)
            self.assertEqual(lake.get("/v1/vectors/helpdesk").json()["count"], 3000)
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            self.assertEqual(process.wait(30 * SLOWDOWN), 0)


if __name__ == "__main__":
    main()
