"""The bar that shows how far the reading of a large file is: on a terminal only, and only when it takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SHOWN_AFTER_SECONDS = 1.0


@contextmanager
def reading(path: Path, shown_after_seconds: float = SHOWN_AFTER_SECONDS) -> Iterator[Callable[[int], None] | None]:
    """Give what to tell the bytes read; they go to stderr with MB/s and the time left. None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from cli.console import clean

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with_time = (*columns, TimeRemainingColumn())
    bar = Progress(*with_time, console=Console(stderr=True), transient=True, refresh_per_second=5)
    task = bar.add_task(clean(path.name), total=path.stat().st_size)
    began = time.monotonic()

    def tell(read_bytes: int) -> None:
        if not bar.live.is_started and time.monotonic() - began >= shown_after_seconds:
            bar.start()
        bar.update(task, completed=read_bytes)

    try:
        yield tell
    finally:
        bar.stop()
