"""Workers by name: this process, processes here, or a cluster."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from syncnas_deploy.errors import UnknownWorkers
from syncnas_deploy.search.workers.base import InProcess, Workers

MAX_PROCESSES = 256
SCHEMES = ("tcp://", "tls://")


def caution(text: str | int) -> str:
    """What to know of workers before they are used, a sentence; "" where there is nothing.

    A dask scheduler at a tcp:// address runs what anyone sends it, and sends on what it likes. That is all right within
    one machine.
    """
    text = str(text)
    if not text.startswith("tcp://"):
        return ""
    try:
        host = urlsplit(text).hostname or ""
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return ""
    except ValueError:
        pass  # a name, of which nobody knows where it leads
    return (
        f"{text}: nothing is encrypted on the way there and nobody is asked for a certificate, so whoever reaches that "
        "network can run programs on its workers and here; use tls://, or a tunnel to 127.0.0.1."
    )


def make_workers(text: str | int = 1, resources: Mapping[str, float] | None = None) -> Workers:
    """The workers that `text` names: a number of processes here, or a dask scheduler's address.

    Args:
        text: 1 for this process, more for so many others, ``tcp://HOST:PORT`` or ``tls://HOST:PORT``.
        resources: what each evaluation needs of a dask worker's resources, by name.

    Raises:
        UnknownWorkers: none of these.
        WorkersUnavailable: no scheduler or no workers there, or of another version.
        MissingDependency: dask.distributed is needed and not installed.
    """
    text = str(text)
    if text.startswith(SCHEMES):
        from syncnas_deploy.search.workers.dask import DaskWorkers

        return DaskWorkers(text, resources or {})
    if resources:
        raise UnknownWorkers("Only dask workers have resources; give --workers tcp://HOST:PORT with --worker-resource.")
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_PROCESSES:
        raise UnknownWorkers(
            f"{text[:80]!r} names no workers; give a number of processes, 1 to {MAX_PROCESSES}, or tcp://HOST:PORT of "
            "a dask scheduler."
        )
    if int(text) == 1:
        return InProcess()
    from syncnas_deploy.search.workers.local import LocalWorkers

    return LocalWorkers(int(text))
