"""The one error of the simulator: an answer that is not a success."""

from __future__ import annotations


class ApiError(Exception):
    """Refuses a call with an HTTP status and the sentence that goes into `{"error": …}`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
