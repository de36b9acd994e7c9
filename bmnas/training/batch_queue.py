"""Batches that a thread makes before they are needed, as those that are read from the disk."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Yields the items of an iterator, of which a thread makes `depth` before they are needed.

    An item must be made of nothing but its place in the order: no random numbers of torch's global generators.
    """
    if depth == 0:
        yield from items
        return
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        waiting = deque(reader.submit(next, items, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(reader.submit(next, items, end))
            yield item  # pyright: ignore[reportReturnType]
