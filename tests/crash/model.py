"""What a store must hold: for each key the state that was acknowledged last, and those that requests without
an answer may have made. After a crash the store must show one of them, byte for byte; then that one is it.

A state is None (absent) or a State, whose bytes follow from a token, so nothing has to be kept."""

import hashlib
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class State:
    token: str
    sizes: tuple  # one size: put in one piece; several: in parts
    in_parts: bool = False

    def part(self, index):
        return hashlib.shake_128(f"{self.token}/{index}".encode()).digest(self.sizes[index])

    @property
    def bytes(self):
        return b"".join(self.part(index) for index in range(len(self.sizes)))

    @property
    def size(self):
        return sum(self.sizes)

    @property
    def etag(self):
        sums = [hashlib.md5(self.part(index)).digest() for index in range(len(self.sizes))]
        if not self.in_parts:
            return sums[0].hex()
        return f"{hashlib.md5(b''.join(sums)).hexdigest()}-{len(sums)}"


@dataclass
class Key:
    """Changed by the one worker that owns it, so what it must hold is always known."""
    name: str
    state: State = None
    maybe: list = field(default_factory=list)  # of requests whose outcome is open
    story: list = field(default_factory=list)  # the last requests and their answers, to explain a violation

    def tell(self, line):
        self.story = [*self.story[-5:], f"{time.monotonic():.4f} {line}"]

    @property
    def is_open(self):
        return bool(self.maybe)

    def settle(self, state):
        self.state, self.maybe = state, []


@dataclass
class Race:
    """A key that all workers try to create at the same time, each with its own bytes."""
    name: str
    won: State = None  # acknowledged
    maybe: list = field(default_factory=list)


@dataclass
class Upload:
    """An upload in parts that was begun and not completed yet."""
    key: Key
    id: str
    target: State
    acknowledged: dict = field(default_factory=dict)  # part number -> etag


class Violation(Exception):
    """The store broke its promise."""


def check_state(name, candidates, found_size, found_etag):
    """The candidate that was found; found_etag None = absent."""
    for state in candidates:
        if state is None and found_etag is None:
            return state
        if state is not None and found_etag == state.etag and found_size == state.size:
            return state
    wanted = " or ".join("absent" if state is None else f"{state.etag} ({state.size} bytes)"
                         for state in candidates)
    shown = "absent" if found_etag is None else f"{found_etag} ({found_size} bytes)"
    raise Violation(f"{name}: {shown}, but it must be {wanted}")
