"""Access to the Avi Controller: from the values file, the environment or mounted files, never shown in a message.

Each of CTRL_USERNAME, CTRL_PASSWORD, CTRL_AUTHTOKEN and CTRL_CA_DATA can also be given as `<name>_FILE`, the path of a
file (a mounted Secret): unlike an environment variable a file can change under a running process. CTRL_SECRET_DIR names
a folder in which AKO's whole Secret `avi-secret` is mounted. What is given otherwise counts before it, and of its keys
only those that are there and not empty do, since AKO's chart writes an empty one for what a site does not use.
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

FOLDER_VARIABLE = "CTRL_SECRET_DIR"


def credential_files(environ: Mapping[str, str]) -> list[Path]:
    """Every file that credentials may be read from, there or not."""
    named = [Path(environ[name]) for name in FILE_VARIABLES if environ.get(name)]
    folder = environ.get(FOLDER_VARIABLE, "")
    return named + [Path(folder, path[-1]) for path, _ in keys(_SCHEMA) if folder]


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
    folder = environ.get(FOLDER_VARIABLE, "")
    if folder and not Path(folder).is_dir():
        problems.append((FOLDER_VARIABLE, f"{folder} is no folder; mount the Secret avi-secret there"))
    for place, key in keys(_SCHEMA):
        name = key.metadata["env"]
        given[name] = environ.get(name, "")
        variable, path = f"{name}_FILE", environ.get(f"{name}_FILE", "")
        if path and given[name]:
            problems.append((variable, f"set beside {name}; unset one of the two"))
            continue
        if not path and not given[name] and folder and _holds(Path(folder, place[-1])):
            variable, path = FOLDER_VARIABLE, str(Path(folder, place[-1]))
        if path:
            try:
                given[name] = _read(path)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not a text file of sane size"
                problems.append((variable, f"{path} cannot be used ({reason}); mount a readable file with the value"))
    return given, problems


def _holds(file: Path) -> bool:
    """Whether a key of the Secret is there and says something."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _read(path: str) -> str:
    """The text of a mounted file without the line end that editors and `echo` add."""
    with Path(path).open("rb") as file:
        raw = file.read(_MOST_BYTES + 1)
    text = raw.decode("utf-8").rstrip("\r\n") if len(raw) <= _MOST_BYTES else ""
    if not text:
        raise ValueError("empty or too large")
    return text
