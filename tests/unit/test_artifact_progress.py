"""Progress: few reports of many, and words that never invent a figure."""

import io
import sys
from pathlib import Path

import pytest

from cli.reading import reading
from modeldrop.artifact.progress import ProgressReporter, progress_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_reports_come_every_few_seconds_and_not_for_a_quick_file() -> None:
    now, told = [0.0], []
    tell = ProgressReporter(1000, lambda: now[0], lambda progress: told.append(progress["read_bytes"]), 5.0)
    for tick in range(100):
        now[0] = tick / 4
        tell(tick)
    assert told == [20, 40, 60, 80]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        ({"read_bytes": 1_200_000_000, "size_bytes": 2_000_000_000, "seconds": 4}, "1.2 of 2.0 GB, 300 MB/s, 3 s left"),
        ({"read_bytes": 5_000_000, "size_bytes": 20_000_000, "seconds": 0}, "5.0 of 20.0 MB"),
        ({"read_bytes": 5_000_000, "size_bytes": 0, "seconds": 1}, "5.0 MB, 5 MB/s"),
        ({}, "0.0 MB"),
    ],
)
def test_the_words_say_what_is_known(progress: dict[str, float], text: str) -> None:
    assert progress_text(progress) == text


def test_a_bar_is_drawn_on_a_terminal_for_what_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.tar.gz"
    file.write_bytes(bytes(2000))
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with reading(file, shown_after_seconds=0) as tell:
        assert tell is not None
        tell(1000)
    assert "model.tar.gz" in screen.getvalue()
    assert "1.0/2.0 kB" in screen.getvalue()


def test_nothing_is_drawn_for_a_quick_file_or_without_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.tar.gz"
    file.write_bytes(bytes(2000))
    with reading(file) as tell:
        assert tell is None
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with reading(file) as tell:
        assert tell is not None
        tell(2000)
    assert "model" not in screen.getvalue()
