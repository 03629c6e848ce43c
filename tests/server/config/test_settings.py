from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qcore.model.entry import FEATURE_LEVEL
from qcore.server.config.settings import SETTINGS, Settings, split_addr


def test_defaults_are_those_of_a_single_node() -> None:
    settings = Settings()
    assert (settings.id, settings.ws_addr, settings.engine) == (1, "127.0.0.1:8080", "auto")
    assert settings.data_dir == Path("raft_data")
    assert settings.peers == ()
    assert not settings.insecure


def test_building_settings_in_code_ignores_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QCORE_ID", "7")
    assert Settings().id == 1


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().id = 2


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_described(setting: Any) -> None:
    assert setting.help.endswith(".")
    assert setting.group
    assert setting.expected
    assert (setting.low is None) == (setting.high is None)
    unset = setting.optional and setting.default is None
    assert setting.low is None or unset or setting.low <= setting.default <= setting.high
    assert not setting.choices or setting.default in setting.choices


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.low is not None], ids=lambda setting: setting.name)
def test_numbers_are_taken_up_to_their_bounds_and_not_past_them(setting: Any) -> None:
    for good in (setting.low, setting.high):
        assert getattr(Settings(**{setting.name: good}), setting.name) == good
    for bad in (setting.low - 1, setting.high + 1):
        with pytest.raises(ValidationError):
            Settings(**{setting.name: bad})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", True),
        ("id", "1.5"),
        ("id", None),
        ("machine", " web"),
        ("machine", "a\nb"),
        ("machine", "x" * 256),
        ("data_dir", ""),
        ("data_dir", 3),
        ("data_dir", "a\0b"),
        ("engine", "raft"),
        ("peers", ["10.0.0.1:0"]),
        ("peers", "10.0.0.1:1"),
        ("advertise", "10.0.0.1:0"),
        ("cluster_id", "AB" * 16),
        ("cluster_id", "ab"),
        ("bootstrap", "old"),
        ("request_timeout", "nan"),
        ("request_timeout", "inf"),
        ("allow_origin", ["https://example.org/"]),
        ("allow_origin", ["*"]),
        ("allow_origin", ["https://*.example.org"]),
        ("allow_origin", ["https://example.org:443"]),
        ("allow_origin", ["http://example.org:80"]),
        ("allow_origin", ["null"]),
        ("insecure", "perhaps"),
        ("max_lists", 1),
    ],
)
def test_values_that_do_not_fit_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Settings(**{name: value})


def test_choices_are_taken_in_any_case() -> None:
    assert Settings(log_level="WARNING").log_level == "warning"  # type: ignore[arg-type]


def test_an_empty_text_unsets_what_can_be_unset() -> None:
    settings = Settings(machine="", config_file="")  # type: ignore[arg-type]
    assert settings.machine is None
    assert settings.config_file is None


def test_the_current_folder_is_a_data_directory() -> None:
    assert Settings(data_dir=Path(".")).data_dir == Path()


def test_origins_are_kept_as_browsers_send_them() -> None:
    assert Settings(allow_origin=("https://Console.Example.org:8443",)).allow_origin == (
        "https://console.example.org:8443",
    )


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_an_address_splits_into_host_and_port(ip: Any, port: int) -> None:
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    assert split_addr(f"{host}:{port}") == (str(ip), port)


@pytest.mark.parametrize("addr", ["localhost:1", "a.b-c.example:443", "[fe80::1%eth0]:8080"])
def test_names_and_scoped_addresses_split_too(addr: str) -> None:
    assert ":".join(part.strip("[]") for part in addr.rsplit(":", 1)) == "{}:{}".format(*split_addr(addr))


@pytest.mark.parametrize(
    "addr",
    ["", ":1", "host", "host:", "host:65536", "host:-1", "::1:80", "[::g]:1", "[::1]", "1.2.3:4", "a b:1", "x:٣"],
)
def test_what_is_no_address_is_refused(addr: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message depends on what is wrong
        split_addr(addr)


def test_a_node_claims_no_feature_level_above_what_its_version_knows() -> None:
    levels = [Settings(max_feature_level=most).feature_level for most in (None, 1, FEATURE_LEVEL, 1_000_000)]
    assert levels == [FEATURE_LEVEL, 1, FEATURE_LEVEL, FEATURE_LEVEL]
