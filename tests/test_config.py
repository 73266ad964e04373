"""The settings: read once, checked together, and no secret told."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from bot.cli.connection import proxy
from bot.cli.engine_choice import configured, placements
from bot.config import Config, DeviceSetting, PrecisionSetting, Switch, load
from bot.engine.cards import EngineName
from bot.errors import OperatorError
from bot.rules.tiers import LONGEST_MODEL

TOKEN = "MTA5OTk5OTk5OTk5OTk5OTk5OQ.GabcdE." + "x" * 38


def test_an_empty_environment_gives_the_defaults() -> None:
    config = Config.from_env({})
    assert config == Config()
    assert (config.engine, config.musicgen_model) == (
        EngineName.MUSICGEN,
        "facebook/musicgen-small",
    )


def test_every_key_is_read() -> None:
    config = Config.from_env(
        {
            "DISCORD_TOKEN": TOKEN,
            "DATA_DIR": "/srv/fantasia",
            "ENGINE": "Sketch",
            "MUSICGEN_MODEL": "facebook/musicgen-stereo-large",
            "DEVICE": "cuda",
            "PRECISION": "bfloat16",
            "SLOTS": "4",
            "FINISH": "OFF",
            "MAX_SECONDS": "30",
            "DEV_GUILD_ID": "123456789012345678",
            "LOG_LEVEL": "debug",
        }
    )
    assert config.discord_token == TOKEN
    assert config.data_dir == Path("/srv/fantasia")
    assert config.engine is EngineName.SKETCH
    assert config.device is DeviceSetting.CUDA
    assert (config.precision, config.slots) == (PrecisionSetting.BFLOAT16, 4)
    assert config.finish is Switch.OFF
    assert Config.from_env({"SLOTS": "auto"}).slots is None
    assert (config.max_seconds, config.dev_guild_id) == (30, 123456789012345678)


def test_all_problems_are_reported_at_once_with_what_is_accepted() -> None:
    with pytest.raises(OperatorError) as told:
        Config.from_env(
            {
                "DISCORD_TOKEN": "secret-but-wrong",
                "ENGINE": "orchestra",
                "MUSICGEN_MODEL": "no such thing",
                "DEVICE": "tpu",
                "PRECISION": "int4",
                "SLOTS": "0",
                "MAX_SECONDS": "121",
                "DEV_GUILD_ID": "here",
                "LOG_LEVEL": "loud",
            }
        )
    text = str(told.value)
    assert "secret-but-wrong" not in text
    for line in (
        "DISCORD_TOKEN: found 16 characters",
        "ENGINE: found 'orchestra'; it must be one of musicgen, sketch",
        "MUSICGEN_MODEL: found 'no such thing'",
        "DEVICE: found 'tpu'; it must be one of auto, cuda, cpu",
        "PRECISION: found 'int4'; it must be one of auto, float32, bfloat16, float16, int8",
        "SLOTS: found '0'; it must be auto or a number from 1 to 64",
        "MAX_SECONDS: found '121'; it must be a whole number from 1 to 120",
        "DEV_GUILD_ID: found 'here'",
        "LOG_LEVEL: found 'loud'; it must be one of debug, info, warning, error",
    ):
        assert line in text


def test_engines_are_counted_or_rays() -> None:
    for found, read in (("auto", None), ("3", 3), ("64", 64), ("Ray", "ray")):
        told = {"ENGINES": found, "RAY_ADDRESS": "10.8.0.1:6379"}
        assert Config.from_env(told).engines == read
    for found in ("0", "65", "two", "-1", "1.5", "3 4"):
        sentence = f"ENGINES: found '{found}'; it must be auto, a number from 1 to 64, or ray"
        with pytest.raises(OperatorError, match=re.escape(sentence)):
            Config.from_env({"ENGINES": found})
    with pytest.raises(OperatorError, match="RAY_ADDRESS: it must be set where ENGINES is ray"):
        Config.from_env({"ENGINES": "ray"})


def test_a_clusters_address_is_one_that_ray_keeps() -> None:
    assert Config.from_env({"RAY_ADDRESS": "10.8.0.1:6379"}).ray_address == "10.8.0.1:6379"
    for found, why in (
        ("ray://10.8.0.1:10001", "it must be the head's host:port"),
        ("10.8.0.1", "it must be the head's host:port"),
        ("auto", "it must be the head's host:port"),
        ("127.0.0.1:6379", "for which Ray takes another address of this machine"),
    ):
        with pytest.raises(OperatorError, match=re.escape(f"RAY_ADDRESS: found '{found}'")) as told:
            Config.from_env({"RAY_ADDRESS": found})
        assert why in str(told.value)


def test_the_sketch_engine_needs_no_gpu() -> None:
    for device in DeviceSetting:
        config = Config(engine=EngineName.SKETCH, device=device, engines=2)
        assert [each.name for each in placements(config)] == ["cpu-0", "cpu-1"]


@pytest.mark.parametrize("music", ["", "40"])
def test_words_are_kept_for_at_least_as_long_as_the_music(music: str) -> None:
    least = int(music or 30)
    kept = {"KEEP_DAYS": music, "KEEP_WORDS_DAYS": str(least)}
    assert Config.from_env(kept).keep().words == least
    with pytest.raises(OperatorError, match=f"KEEP_WORDS_DAYS: .*at least KEEP_DAYS .{least}."):
        Config.from_env(kept | {"KEEP_WORDS_DAYS": str(least - 1)})


def test_a_file_of_the_token_that_is_wrong_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("nonsense")
    for named, sentence in (
        ("~nobody-there/x", "there is no such home folder"),
        (str(tmp_path / "none"), "none cannot be read: No such file or directory"),
        (str(tmp_path / "token"), f"in {tmp_path / 'token'}: found 8 characters"),
    ):
        with pytest.raises(OperatorError) as told:
            Config.from_env({"DISCORD_TOKEN_FILE": named})
        assert sentence in str(told.value)
        assert str(told.value).count("\n") == str(told.value).count("DISCORD_TOKEN_FILE: ") == 1


def test_the_token_is_in_no_repr() -> None:
    assert TOKEN not in repr(Config.from_env({"DISCORD_TOKEN": TOKEN}))


def test_a_model_may_be_a_folder(tmp_path: Path) -> None:
    assert Config.from_env({"MUSICGEN_MODEL": str(tmp_path)}).musicgen_model == str(tmp_path)
    several = Config.from_env({"MODELS": f"a/b, {tmp_path},a/b,", "MODELS_LOADED": "1"})
    assert (several.wanted, several.models_loaded) == (("a/b", str(tmp_path)), 1)
    assert Config().wanted == ("facebook/musicgen-small",)
    with pytest.raises(OperatorError, match="MODELS: found 'c'"):
        Config.from_env({"MODELS": "a/b,c"})


def test_the_environment_comes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("MAX_SECONDS=20\nENGINE=sketch\n")
    monkeypatch.setenv("MAX_SECONDS", "10")
    monkeypatch.delenv("ENGINE", raising=False)
    config = load(tmp_path / ".env")
    assert (config.max_seconds, config.engine) == (10, EngineName.SKETCH)
    monkeypatch.delenv("ENGINE", raising=False)


def test_the_example_names_every_key_and_its_default() -> None:
    lines = Path(".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if re.match("[A-Z_]+=", line))
    assert set(example) == {field.name.upper() for field in fields(Config)} | OF_ALL_PROGRAMS
    assert Config.from_env(example) == Config()


OF_ALL_PROGRAMS = {"HTTPS_PROXY", "NO_PROXY"}
"""Keys in .env that other programs heed as well."""


def test_a_proxy_may_stand_in_the_file_and_an_empty_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in OF_ALL_PROGRAMS:
        monkeypatch.setenv(key, "")
        monkeypatch.delenv(key.lower(), raising=False)
    assert proxy() is None
    monkeypatch.delenv("HTTPS_PROXY")
    (tmp_path / ".env").write_text("HTTPS_PROXY=http://proxy.example.org:3128\n")
    load(tmp_path / ".env")
    assert proxy() == "http://proxy.example.org:3128"


def test_the_example_comments_every_key() -> None:
    blocks = Path(".env.example").read_text().strip().split("\n\n")[1:]
    for block in blocks:
        *comment, setting = block.splitlines()
        assert comment, setting
        assert all(line.startswith("# ") for line in comment), setting


def test_a_models_name_that_no_list_could_show_is_told_to_the_operator(tmp_path: Path) -> None:
    for length in (LONGEST_MODEL, LONGEST_MODEL + 1):
        (tmp_path / (length * "x")).mkdir()
        config = Config.from_env({"MUSICGEN_MODEL": str(tmp_path / (length * "x"))})
        if length == LONGEST_MODEL:
            assert configured(config).models == (length * "x",)
            continue
        with pytest.raises(OperatorError, match=r"x+ has 51 characters, more than the 50"):
            configured(config)
