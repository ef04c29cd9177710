"""Training in several processes, one per GPU, as torchrun starts them. In a single process all of this does nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch import distributed as dist

from syncnas_deploy.training.evaluation import torch_device


@dataclass(frozen=True)
class Group:
    """This process among those of a run.

    Attributes:
        rank: 0 to processes - 1; 0 writes and reports.
        processes: how many there are.
        device: where this one computes.
    """

    rank: int
    processes: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes and reports."""
        return self.rank == 0

    def sums(self, *values: float) -> list[float]:
        """Each value's sum over all processes."""
        if self.processes == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(totals)
        return cast("list[float]", totals.tolist())

    def union(self, values: set[str]) -> set[str]:
        if self.processes == 1:
            return values
        sets: list[set[str]] = [set()] * self.processes
        dist.all_gather_object(sets, values)
        return set().union(*sets)

    def average_buffers(self, buffers: Iterable[Tensor]) -> None:
        """Replace running statistics by their mean over the processes, in place; counters are equal anyway."""
        for buffer in buffers:
            if self.processes > 1 and buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= self.processes

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.processes > 1:
            dist.barrier()


@contextlib.contextmanager
def group_of(device: str) -> Iterator[Group]:
    """Join the processes that torchrun started (environment: RANK, LOCAL_RANK, WORLD_SIZE), or be alone.

    Args:
        device: cpu, mps or cuda; with several processes, each takes the GPU of its local rank.

    Raises:
        TorchDeviceUnavailable: no such device here.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        yield Group(0, 1, torch_device(device))
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    place = torch_device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Group(dist.get_rank(), processes, place)
    finally:
        dist.destroy_process_group()
