"""Fill the fullest node and device first: whole nodes stay free for big requests."""

from __future__ import annotations

import numpy as np

from hub_ext.scheduling.cluster import Capacity
from hub_ext.scheduling.model import GPU
from hub_ext.scheduling.placement.base import NEVER, columns_for_part, fitting
from hub_ext.scheduling.request import Request

GPU_NODE = 1e6
"""Keeps sessions without a GPU off nodes that have some."""


class Pack:
    """Least free GPU first (KAI's bin packing); CPU-only sessions away from GPU nodes."""

    name = "pack"

    def scores(self, capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
        """Free milli-GPU of the node, or its free part of CPU for a CPU-only request."""
        fits = fitting(capacity, request, nodes)
        if request.gpu_less:
            return np.where(fits, cpu_only_scores(capacity, nodes), NEVER)
        free = np.maximum(capacity.free[nodes], 0).sum(axis=1).astype(np.float64)
        return np.where(fits, free, NEVER)

    def device(self, capacity: Capacity, request: Request, node: int) -> int:
        """The device with the least free that fits."""
        columns = columns_for_part(capacity, request, node)
        return int(columns[np.argmin(capacity.free[node, columns])])


class BestFit:
    """The node that is left with the least of everything (the paper's best fit).

    Weng et al., USENIX ATC 2023: the sum of what remains of CPU, memory and GPU, each
    as a part of the largest node; on the node the fullest device that fits.
    """

    name = "best-fit"

    def scores(self, capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
        """What would remain on the node, as parts of the largest node."""
        cluster = capacity.cluster
        gpus = max(GPU, int(cluster.gpu.max(initial=0)))
        rest = (
            (capacity.cpu[nodes] - request.cpu) / max(1, int(cluster.cpu.max()))
            + (capacity.memory[nodes] - request.memory) / max(1, int(cluster.memory.max()))
            + capacity.free[nodes].sum(axis=1) / gpus
        )
        return np.where(fitting(capacity, request, nodes), np.round(rest, 9), NEVER)

    def device(self, capacity: Capacity, request: Request, node: int) -> int:
        """The device with the least free that fits."""
        return Pack().device(capacity, request, node)


def cpu_only_scores(capacity: Capacity, nodes: np.ndarray) -> np.ndarray:
    """Nodes without GPUs first, then the fullest by CPU."""
    cluster = capacity.cluster
    share = capacity.cpu[nodes] / np.maximum(cluster.cpu[nodes], 1)
    scores: np.ndarray = (cluster.devices_per_node[nodes] > 0) * GPU_NODE + np.round(share, 6)
    return scores
