#!/usr/bin/env python3
"""Power cuts: storaged on a file system of its own in a loop device, which is shut down under load as if the
plug were pulled (FS_IOC_SHUTDOWN without flushing its log): all that was not synced is lost, and the running
store gets errors from then on. Then the file system is mounted again, and everything that was acknowledged
must be there. Needs root, a free loop device, and mkfs of the file system.

  tests/crash/power.py [--rounds 300] [--filesystem ext4|xfs|both] [--seed N] [--plant nosync|nodirsync]

With --plant it must find what was planted. Exit code 0: no violation; 77: it cannot run here."""

import argparse
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crashable import Storaged
from load import Load

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
IMAGE_BYTES = 2 << 30
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
# ext4's own writer would make data durable every 5 s; it is told to wait, so that only fsync does.
MOUNT = {"ext4": "loop,commit=300", "xfs": "loop"}


class Disk:
    def __init__(self, folder, kind):
        self.kind, self.image, self.point = kind, Path(folder) / "disk.img", Path(folder) / "disk"
        self.point.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        subprocess.run([*MAKE[kind], str(self.image)], check=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", MOUNT[self.kind], str(self.image), str(self.point)], check=True)

    def unmount(self):
        for _ in range(200):
            if subprocess.run(["umount", str(self.point)], capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.02)
        raise RuntimeError(f"{self.point} cannot be unmounted")

    def cut(self):
        fd = os.open(self.point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)


def run(options, kind, folder):
    dice = random.Random(f"{options.seed}/{kind}")
    load = Load(f"{options.seed}/{kind}")
    disk = Disk(folder, kind)
    began = time.monotonic()
    try:
        store = Storaged(folder, disk.point / "data", options.plant)
        for number in range(1, options.rounds + 1):
            load.start(store.port)
            time.sleep(dice.uniform(0.02, 0.4))
            load.cut.began = time.monotonic()
            disk.cut()
            load.cut.ended = time.monotonic()
            time.sleep(0.03)  # what is asked now must be refused
            store.kill()
            load.join()
            disk.unmount()
            disk.mount()
            store.start()
            load.verify(store.port)
            if number % 10 == 0 or number == options.rounds or load.violations:
                print(f"\r{kind}: {number} of {options.rounds} power cuts, {load.acknowledged} acknowledged "
                      f"changes, {len(load.violations)} violations, {time.monotonic() - began:.0f} s",
                      end="", flush=True)
            if load.violations:
                load.violations.append(f"the cut was from {load.cut.began:.4f} to {load.cut.ended:.4f}")
                break
        store.stop()
        damage = store.check()
        if damage:
            load.violations.append(f"storaged check: {damage}")
    except AssertionError as failure:  # it did not start any more
        load.violations.append(f"{kind}: {failure}")
    finally:
        print()
        subprocess.run(["umount", str(disk.point)], capture_output=True, check=False)
    return load.violations


def cannot_run(kinds):
    if os.geteuid() != 0:
        return "only root can mount"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    if shutil.disk_usage("/dev/shm").free < IMAGE_BYTES:
        return "/dev/shm is too small for a disk"
    for kind in kinds:
        if not shutil.which(MAKE[kind][0]):
            return f"{MAKE[kind][0]} is not here"
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            try:
                Disk(folder, kind).unmount()
            except (OSError, subprocess.CalledProcessError) as failure:
                return f"no {kind} can be mounted: {failure}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=300, help="of all file systems together")
    parser.add_argument("--filesystem", choices=("ext4", "xfs", "both"), default="both")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--plant", choices=("nosync", "nodirsync"))
    options = parser.parse_args()
    kinds = ("ext4", "xfs") if options.filesystem == "both" else (options.filesystem,)
    reason = cannot_run(kinds)
    if reason:
        print(f"power: cannot run here: {reason}")
        return 77
    options.rounds = -(-options.rounds // len(kinds))
    print(f"power: seed {options.seed}")
    violations = []
    for kind in kinds:
        folder = tempfile.mkdtemp(prefix=f"lakehouse-power-{kind}-", dir="/dev/shm")
        try:
            violations += run(options, kind, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    for violation in violations[:20]:
        print("VIOLATION", violation)
    if options.plant:
        found = bool(violations)
        print(f"power: the planted fault {options.plant} was {'' if found else 'NOT '}found")
        return 0 if found else 1
    print(f"power: {len(violations) or 'no'} violation{'s' if len(violations) > 1 else ''}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
