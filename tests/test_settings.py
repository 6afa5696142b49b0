"""Settings: where they come from, what is refused, and that each is documented."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from milepost.errors import SettingsError
from milepost.settings import Settings, described, load_settings


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "milepost.toml"
    file.write_text(text)
    return file


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    """file < environment < flags; what nobody set has its default."""
    file = written(tmp_path, 'port = 1\nhost = "file"\nlanes = 3\n')
    settings = load_settings({"port": 3, "host": None}, {"MILEPOST_PORT": "2", "MILEPOST_HOST": "env", "OTHER": "x"}, file)
    assert (settings.port, settings.host, settings.lanes) == (3, "env", 3)
    assert settings.batch_rows_max == Settings().batch_rows_max
    assert load_settings({}, {}) == Settings()


def test_values_have_their_types_however_they_are_written(tmp_path: Path) -> None:
    """Text from the environment, TOML values and flags all become the setting's type."""
    environment = {
        "MILEPOST_REPLICA_URLS": "postgresql://a/x, postgresql://b/x",
        "MILEPOST_POOL_WAIT_S": "2.5",
        "MILEPOST_DATA_DIR": "/data",
        "MILEPOST_PREPARE_THRESHOLD": "none",
        "MILEPOST_MODEL": "",
    }
    settings = load_settings({"port": "9000"}, environment)
    assert settings.replica_urls == ("postgresql://a/x", "postgresql://b/x")
    assert (settings.pool_wait_s, settings.data_dir, settings.prepare_threshold) == (2.5, Path("/data"), None)
    assert (settings.model, settings.port) == (None, 9000)
    file = written(tmp_path, 'replica_urls = ["postgresql://a/x"]\npool_wait_s = 2\nprepare_threshold = "none"\n')
    settings = load_settings({}, {}, file)
    assert (settings.replica_urls, settings.pool_wait_s) == (("postgresql://a/x",), 2.0)
    assert settings.prepare_threshold is None


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    """A settings file can be used from any folder."""
    settings = load_settings({}, {}, written(tmp_path, 'model = "model.toml"\ndata_dir = "/elsewhere"\n'))
    assert (settings.model, settings.data_dir) == (tmp_path / "model.toml", Path("/elsewhere"))


@pytest.mark.parametrize(
    ("flags", "environment", "file", "message"),
    [
        ({}, {"MILEPOST_PORT": "http"}, "", "MILEPOST_PORT: 'http' is not a whole number."),
        ({"port": 70000}, {}, "", "--port: 70000 must be from 0 to 65535."),
        ({}, {}, 'port = "8080"', "milepost.toml: port: '8080' is not a whole number."),
        ({}, {}, "port = true", "milepost.toml: port: True is not a whole number."),
        ({}, {}, "pool_wait_s = 0", "milepost.toml: pool_wait_s: 0.0 must be at least 0.01."),
        ({}, {"MILEPOST_POOL_WAIT_S": "inf"}, "", "MILEPOST_POOL_WAIT_S: inf is not a number."),
        ({}, {}, "pool_wait_s = nan", "milepost.toml: pool_wait_s: nan is not a number."),
        ({}, {"MILEPOST_WRITE_WORK_MEM": "lots"}, "", "MILEPOST_WRITE_WORK_MEM: 'lots' must be a size"),
        ({}, {"MILEPOST_DATABASE_URL": "mysql://me:secret@h/x"}, "", "MILEPOST_DATABASE_URL: the value must be a URL"),
        ({}, {"MILEPOST_LOG_LEVEL": "loud"}, "", "must be one of debug, info, warning, error"),
        ({"write_pool_min": 20}, {}, "", "--write-pool-min: 20 is more than write_pool_max, which is 10."),
        ({}, {"MILEPOST_PROT": "1"}, "", "MILEPOST_PROT: there is no such setting. Did you mean MILEPOST_PORT?"),
        ({}, {"MILEPOST_DATABSE_URL": "x"}, "", "Did you mean MILEPOST_DATABASE_URL?"),
        ({}, {}, "batch_row_max = 1", "milepost.toml: batch_row_max: there is no such setting. Did you mean batch_rows_max?"),
        ({"prot": 1}, {}, "", "--prot: there is no such setting. Did you mean port?"),
        ({}, {}, "port = ", "is not TOML"),
    ],
)
def test_what_is_wrong_names_the_setting_as_it_was_written(
    tmp_path: Path, flags: dict[str, Any], environment: dict[str, str], file: str, message: str
) -> None:
    """A wrong value or name is answered with where it stands; a password in a URL is not repeated."""
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, environment, written(tmp_path, file) if file else None)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that was asked for must be there."""
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({}, {}, tmp_path / "milepost.toml")


def test_variables_of_others_with_our_prefix_are_left_alone() -> None:
    """The client's, the tests' and Kubernetes' variables are not ours, and like none of ours."""
    others = {
        "MILEPOST_URL": "http://x",
        "MILEPOST_KEY": "k",
        "MILEPOST_DATA_SETS": "/d",
        "MILEPOST_TEST_PG_BIN": "/b",
        "MILEPOST_SERVICE_HOST": "10.0.0.1",
        "MILEPOST_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    assert load_settings({}, others) == Settings()


def test_settings_are_frozen_and_do_not_show_passwords() -> None:
    """One object is passed down and never changes; printing it shows no URL that may hold a password."""
    settings = Settings(database_url="postgresql://me:secret@h/x", redis_url="redis://:secret@h")
    assert "secret" not in repr(settings)
    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]
    with pytest.raises(SettingsError, match="lanes: 0 must be"):
        Settings(lanes=0)


def test_every_setting_is_documented() -> None:
    """Each has a flag, a variable and a consequence, and a number has a unit."""
    settings = described()
    assert [item.name for item in settings] == [item.name for item in fields(Settings)]
    for item in settings:
        assert item.help.endswith("."), item.name
        assert item.unit or item.type not in ("int", "float") or item.name == "port", item.name
    assert settings[0].flag == "--database-url"
    assert settings[0].variable == "MILEPOST_DATABASE_URL"


def test_the_pools_are_20_to_50_connections_by_default() -> None:
    """The classes' minimums and maximums add up to what is promised."""
    settings = Settings()
    assert settings.write_pool_min + settings.point_pool_min + settings.analytics_pool_min == 20
    assert settings.write_pool_max + settings.point_pool_max + settings.analytics_pool_max == 50
    assert (settings.pool_wait_s, settings.pool_idle_s) == (30, 300)
