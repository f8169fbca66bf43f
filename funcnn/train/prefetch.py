"""Batches prepared in a thread of their own, while the device computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

END = object()


def prefetched(
    batches: Iterable[Any], prepare: Callable[[Any], Any], depth: int = 2
) -> Iterator[Any]:
    """`prepare(batch)` for each of `batches`, up to `depth` of them ahead of who asks.

    The batches are drawn one after another, in order, by one thread. What they or `prepare` raise
    is raised here, at the batch where it happened; when this iterator is closed nothing more is
    drawn.

    >>> list(prefetched(range(4), lambda i: i * i))
    [0, 1, 4, 9]
    """
    drawn = iter(batches)

    def draw():
        batch = next(drawn, END)
        return batch if batch is END else prepare(batch)

    pool = ThreadPoolExecutor(1, thread_name_prefix="funcnn-prefetch")
    try:
        waiting = deque(pool.submit(draw) for _ in range(depth))
        while (batch := waiting.popleft().result()) is not END:
            waiting.append(pool.submit(draw))
            yield batch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
