"""What a message may say. Whoever can write into Redis can send one, so it is read like any other input."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

log = logging.getLogger(__name__)

MOST_KEYS = 100
LONGEST_KEY = 600  # a kind, and two names of 255 characters


class _Schema(Schema):
    class Meta:
        unknown = EXCLUDE

    keys = fields.List(
        fields.String(validate=validate.Length(1, LONGEST_KEY)), validate=validate.Length(max=MOST_KEYS), required=True
    )
    cause = fields.String(load_default="", validate=validate.Length(max=1000))
    wake = fields.String(load_default="", validate=validate.Length(max=64))


@dataclass(frozen=True, slots=True)
class WakeUp:
    """Keys to look at first, why (for people), and which wake-up this is."""

    keys: list[str] = field(default_factory=list)
    cause: str = ""
    wake: str = ""

    @classmethod
    def read(cls, arguments: Mapping[str, Any]) -> WakeUp:
        """The message; one that is malformed names nothing, and whatever is ready is done all the same."""
        try:
            return cls(**_Schema().load(arguments))
        except ValidationError as error:
            log.warning("a message with malformed arguments is taken as a wake-up without keys: %s", error.messages)
            return cls(cause="a malformed message")
