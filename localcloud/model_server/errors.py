"""What a model server answers when it can't answer."""

from __future__ import annotations


class ServingError(Exception):
    """A request that fails with an HTTP status and the text TensorFlow Serving puts in `{"error": ...}`."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class LayoutError(Exception):
    """The model directory is not what the TensorFlow Serving container can load."""
