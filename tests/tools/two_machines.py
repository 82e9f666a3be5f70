"""Two machines in one: network namespaces with addresses and host names of their own, joined by a cable.

Ranks on them reach each other only through TCP. This needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from tests.tools.mpiexec import MPIEXEC, TRAIN, environment

TCP = dict(UCX_TLS="tcp,self")     # or MPICH would notice that both machines have one memory


def can_be_made() -> bool:
    """Whether this process may make network namespaces, and cables."""
    name = f"try{os.getpid()}"
    if not shutil.which("ip") or subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        return False
    cable = subprocess.run(["ip", "-n", name, "link", "add", "end0", "type", "veth", "peer", "name", "end1"],
                           capture_output=True)
    removed = subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return cable.returncode == removed.returncode == 0


@contextmanager
def two_machines(folder: Path):
    """Make the machines; gives a function like `mpiexec.start`, which puts ranks on them in turns."""
    a, b = (f"ctc{os.getpid()}{letter}" for letter in "ab")
    addresses = {a: "10.77.0.1", b: "10.77.0.2"}
    # mpiexec calls this in place of ssh: [options] ADDRESS COMMAND...
    remote = folder / "remote"
    remote.write_text(f"""#!/bin/sh
        while [ "${{1#-}}" != "$1" ]; do shift; done
        name={b}; [ "$1" = {addresses[a]} ] && name={a}
        shift
        exec ip netns exec $name unshare --uts sh -c "hostname $name; exec $*"
        """)
    remote.chmod(0o755)

    def start(ranks: int, *arguments) -> subprocess.Popen:
        hosts = ["-hosts", ",".join(addresses.values()), "-localhost", addresses[a], "-ppn", "1"]
        launcher = ["-launcher", "rsh", "-launcher-exec", str(remote)]
        return subprocess.Popen(
            ["ip", "netns", "exec", a, str(MPIEXEC), *launcher, *hosts, "-n", str(ranks), *TRAIN,
             *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**TCP))

    try:
        for name in (a, b):
            _ip("netns", "add", name)
        _ip("link", "add", a, "netns", a, "type", "veth", "peer", "name", b, "netns", b)
        for name, address in addresses.items():
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", name)
            for device in (name, "lo"):
                _ip("-n", name, "link", "set", device, "up")
        _wait_for_carriers(a, b)
        yield start
    finally:
        for name in (a, b):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def _wait_for_carriers(*names: str) -> None:
    """Wait until both ends of the cable are up; MPICH looks for networks only once."""
    for name in names:
        for _ in range(100):
            shown = subprocess.run(["ip", "-n", name, "link", "show", name], capture_output=True, text=True)
            if "LOWER_UP" in shown.stdout:
                break
            time.sleep(0.1)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def bytes_sent(machine: str) -> int:
    """How many bytes a machine has sent through its cable, by the name of the machine."""
    statistics = subprocess.run(["ip", "netns", "exec", machine, "cat", "/proc/net/dev"], capture_output=True,
                                text=True, check=True).stdout
    line, = (line for line in statistics.splitlines() if line.strip().startswith(f"{machine}:"))
    return int(line.split(":")[1].split()[8])
