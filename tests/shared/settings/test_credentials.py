"""Where the controller's credentials come from, and that nothing shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import load_credentials

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """avicredentials of the values file counts until a variable says otherwise, key by key."""
    path = tmp_path / "values.yaml"
    path.write_text("avicredentials: {username: file, password: ' hunter2 ', authtoken: null}\nAKOSettings: nonsense\n")
    assert load_credentials({}, str(path)).password == " hunter2 "
    credentials = load_credentials({"CTRL_USERNAME": "env", "CTRL_CA_DATA": PEM}, str(path))
    assert (credentials.username, credentials.password, credentials.ca) == ("env", " hunter2 ", PEM)


def test_mounted_files_are_read(tmp_path: Path) -> None:
    """Each variable can name a file instead; the line end that an editor leaves is not part of the value."""
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "ca").write_text(PEM)
    environ = {
        "CTRL_USERNAME": "admin",
        "CTRL_PASSWORD_FILE": str(tmp_path / "password"),
        "CTRL_CA_DATA_FILE": str(tmp_path / "ca"),
    }
    credentials = load_credentials(environ)
    assert (credentials.password, credentials.ca) == ("hunter2", PEM.strip())


def test_ako_s_secret_can_be_mounted_whole(tmp_path: Path) -> None:
    """Its keys count where neither a variable nor a file of its own does; an empty or absent one never does."""
    (tmp_path / "username").write_text("ako")
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "certificateAuthorityData").write_text("")
    environ = {"CTRL_SECRET_DIR": str(tmp_path)}
    found = load_credentials(environ)
    assert (found.username, found.password, found.token, found.ca) == ("ako", "hunter2", "", "")
    (tmp_path / "authtoken").write_text("t0ken")
    assert load_credentials(environ | {"CTRL_PASSWORD": "other"}).password == "other"
    assert load_credentials(environ).token == "t0ken"
    (tmp_path / "ca").write_text(PEM)
    assert load_credentials(environ | {"CTRL_CA_DATA_FILE": str(tmp_path / "ca")}).ca == PEM.strip()


def test_a_secret_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A folder that is not there, and a key that is not text, are problems of CTRL_SECRET_DIR."""
    with pytest.raises(SettingsError) as caught:
        load_credentials({"CTRL_SECRET_DIR": str(tmp_path / "none")})
    assert caught.value.problems == [
        ("CTRL_SECRET_DIR", f"{tmp_path}/none is no folder; mount the Secret avi-secret there")
    ]
    (tmp_path / "username").write_bytes(b"\xff")
    with pytest.raises(SettingsError) as caught:
        load_credentials({"CTRL_SECRET_DIR": str(tmp_path)})
    (place, text) = caught.value.problems[0]
    assert place == "CTRL_SECRET_DIR"
    assert "username cannot be used" in text


def test_a_token_stands_in_for_a_password() -> None:
    """A user with a token needs no password."""
    assert load_credentials({"CTRL_USERNAME": "admin", "CTRL_AUTHTOKEN": "t0ken"}).token == "t0ken"


def test_nothing_shows_a_secret() -> None:
    """The repr of credentials shows the user name only."""
    environ = {"CTRL_USERNAME": "admin", "CTRL_PASSWORD": "hunter2", "CTRL_AUTHTOKEN": "t0ken", "CTRL_CA_DATA": PEM}
    assert repr(load_credentials(environ)) == "Credentials(username='admin')"


def test_missing_credentials_are_asked_for_at_once() -> None:
    """Without any, the user name and the password are asked for in one error."""
    with pytest.raises(SettingsError) as caught:
        load_credentials({})
    assert [place for place, _ in caught.value.problems] == ["avicredentials.username", "avicredentials.password"]


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"", "not a text file of sane size"), (b"\xff", "not a text file")]
)
def test_an_unusable_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A missing, empty or binary file is refused under its variable."""
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(SettingsError, match=f"^CTRL_PASSWORD_FILE: .*{reason}"):
        load_credentials({"CTRL_USERNAME": "admin", "CTRL_PASSWORD_FILE": str(tmp_path / "password")})


def test_a_value_and_a_file_for_it_contradict() -> None:
    """A variable and its _FILE variant together are refused, since neither is clearly the later one."""
    with pytest.raises(SettingsError, match="CTRL_PASSWORD_FILE: set beside CTRL_PASSWORD"):
        load_credentials({"CTRL_USERNAME": "a", "CTRL_PASSWORD": "hunter2", "CTRL_PASSWORD_FILE": "/none"})


def test_a_wrong_value_is_refused_without_repeating_it() -> None:
    """An authority that is no PEM is refused, and the message does not hold it."""
    with pytest.raises(SettingsError, match=r"^CTRL_CA_DATA: found text; write the certificate") as caught:
        load_credentials({"CTRL_USERNAME": "a", "CTRL_PASSWORD": "b", "CTRL_CA_DATA": "hunter2"})
    assert "hunter2" not in str(caught.value)
