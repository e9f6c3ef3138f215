"""The best node for a request, with scores kept per (request, node).

A node's score depends only on its own state, so after a placement only the nodes that
changed are scored again.
"""

from __future__ import annotations

import random

import numpy as np

from hub_ext.scheduling.cluster import Capacity
from hub_ext.scheduling.placement import NEVER, PlacementPolicy
from hub_ext.scheduling.request import Request


class Finder:
    """Finds nodes in one ``Capacity``; ties are broken by a seeded random choice."""

    def __init__(self, capacity: Capacity, policy: PlacementPolicy, chance: random.Random) -> None:
        self.capacity = capacity
        self.policy = policy
        self._chance = chance
        self._known: dict[Request, tuple[np.ndarray, int]] = {}

    def scores(self, request: Request) -> np.ndarray:
        """Scores of all nodes as they are now; ``NEVER`` where the request does not fit."""
        capacity = self.capacity
        known = self._known.get(request)
        changes = len(capacity.changes)
        if known is None:
            scores = np.full(len(capacity.cpu), NEVER)
            nodes = np.flatnonzero(request.eligible)
        else:
            scores, seen = known
            if seen == changes:
                return scores
            nodes = np.fromiter(set(capacity.changes[seen:]), dtype=np.int64)
            nodes = nodes[request.eligible[nodes]]
        if nodes.size:
            scores[nodes] = self.policy.scores(capacity, request, nodes)
        self._known[request] = (scores, changes)
        return scores

    def best(self, request: Request) -> int | None:
        """The best node, or None when the request fits nowhere."""
        return self.pick(self.scores(request))

    def pick(self, scores: np.ndarray) -> int | None:
        """Index of the lowest score; among equals a seeded random one."""
        if not scores.size:
            return None
        lowest = scores.min()
        if lowest == NEVER:
            return None
        equal = np.flatnonzero(scores == lowest)
        if len(equal) == 1:
            return int(equal[0])
        return int(equal[self._chance.randrange(len(equal))])

    def best_of(self, request: Request, nodes: list[int]) -> int | None:
        """The best of a few nodes, among equals the first by name; or None."""
        eligible = [n for n in nodes if request.eligible[n]]
        if not eligible:
            return None
        numbers = np.array(eligible)
        scores = self.policy.scores(self.capacity, request, numbers)
        place = int(np.argmin(scores))
        return None if scores[place] == NEVER else eligible[place]
