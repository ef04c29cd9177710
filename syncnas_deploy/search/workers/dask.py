"""Workers of a dask.distributed cluster.

Each task is pinned to one worker, and a worker has one task at a time, since the threads of a process share torch's
stream of random numbers. If a worker dies, this module notices, and the search hands its task out again once; dask
itself would retry three times.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import pickle
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from syncnas_deploy.errors import MissingDependency, WorkersUnavailable
from syncnas_deploy.search.evaluators import Evaluation
from syncnas_deploy.search.workers.base import Done, Failed, Lost, Task, TaskOutcome, code_version, sendable

CONNECT_S = 10.0
"""How long a scheduler may take to answer, as dask counts it."""
ANSWER_S = 15.0
"""How long whoever listens there may take to prove a scheduler."""
FIRST_WORKER_S = 30.0
"""How long a search waits for its first worker, which may just be starting."""
NEW_WORKER_S = 60.0
"""How long a search waits for a new worker when all are gone."""
POLL_S = 0.5
"""How often the scheduler is asked whether workers came or went."""
FRESH_S = 0.1
"""How long the scheduler's last answer counts."""


@dataclass(frozen=True)
class _Flight:
    """A task in flight: its worker's address, and dask's future of the result."""

    task: Task
    worker: str
    future: Any


class DaskWorkers:
    """The workers of a scheduler that have the resources.

    Args:
        address: ``tcp://HOST:PORT`` or ``tls://HOST:PORT``; the latter's certificates are dask's configuration.
        resources: what each task needs of a worker, by the names that it was started with.

    Raises:
        MissingDependency: dask.distributed is not installed.
        WorkersUnavailable: no scheduler answers, no worker has the resources, or one runs other code.
    """

    def __init__(self, address: str, resources: Mapping[str, float]) -> None:
        self._address = address
        self._resources = dict(resources)
        self._client = _connected(address)
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._flights: dict[str, _Flight] = {}
        self._sent = 0
        self._known: dict[str, Mapping[str, Any]] = {}
        self._asked = -math.inf
        try:
            self._wait_for_place(FIRST_WORKER_S)
            self._check_code()
        except BaseException:
            self.close()
            raise

    def free(self) -> int:
        """How many workers have the resources and no task of ours; waits for one where all are gone."""
        places = self._places()
        if not places and not self._flights:
            places = self._wait_for_place(NEW_WORKER_S)
        return len(places)

    def submit(self, task: Task) -> None:
        """Send a task to the first free worker."""
        place = (self._places() or self._wait_for_place(NEW_WORKER_S))[0]
        payload = pickle.dumps(task)
        self._sent += 1
        key = f"syncnas-{task.config.name}-{hashlib.sha256(payload).hexdigest()[:16]}-{self._sent}"
        future = self._client.submit(
            _carry_out,
            payload,
            code_version(),
            key=key,
            workers=[place],
            resources=self._resources or None,
            pure=False,
        )
        self._flights[key] = _Flight(task, place, future)
        future.add_done_callback(lambda ended: self._ended.put(ended.key))

    def next_finished(self, timeout_s: float | None = None) -> TaskOutcome | None:
        """The next task that ended, or whose worker the scheduler no longer knows."""
        deadline = time.monotonic() + (3e8 if timeout_s is None else timeout_s)
        while True:
            left = deadline - time.monotonic()
            try:
                key = self._ended.get(timeout=max(0.0, min(POLL_S, left)))
            except queue.Empty:
                lost = self._lost()
                if lost is not None or left <= 0:
                    return lost
                continue
            flight = self._flights.pop(key, None)
            if flight is not None:
                return self._outcome(flight)

    def close(self) -> None:
        """Cancel what is in flight and leave the scheduler."""
        futures = [flight.future for flight in self._flights.values()]
        self._flights.clear()
        with contextlib.suppress(Exception):
            self._client.cancel(futures, force=True)
        with contextlib.suppress(Exception):  # a scheduler that hangs, too, is left
            self._client.close(timeout=CONNECT_S)

    def _workers(self) -> dict[str, Mapping[str, Any]]:
        """What the scheduler says of each worker, by address; asked again when that is no longer fresh."""
        if time.monotonic() - self._asked > FRESH_S:
            known = self._client.scheduler_info(n_workers=-1)  # empty where the client has lost the scheduler
            self._check_scheduler()
            self._known = dict(known.get("workers", {}))
            self._asked = time.monotonic()
        return self._known

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise WorkersUnavailable(
                f"{self._address}: the dask scheduler is gone; what was finished is kept, so start it again and give "
                "--resume."
            )

    def _places(self) -> list[str]:
        """Workers that have the resources and no task of ours."""
        busy = {flight.worker for flight in self._flights.values()}
        return [
            address
            for address, worker in self._workers().items()
            if address not in busy
            and all(worker.get("resources", {}).get(name, 0) >= amount for name, amount in self._resources.items())
        ]

    def _wait_for_place(self, seconds: float) -> list[str]:
        deadline = time.monotonic() + seconds
        while not (places := self._places()):
            if time.monotonic() > deadline:
                needed = " ".join(f"{name}={amount:g}" for name, amount in self._resources.items())
                what = f"no worker with the resources {needed}" if needed else "no worker"
                raise WorkersUnavailable(
                    f"{self._address}: the dask scheduler has {what}; start some with: dask worker {self._address} "
                    f"--nthreads 1{' --resources ' + needed if needed else ''}."
                )
            time.sleep(POLL_S / 5)
        return places

    def _check_code(self) -> None:
        try:
            versions: dict[str, str] = self._client.run(code_version)
        except Exception as e:
            raise WorkersUnavailable(
                f"{self._address}: its workers cannot run this program ({type(e).__name__}: {str(e)[:120]}); install "
                "the same syncnas-deploy there."
            ) from None
        for worker, version in versions.items():
            if version != code_version():
                raise _other_code(worker, version, code_version())

    def _lost(self) -> Lost | None:
        """A task whose worker the scheduler no longer knows."""
        present = self._workers()
        for key, flight in self._flights.items():
            if flight.worker not in present:
                del self._flights[key]
                flight.future.cancel(force=True)
                return Lost(flight.task, f"dask worker {flight.worker} is gone")
        return None

    def _outcome(self, flight: _Flight) -> TaskOutcome:
        task, future = flight.task, flight.future
        if future.status == "finished":
            return Done(task, future.result())
        if future.status != "error":
            self._check_scheduler()
            return Lost(task, f"dask gave up the evaluation on {flight.worker}")
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            return Lost(task, f"dask worker {flight.worker} was killed")
        return Failed(task, sendable(error, task.config.name))


def _connected(address: str) -> Any:
    try:
        import distributed
    except ImportError:
        raise MissingDependency(
            "dask.distributed is not installed; install it with: pip install 'syncnas-deploy[cluster]'."
        ) from None
    # Nothing follows our sentence: neither what dask logs nor its finalizer, which waits 20 s and prints a traceback.
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    client: Any = type("QuietClient", (distributed.Client,), {"__del__": lambda _: None})
    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def connect() -> None:
        try:
            answer.put(client(address, timeout=CONNECT_S, set_as_default=False))
        except Exception as e:
            answer.put(next(iter(str(e).splitlines()), "")[:120])

    # In a thread that may be left: where somebody listens and says nothing, dask waits for ever, whatever the timeout.
    threading.Thread(target=connect, daemon=True).start()
    found: Any = f"nothing in {ANSWER_S:g} s"
    with contextlib.suppress(queue.Empty):
        found = answer.get(timeout=ANSWER_S)
    if isinstance(found, str):
        raise WorkersUnavailable(
            f"{address}: no dask scheduler answers there ({found}); check the address, or start one with: "
            "dask scheduler --host 127.0.0.1."
        )
    return found


def _carry_out(payload: bytes, version: str) -> Evaluation:
    """A pickled task's evaluation; runs in a dask worker."""
    if version != code_version():
        raise _other_code("a dask worker", code_version(), version)
    task: Task = pickle.loads(payload)
    return task.carry_out()


def _other_code(worker: str, there: str, here: str) -> WorkersUnavailable:
    return WorkersUnavailable(
        f"{worker} runs syncnas-deploy {there}, the search {here}; install the same on all machines."
    )
