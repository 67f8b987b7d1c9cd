"""A storaged that can be crashed: started under a tracer that kills it at a numbered system call, or with a
library in front of it that plants a fault, to prove that the harness finds it."""

import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.lakehouse import BIN, PORTS, Program, die_with_parent, sanitizer_environment, write_config

HERE = Path(__file__).resolve().parent
# What the way of a commit consists of.
STEPS = ("pwrite64", "fdatasync", "fsync", "linkat", "unlinkat", "ftruncate", "openat")


class Storaged(Program):
    """`step` = (system call, n): killed when one of its threads enters the n-th of these. `plant`: a name
    of plants.c."""

    def __init__(self, folder, data_dir, plant=None):
        self.step, self.plant = None, plant
        port = PORTS.take()
        settings = {"storaged.listen": f"127.0.0.1:{port}", "data_dir": str(data_dir), "log.level": "info",
                    "storaged.reserve_bytes": "1MiB"}
        super().__init__("storaged", port, folder, settings)

    def start(self):
        write_config(self.config, self.settings)
        command = [str(BIN / "storaged"), "-config", str(self.config)]
        if self.step:
            call, number = self.step
            # -D: the tracer is the grandchild, so that the child is storaged itself.
            command = ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e", f"trace={call}",
                       "-e", f"inject={call}:signal=KILL:when={number}", *command]
        environment = sanitizer_environment()
        if self.plant:
            environment["LD_PRELOAD"] = str(planted(self.plant, self.dir))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.dir, env=environment, preexec_fn=die_with_parent)
        try:
            return self.wait_ready()
        except AssertionError:
            # A step may be reached before it is ready: then this was the crash.
            if self.step and self.process.poll() is not None:
                return self
            self.process.kill()
            raise

    @property
    def is_alive(self):
        return self.process.poll() is None

    def check(self):
        """The offline scrub; its text when it found damage, else None."""
        done = subprocess.run([str(BIN / "storaged"), "check", "-config", str(self.config)],
                              capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else done.stdout + done.stderr


def planted(name, folder):
    library = Path(folder) / f"plant-{name}.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", f"-DPLANT_{name.upper()}", "-o", library,
                        HERE / "plants.c", "-ldl"], check=True)
    return library


def have_tracer():
    return shutil.which("strace") is not None
