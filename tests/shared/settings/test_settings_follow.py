"""Sources that change, vanish and come back: what a process is told, and what it is not told twice."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.errors import KubeError, KubeNotFound
from shared.settings.follow import Follower, Reading, Sources
from tests.support import wait_for

GOOD = """
AKOSettings: {clusterName: c1}
NetworkSettings: {vipNetworkList: [{networkName: net1, cidr: 10.10.0.0/16}]}
ControllerSettings: {controllerHost: avi.example.com}
avicredentials: {username: admin}
"""


@pytest.fixture
def values(tmp_path: Path) -> Path:
    path = tmp_path / "values.yaml"
    path.write_text(GOOD)
    return path


def sources(values: Path, **options: Any) -> Sources:
    environ = {"AKO_VALUES": str(values), **options.pop("environ", {})}
    return Sources(environ, **{"credentials": False, **options})


def test_an_unchanged_file_is_the_same_reading(values: Path) -> None:
    """Two looks at the same content give the very same object, whatever the file's time says."""
    here = sources(values)
    first = here.read()
    values.touch()
    assert here.read() is first
    assert first.settings is not None


def test_a_file_that_vanishes_is_a_problem_and_not_an_empty_file(values: Path) -> None:
    """A values file that is gone for a moment gives a problem; back, it gives the settings again."""
    here = sources(values)
    before = here.read()
    values.unlink()
    gone = here.read()
    assert gone.settings is None
    assert len(gone.problems) == 1
    values.write_text(GOOD)
    assert here.read() == before


def test_what_a_process_cannot_change_is_refused(values: Path) -> None:
    """Another cluster name or Redis is a problem while the process lives; no message repeats the Redis URL."""
    here = sources(values, environ={})
    here.read()
    values.write_text(GOOD.replace("c1", "c2") + "pipeline: {redisURL: 'redis://:hunter2@elsewhere/0'}\n")
    problems = here.read().problems
    assert [place for place, _ in problems] == ["AKOSettings.clusterName", "pipeline.redisURL"]
    assert "hunter2" not in str(problems)


def test_a_rotated_secret_is_a_new_reading(values: Path, tmp_path: Path) -> None:
    """A key of the mounted avi-secret that changes, comes or goes is noticed, as one with a file of its own is."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "password").write_text("one")
    here = sources(values, credentials=True, environ={"CTRL_SECRET_DIR": str(folder)})

    def tokens() -> tuple[str, str]:
        credentials = here.read().credentials
        assert credentials is not None
        return credentials.password, credentials.token

    assert tokens() == ("one", "")
    (folder / "password").write_text("two")
    (folder / "authtoken").write_text("t0ken")
    assert tokens() == ("two", "t0ken")
    (folder / "authtoken").unlink()
    assert tokens() == ("two", "")


def test_a_rotated_password_is_a_new_reading(values: Path, tmp_path: Path) -> None:
    """A password file is read again when its content changes; the reading never shows it."""
    secret = tmp_path / "password"
    secret.write_text("first-password\n")
    here = sources(values, credentials=True, environ={"CTRL_PASSWORD_FILE": str(secret)})
    first = here.read()
    assert first.credentials is not None
    assert first.credentials.password == "first-password"
    secret.write_text("second-password\n")
    second = here.read()
    assert second != first
    assert second.credentials is not None
    assert second.credentials.password == "second-password"
    assert "second-password" not in repr(second)


class ConfigMap:
    """A ConfigMap that can be changed, taken away, or out of reach."""

    def __init__(self, **data: str) -> None:
        self.data, self.error = data, None

    def __call__(self) -> Mapping[str, Any]:
        if self.error is not None:
            raise self.error
        return self.data

    error: KubeError | None


def test_a_configmap_out_of_reach_still_counts(values: Path) -> None:
    """Not knowing is not absence: what was read before stays when the API server fails, a missing one is a problem."""
    configmap = ConfigMap(logLevel="ERROR")
    configmap.error = KubeError("refused")
    here = sources(values, configmap=configmap)
    assert here.read().problems == (("avi-k8s-config", "cannot be read yet (refused)"),)
    configmap.error = None
    assert (settings := here.read().settings)
    assert settings.pipeline.log_level == "ERROR"
    configmap.error = KubeError("refused")
    assert here.read().settings == settings
    configmap.error = KubeNotFound("not found")
    assert here.read().problems[0][0] == "avi-k8s-config"
    configmap.error, configmap.data = None, {"logLevel": "INFO"}
    assert (settings := here.read().settings)
    assert settings.pipeline.log_level == "INFO"


def test_subscribers_hear_each_change_once(values: Path) -> None:
    """A subscriber gets the reading of now and then one per change, in order; a look without news says nothing."""
    follower = Follower(sources(values))
    heard: list[Reading] = []
    follower.subscribe(heard.append)
    follower.look()
    values.write_text("nonsense: true\n")
    follower.look()
    values.write_text(GOOD)
    follower.look()
    follower.look()
    assert [reading.settings is not None for reading in heard] == [True, False, True]


def test_usable_waits_for_settings_or_the_end(values: Path) -> None:
    """`usable` returns as soon as the file is mended, and None when the process is to end."""
    values.write_text("nonsense: true\n")
    follower = Follower(sources(values), every=0.01)
    follower.start()
    threading.Timer(0.05, values.write_text, [GOOD]).start()
    reading = follower.usable()
    assert reading is not None
    assert reading.settings is not None
    follower.stop()
    assert follower.usable() is None


def test_a_defect_in_a_subscriber_does_not_end_the_following(values: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An exception of a subscriber is logged, and the next change is still heard."""
    follower = Follower(sources(values), every=0.01)
    heard: list[Reading] = []

    def defective(reading: Reading) -> None:
        heard.append(reading)
        if len(heard) == 2:
            raise RuntimeError("a defect")

    follower.subscribe(defective)
    follower.start()
    values.write_text("nonsense: true\n")
    wait_for(lambda: len(heard) == 2)
    values.write_text(GOOD)
    wait_for(lambda: len(heard) == 3)
    follower.stop()
    assert "was not taken over" in caplog.text
