"""Dynamic batching: images of several requests are predicted together."""

import asyncio
import collections
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from headstart.pipelines.serving.loaded_version import Pixels
from headstart.pipelines.serving.metrics import BATCH_IMAGES, PHASE_SECONDS

WINDOW_SECONDS = 0.003
"""Time for which the first image of a batch waits for others."""

MOST_IMAGES = 32


class Batcher:
    """Collects images for a few milliseconds, or for as long as the network is busy, and predicts them at once.

    Args:
        predict: Function that predicts decoded images.
        network_thread: Executor with one thread, on which it is called.
    """

    def __init__(
        self, predict: Callable[[list[Pixels]], list[dict[str, Any]]], network_thread: ThreadPoolExecutor
    ) -> None:
        self._predict = predict
        self._thread = network_thread
        self._waiting: collections.deque[tuple[Pixels, asyncio.Future[dict[str, Any]]]] = collections.deque()
        self._worker: asyncio.Task[None] | None = None

    async def predict(self, pixels: list[Pixels]) -> list[dict[str, Any]]:
        """Predicts decoded images together with those of other requests.

        Returns:
            Predictions in the order of the images.
        """
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[dict[str, Any]]] = [loop.create_future() for _ in pixels]
        self._waiting.extend(zip(pixels, futures, strict=True))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await asyncio.gather(*futures)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            if len(self._waiting) < MOST_IMAGES:
                await asyncio.sleep(WINDOW_SECONDS)
            taken = [self._waiting.popleft() for _ in range(min(MOST_IMAGES, len(self._waiting)))]
            # A request that has timed out needs no prediction any more.
            batch = [(pixels, future) for pixels, future in taken if not future.done()]
            if not batch:
                continue
            try:
                rows = await loop.run_in_executor(self._thread, self._run, [pixels for pixels, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), row in zip(batch, rows, strict=True):
                if not future.done():
                    future.set_result(row)

    def _run(self, pixels: list[Pixels]) -> list[dict[str, Any]]:
        started = time.perf_counter()
        rows = self._predict(pixels)
        PHASE_SECONDS.labels("network").observe(time.perf_counter() - started)
        BATCH_IMAGES.observe(len(pixels))
        return rows
