#!/usr/bin/env python3
"""kill -9 of storaged under load, again and again, at random instants and at numbered steps of its commits; after
each start everything that was acknowledged must be there.

  tests/crash/kill.py [--rounds 1000] [--seed N] [--plant early-ack|lost]

With --plant it must find what was planted, and fails when it does not. Exit code 0: no violation."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from crashable import STEPS, Storaged, have_tracer
from load import Load

FULL_CHECK_ROUNDS = 50
ROOM_BYTES = 2 << 30


def crash(store, load, dice, step):
    """One round: loads it until it dies. Returns whether it died at the step."""
    store.step = step
    store.start()
    if store.is_alive:
        load.start(store.port)
        deadline = time.monotonic() + (1.5 if step else dice.uniform(0.002, 0.25))
        while store.is_alive and time.monotonic() < deadline:
            time.sleep(0.002)
    at_step = not store.is_alive
    store.kill()
    if hasattr(load, "threads"):
        load.join()
    store.step = None
    return at_step


def run(options, folder):
    dice = random.Random(options.seed)
    load = Load(options.seed, early_ack=options.plant == "early-ack")
    store = Storaged(folder, Path(folder) / "data", options.plant if options.plant == "lost" else None)
    store.stop()
    began, stepped = time.monotonic(), 0
    for number in range(1, options.rounds + 1):
        step = None
        if have_tracer() and dice.random() < options.steps:
            step = (dice.choice(STEPS), dice.randint(1, 40))
        stepped += crash(store, load, dice, step)
        store.start()
        load.verify(store.port)
        store.kill()
        if number % FULL_CHECK_ROUNDS == 0 or number == options.rounds:
            damage = store.check()
            if damage:
                load.violations.append(f"storaged check: {damage}")
        if number % 10 == 0 or number == options.rounds or load.violations:
            print(f"\r{number} of {options.rounds} kills ({stepped} at a numbered step), {load.acknowledged} "
                  f"acknowledged changes, {len(load.violations)} violations, {time.monotonic() - began:.0f} s",
                  end="", flush=True)
        if load.violations:
            break
    print()
    return load.violations


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--steps", type=float, default=0.4, help="share of the kills that are at a numbered step")
    parser.add_argument("--plant", choices=("early-ack", "lost"))
    options = parser.parse_args()
    print(f"crash: seed {options.seed}{'' if have_tracer() else '; no strace here: random instants only'}")
    memory = Path("/dev/shm")
    is_roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM_BYTES
    folder = tempfile.mkdtemp(prefix="lakehouse-crash-", dir=memory if is_roomy else None)
    violations = run(options, folder)
    for violation in violations[:20]:
        print("VIOLATION", violation)
    if violations and not options.plant:
        print(f"crash: the store was left in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    if options.plant and not violations:
        print(f"crash: the planted fault {options.plant} was NOT found")
        return 1
    print("crash: " + ("the planted fault was found" if options.plant else "no violation"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
