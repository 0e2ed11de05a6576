"""Two networks on this machine, joined by a link of a chosen bandwidth. Needs root, `ip` and `tc`."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

NAMES = ("gmeta-bench-0", "gmeta-bench-1")
INTERFACE = "bench"
CLONE_NEWNET = 0x40000000
BURST = "64kb"


@dataclass(frozen=True)
class Link:
    """What the two send through.

    Attributes:
        megabytes_per_second: its bandwidth, each way.
    """

    megabytes_per_second: float

    @property
    def name(self) -> str:
        """As tables call it."""
        return f"{self.megabytes_per_second:g} MB/s"


@contextmanager
def linked(link: Link) -> Iterator[tuple[str, str]]:
    """Two networks with a link while the block runs; their names."""
    _remove()
    try:
        for name in NAMES:
            _run("ip", "netns", "add", name)
        first, second = NAMES
        _run("ip", "link", "add", INTERFACE, "netns", first, "type", "veth", "peer", INTERFACE, "netns", second)
        for number, name in enumerate(NAMES):
            inside = ("ip", "netns", "exec", name)
            _run(*inside, "ip", "address", "add", f"10.213.0.{number + 1}/24", "dev", INTERFACE)
            _run(*inside, "ip", "link", "set", INTERFACE, "up")
            _run(*inside, "ip", "link", "set", "lo", "up")
            _shape(inside, link)
        yield NAMES
    finally:
        _remove()


def _shape(inside: tuple[str, ...], link: Link) -> None:
    rate = f"{link.megabytes_per_second * 8:g}mbit"
    shaped = ("tbf", "rate", rate, "burst", BURST, "latency", "400ms")
    _run(*inside, "tc", "qdisc", "add", "dev", INTERFACE, "root", *shaped)


def enter(name: str) -> None:
    """Move this process into a network; what it opens from now on belongs there."""
    handle = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the network {name}; it needs root")
    finally:
        os.close(handle)
    os.environ["GLOO_SOCKET_IFNAME"] = INTERFACE


def _remove() -> None:
    for name in NAMES:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
