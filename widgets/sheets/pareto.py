"""The Pareto front of points that have a cost and a score."""

import math
from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Finds the points (cost, score) that no other beats, in the order of cost; returns their indices.

    A point beats another with less cost and at least its score, or with more score and at most its cost. Points without
    both numbers are left out.
    """
    measured = [i for i, point in enumerate(points) if all(map(math.isfinite, point))]
    front: list[int] = []
    best = -math.inf
    for i in sorted(measured, key=lambda i: (points[i][0], -points[i][1])):
        twin = bool(front) and points[front[-1]] == points[i]
        if points[i][1] > best or twin:
            front.append(i)
            best = points[i][1]
    return front
