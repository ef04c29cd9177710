"""Worker processes on this machine.

Each is started afresh (spawn), computes with one thread unless OMP_NUM_THREADS says otherwise, and ends with the
process that searches. If one is killed, only its own task is lost, and another process takes its place.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from syncnas_bench.systems.processes import terminate_self
from syncnas_deploy.errors import UnknownEvaluator, WorkersUnavailable
from syncnas_deploy.search.workers.base import Done, Failed, Lost, Task, TaskOutcome, sendable
from syncnas_deploy.spawning import GUARD

_READY = "ready"
_BEGUN = "begun"
_GRACE_S = 5.0
"""How long an evaluation may take to leave when it is told to."""
_END_S = 30.0
"""How long a process may take to end after its pipe has closed."""


@dataclass
class _Process:
    """A worker process and this end of its pipe.

    Attributes:
        ready: it has started.
        task: the one that it was sent; None while it is idle.
        begun: it has received that task.
    """

    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    task: Task | None = None
    begun: bool = False


class LocalWorkers:
    """A fixed number of processes, started when they are needed.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._count = count
        self._processes: list[_Process] = []

    def free(self) -> int:
        """How many processes have no task, those not started yet included."""
        return self._count - sum(p.task is not None for p in self._processes)

    def submit(self, task: Task) -> None:
        """Send a task to an idle process, or to a new one.

        Raises:
            UnknownEvaluator: its evaluator cannot be sent.
        """
        try:
            payload = pickle.dumps(task)
        except Exception as e:  # what an evaluator of one's own holds decides which
            raise UnknownEvaluator(
                f"The evaluator cannot be sent to a worker process ({e}); define its class at the top of a module, or "
                "give one worker."
            ) from None
        idle = [p for p in self._processes if p.task is None]
        for worker in idle:
            # One that was killed while it had nothing to do is replaced, and nothing is lost.
            with contextlib.suppress(OSError):
                worker.pipe.send_bytes(payload)
                worker.task, worker.begun = task, False
                return
            self._drop(worker)
        worker = self._start()
        worker.task = task
        # Where it is dead already, the next look at its pipe says so.
        with contextlib.suppress(OSError):
            worker.pipe.send_bytes(payload)

    def next_finished(self, timeout_s: float | None = None) -> TaskOutcome | None:
        """The next reply of a process, or the loss of one."""
        while busy := {p.pipe: p for p in self._processes if p.task is not None}:
            ready = wait(list(busy), timeout_s)
            if not ready:
                return None
            outcome = self._hear(busy[ready[0]])  # type: ignore[index]
            if outcome is not None:
                return outcome
        return None

    def close(self) -> None:
        """End all processes; an evaluation in flight may end the programs that it started."""
        for worker in self._processes:
            worker.process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for worker in self._processes:
            worker.process.join(max(0.0, deadline - time.monotonic()))
        for worker in list(self._processes):
            self._drop(worker)

    def _start(self) -> _Process:
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), name="syncnas-worker", daemon=False)
        process.start()
        theirs.close()
        self._processes.append(_Process(process, mine))
        return self._processes[-1]

    def _drop(self, worker: _Process) -> None:
        self._processes.remove(worker)
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()

    def _hear(self, worker: _Process) -> TaskOutcome | None:
        """What a worker says; None where its task goes on, in this process or in the one that takes its place."""
        task = worker.task
        assert task is not None, "only busy workers are listened to"
        try:
            message: Any = pickle.loads(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            worker.process.join(_END_S)
            code = worker.process.exitcode or 0
            self._drop(worker)
            if worker.ready and not worker.begun:
                # Killed while it had nothing to do, though its pipe was still there to take the task.
                self.submit(task)
                return None
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            if not worker.ready and code > 0:
                raise WorkersUnavailable(
                    f"A worker process {how} while it started; see its message above, or give --workers 1; {GUARD}."
                ) from None
            return Lost(task, f"worker process {worker.process.pid} {how}")
        if message in (_READY, _BEGUN):
            worker.ready, worker.begun = True, message == _BEGUN
            return None
        worker.task = None
        return Failed(task, message) if isinstance(message, Exception) else Done(task, message)  # type: ignore[arg-type]


def _serve(pipe: Connection) -> None:
    """The life of a worker process: carry out tasks until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _leave)  # a terminal that closes tells this process, too
    _one_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        pipe.send_bytes(pickle.dumps(_READY))
        while True:
            payload = pipe.recv_bytes()
            pipe.send_bytes(pickle.dumps(_BEGUN))
            pipe.send_bytes(pickle.dumps(_reply(payload)))


def _reply(payload: bytes) -> object:
    """The evaluation of a pickled task, or its error."""
    name = "a candidate"
    try:
        task: Task = pickle.loads(payload)
        name = task.config.name
        return task.carry_out()
    except Exception as e:
        return sendable(e, name)


def _one_thread() -> None:
    """Compute with one thread: the others' cores are taken."""
    if "OMP_NUM_THREADS" in os.environ:
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _end_with_parent() -> None:
    """Leave when the process that searches is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        terminate_self()
        time.sleep(_GRACE_S)
        os._exit(1)


def _leave(*_: object) -> None:
    """Unwind, so that an evaluation can end what it started; once: a second signal would interrupt just that."""
    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise SystemExit(1)
