"""The network of a pod of the test cluster, whose nodes are namespaces of this machine."""

import subprocess
from pathlib import Path

import pytest


def cut_network(pod: str) -> None:
    """Drop all packets from and to a pod, in both directions and without a reset. It can't be undone.

    The test is skipped if the pod's processes are not on this machine.

    Args:
        pod: Name of the pod, which is the host name in its containers.
    """
    process = _process(pod)
    if process is None:
        pytest.skip("the cluster's nodes are not on this machine, so the test can't cut their network")
    for chain in ("INPUT", "OUTPUT"):
        rule = ["iptables", "--insert", chain, "--jump", "DROP"]
        subprocess.run(["nsenter", "--net", "--target", str(process), *rule], check=True)


def _process(pod: str) -> int | None:
    """Return the id of a process of a pod, as this machine sees it, or None without one."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"HOSTNAME={pod}".encode() in variables:
            return int(folder.name)
    return None
