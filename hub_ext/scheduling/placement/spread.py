"""Use the emptiest node and device first: sessions disturb each other the least."""

from __future__ import annotations

import numpy as np

from hub_ext.scheduling.cluster import Capacity
from hub_ext.scheduling.placement.base import NEVER, columns_for_part, fitting
from hub_ext.scheduling.placement.pack import GPU_NODE
from hub_ext.scheduling.request import Request


class Spread:
    """Most free GPU first; CPU-only sessions away from GPU nodes, most free CPU first."""

    name = "spread"

    def scores(self, capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
        """The less is free, the worse."""
        fits = fitting(capacity, request, nodes)
        if request.gpu_less:
            cluster = capacity.cluster
            used = 1 - capacity.cpu[nodes] / np.maximum(cluster.cpu[nodes], 1)
            away = (cluster.devices_per_node[nodes] > 0) * GPU_NODE
            return np.where(fits, away + np.round(used, 6), NEVER)
        free = np.maximum(capacity.free[nodes], 0).sum(axis=1).astype(np.float64)
        return np.where(fits, -free, NEVER)

    def device(self, capacity: Capacity, request: Request, node: int) -> int:
        """The device with the most free; of MIG instances the smallest that fits."""
        columns = columns_for_part(capacity, request, node)
        free = capacity.free[node, columns]
        wanted = np.where(capacity.cluster.single[node, columns], -free, free)
        return int(columns[np.argmax(wanted)])
