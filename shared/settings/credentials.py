"""Access to the Avi Controller: from the values file, the environment or mounted files, never shown in a message.

Each of CTRL_USERNAME, CTRL_PASSWORD, CTRL_AUTHTOKEN and CTRL_CA_DATA can also be given as `<name>_FILE`, the path of a
file (a mounted Secret): unlike an environment variable a file can change under a running process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shared.errors import SettingsError
from shared.settings.build import check
from shared.settings.model import Credentials
from shared.settings.schema import CredentialsOnly, keys
from shared.settings.sources import Document, overlay, read_values

_MOST_BYTES = 262_144  # a bundle of authorities is some 200 kB
_SCHEMA = CredentialsOnly()
_SECTION = "avicredentials"

FILE_VARIABLES = tuple(f"{key.metadata['env']}_FILE" for _, key in keys(_SCHEMA))
"""The variables that name files with credentials."""


def load_credentials(environ: Mapping[str, str], path: str | None = None) -> Credentials:
    """The credentials from the values file at `path` and the environment, which wins. Raises SettingsError."""
    section = read_values(path).get(_SECTION)
    document = Document({_SECTION: section})
    given, problems = _with_files(environ)
    if problems:
        raise SettingsError(problems)
    overlay(document, keys(_SCHEMA), given)
    found = check(_SCHEMA, document)["credentials"]
    credentials = Credentials(found["username"], found["password"], found["token"], found["ca"])
    problems = []
    if not credentials.username:
        problems.append((f"{_SECTION}.username", "missing; write the controller user or set CTRL_USERNAME"))
    if not credentials.password and not credentials.token:
        problems.append((f"{_SECTION}.password", "missing; set CTRL_PASSWORD_FILE, CTRL_PASSWORD or CTRL_AUTHTOKEN"))
    if problems:
        raise SettingsError(problems)
    return credentials


def _with_files(environ: Mapping[str, str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The four variables with those that a file gives, and what is wrong with the files."""
    given: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    for _, key in keys(_SCHEMA):
        name = key.metadata["env"]
        given[name] = environ.get(name, "")
        path = environ.get(f"{name}_FILE", "")
        if path and given[name]:
            problems.append((f"{name}_FILE", f"set beside {name}; unset one of the two"))
        elif path:
            try:
                given[name] = _read(path)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not a text file of sane size"
                problems.append(
                    (f"{name}_FILE", f"{path} cannot be used ({reason}); mount a readable file with the value")
                )
    return given, problems


def _read(path: str) -> str:
    """The text of a mounted file without the line end that editors and `echo` add."""
    with Path(path).open("rb") as file:
        raw = file.read(_MOST_BYTES + 1)
    text = raw.decode("utf-8").rstrip("\r\n") if len(raw) <= _MOST_BYTES else ""
    if not text:
        raise ValueError("empty or too large")
    return text
