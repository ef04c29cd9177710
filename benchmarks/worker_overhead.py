"""What handing out an evaluation costs: instant ones through this process, a process pool and a dask cluster.

    python -m benchmarks.worker_overhead [--tasks 1000] [--workers 2]

The network is a branched MobileNetV2, whose config travels with every task; the evaluator counts its MACs. Each way is
measured twice, after a warm-up that starts the workers. Dask's scheduler and workers are started on loopback, where
dask.distributed is installed. Run it from the top of the checkout.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import statistics
import time
from collections.abc import Callable

from syncnas_deploy.networks.config import branched
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.evaluators import Capacity
from syncnas_deploy.search.workers import make_workers
from syncnas_deploy.search.workers.base import Done, InProcess, Task, Workers
from syncnas_deploy.search.workers.local import LocalWorkers


def tasks_per_s(workers: Workers, count: int) -> float:
    """Tasks a second, with as many in flight as there are workers."""
    candidate = Candidate("nnnnaca")
    config = branched(load_config("mobilenet_v2"), candidate.strategy)
    started, sent, done = time.perf_counter(), 0, 0
    while done < count:
        while sent < count and workers.free():
            workers.submit(Task(candidate, sent, config, Capacity(), sent))
            sent += 1
        outcome = workers.next_finished()
        assert isinstance(outcome, Done), f"a task was not done: {outcome}"
        done += 1
    return count / (time.perf_counter() - started)


def show(name: str, make: Callable[[], Workers], count: int, warm_up: int) -> None:
    """Measure and print one way."""
    with contextlib.closing(make()) as workers:
        tasks_per_s(workers, warm_up)
        rates = [tasks_per_s(workers, count) for _ in range(2)]
    rate = statistics.mean(rates)
    print(f"{name:28s} {rate:9,.0f} tasks/s {1e3 / rate:8.3f} ms per task   A/A {rates[1] / rates[0]:.2f}", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    show("this process", InProcess, options.tasks, 10)
    show(f"{options.workers} processes", lambda: LocalWorkers(options.workers), options.tasks, 10 * options.workers)
    if importlib.util.find_spec("distributed") is None:
        print("dask.distributed is not installed: pip install 'syncnas-deploy[cluster]'")
        return
    import distributed

    with distributed.LocalCluster(
        n_workers=options.workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address
        show(f"dask, {options.workers} workers on loopback", lambda: make_workers(address), options.tasks // 4, 20)


if __name__ == "__main__":
    main()
