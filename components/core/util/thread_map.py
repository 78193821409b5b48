"""Map over items in several threads, with the results in the order of the items."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Splits items into lists of `size` items; the last one may be shorter."""
    items = iter(items)
    return iter(lambda: list(itertools.islice(items, size)), [])


def map_ordered(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], ahead: int
) -> Generator[R, None, None]:
    """Applies `work` to items in the threads of a pool, and yields the results in the order of the items.

    Args:
        pool: Threads.
        work: Function of one item.
        items: Items, which are taken as they are needed.
        ahead: Number of items that are in work beyond the one whose result is yielded.
    """
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
