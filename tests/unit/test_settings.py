"""Settings: flags over environment over `ddbuild.toml` over defaults, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddbuild.errors import GraphError
from ddbuild.workspace import Reads, Settings, find_workspace


def load(root: Path, text: str = "", overrides: dict | None = None, **environ: str) -> Settings:
    (root / "ddbuild.toml").write_text(text)
    return Settings.load(root, overrides, {"HOME": str(root / "home"), **environ})


def fail(root: Path, text: str = "", overrides: dict | None = None, **environ: str) -> str:
    with pytest.raises(GraphError) as caught:
        load(root, text, overrides, **environ)
    return str(caught.value)


def test_an_empty_file_gives_the_defaults(tmp_path):
    settings = load(tmp_path)
    assert settings.root == tmp_path
    assert settings.cache.model_dump() == {
        "dir": tmp_path / "home/.cache/ddbuild",
        "shared": None,
        "shared_mode": "rw",
        "trust": "folder",
        "trusted_keys": (),
    }
    assert settings.build.model_dump() == {
        "jobs": 8,
        "keep_going": False,
        "versions": (),
        "key_endpoints": False,
        "salt": None,
        "min_yield": 0.9,
        "reuse": True,
    }
    assert settings.designer.model_dump() == {"factory": None, "run_config": {}}


def test_a_workspace_without_a_file_has_the_defaults(tmp_path):
    settings = Settings.load(tmp_path, environ={"HOME": str(tmp_path)})
    assert settings.build.jobs == 8
    assert settings.read_files == ()


def test_every_setting_is_taken_from_the_file(tmp_path):
    settings = load(
        tmp_path,
        """
        [cache]
        dir = "kept"
        shared = "/mnt/team"
        shared_mode = "ro"
        [build]
        jobs = 3
        keep_going = true
        versions = ["ruff", "sqlglot"]
        key_endpoints = true
        salt = "again"
        min_yield = 1
        reuse = false
        [designer]
        factory = "designers.ours:make"
        buffer_size = 20
        jinja_rendering_engine = "native"
        """,
    )
    assert settings.cache.dir == tmp_path / "kept"
    assert settings.cache.shared == Path("/mnt/team")
    assert settings.cache.shared_mode == "ro"
    assert settings.build.model_dump() == {
        "jobs": 3,
        "keep_going": True,
        "versions": ("ruff", "sqlglot"),
        "key_endpoints": True,
        "salt": "again",
        "min_yield": 1.0,
        "reuse": False,
    }
    assert settings.designer.factory == "designers.ours:make"
    assert settings.designer.run_config == {"buffer_size": 20, "jinja_rendering_engine": "native"}


def test_flags_go_before_environment_and_environment_before_file(tmp_path):
    text = "[build]\njobs = 2\n"
    assert load(tmp_path, text).build.jobs == 2
    assert load(tmp_path, text, DDBUILD_JOBS="3").build.jobs == 3
    assert load(tmp_path, text, {"build.jobs": 4}, DDBUILD_JOBS="3").build.jobs == 4
    assert load(tmp_path, text, {"build.jobs": None}, DDBUILD_JOBS="3").build.jobs == 3


def test_an_empty_variable_counts_as_unset(tmp_path):
    assert load(tmp_path, "[build]\njobs = 2\n", DDBUILD_JOBS="").build.jobs == 2


def test_cache_variables_override_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = '[cache]\ndir = "a"\nshared = "b"\nshared_mode = "rw"\n'
    settings = load(
        tmp_path, text, DDBUILD_CACHE_DIR="here/x", DDBUILD_SHARED_CACHE="~/team", DDBUILD_SHARED_MODE="off"
    )
    assert settings.cache.dir == tmp_path / "here/x"
    assert settings.cache.shared == tmp_path / "home/team"
    assert settings.cache.shared_mode == "off"


def test_paths_of_the_file_start_from_the_workspace_and_those_of_flags_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load(tmp_path, '[cache]\nshared = "../team"\n', {"cache.dir": Path("mine")})
    assert settings.cache.shared == tmp_path.parent / "team"
    assert settings.cache.dir == tmp_path / "elsewhere/mine"


def test_the_cache_follows_xdg(tmp_path):
    assert load(tmp_path, XDG_CACHE_HOME=str(tmp_path / "xdg")).cache.dir == tmp_path / "xdg/ddbuild"
    assert load(tmp_path, XDG_CACHE_HOME="relative").cache.dir == tmp_path / "home/.cache/ddbuild"


def test_without_a_home_the_cache_is_in_the_workspace(tmp_path):
    (tmp_path / "ddbuild.toml").touch()
    assert Settings.load(tmp_path, environ={}).cache.dir == tmp_path / ".ddbuild/cache"


def test_with_a_home_that_cannot_hold_it_the_cache_is_in_the_workspace(tmp_path):
    (tmp_path / "file").touch()
    assert load(tmp_path, HOME=str(tmp_path / "file")).cache.dir == tmp_path / ".ddbuild/cache"


def test_what_was_read_is_recorded_without_values(tmp_path):
    (tmp_path / "ddbuild.toml").write_text("")
    reads = Reads()
    environ = {"HOME": str(tmp_path), "DDBUILD_JOBS": "2"}
    settings = Settings.load(tmp_path, environ=environ, reads=reads)
    assert settings.read_files == (tmp_path / "ddbuild.toml",) == tuple(reads.files)
    assert settings.read_environment == (
        "DDBUILD_CACHE_DIR",
        "DDBUILD_SHARED_CACHE",
        "DDBUILD_SHARED_MODE",
        "DDBUILD_JOBS",
        "XDG_CACHE_HOME",
        "HOME",
    )
    assert set(reads.environment) == set(settings.read_environment)
    assert reads.environment["DDBUILD_CACHE_DIR"] is None
    assert reads.environment["DDBUILD_JOBS"].startswith("blake2b:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "\n[build]\njob = 3\n",
            "`job` is not a setting of `[build]`\n  file:  ddbuild.toml:3\n\nhint: did you mean `jobs`?",
        ),
        (
            "[build]\nzzz = 3\n",
            "`zzz` is not a setting of `[build]`\n  file:  ddbuild.toml:2\n\n"
            "hint: there are `jobs`, `keep_going`, `versions`, `key_endpoints`, `salt`, `min_yield` and `reuse`",
        ),
        (
            "[build]\n\n[cachex]\ndir = 'x'\n",
            "`cachex` is not a section of `ddbuild.toml`\n  file:  ddbuild.toml:3\n\nhint: did you mean `[cache]`?",
        ),
        (
            "jobs = 3\n",
            "`jobs` is not a section of `ddbuild.toml`\n  file:  ddbuild.toml:1\n\n"
            "hint: there are `[cache]`, `[build]` and `[designer]`",
        ),
        (
            "build = 3\n",
            "`build` must be a section, got the number `3`\n  file:  ddbuild.toml:1\n\n"
            "hint: write `[build]` on a line of its own, and its settings below it",
        ),
        (
            "[build]\n# jobs = 1\njobs = 0\n",
            "`[build] jobs` must be a whole number of at least 1, got the number `0`\n  file:  ddbuild.toml:3",
        ),
        (
            "[build]\njobs = '8'\n",
            "`[build] jobs` must be a whole number of at least 1, got the text `8`\n  file:  ddbuild.toml:2",
        ),
        (
            "[build]\njobs = true\n",
            "`[build] jobs` must be a whole number of at least 1, got `True`\n  file:  ddbuild.toml:2",
        ),
        (
            "build.jobs = 1.5\n",
            "`[build] jobs` must be a whole number of at least 1, got the number `1.5`\n  file:  ddbuild.toml:1",
        ),
        (
            "[build]\nkeep_going = 'yes'\n",
            "`[build] keep_going` must be true or false, got the text `yes`\n  file:  ddbuild.toml:2",
        ),
        (
            "[build]\nversions = 'ruff'\n",
            "`[build] versions` must be a list of package names, got the text `ruff`\n  file:  ddbuild.toml:2",
        ),
        (
            "[build]\nversions = ['ruff', 3]\n",
            "`[build] versions` must be a list of package names, got the list `['ruff', 3]`\n  file:  ddbuild.toml:2",
        ),
        (
            "[build]\nmin_yield = 1.1\n",
            "`[build] min_yield` must be a number from 0 to 1, got the number `1.1`\n  file:  ddbuild.toml:2",
        ),
        (
            "[build]\nmin_yield = true\n",
            "`[build] min_yield` must be a number from 0 to 1, got `True`\n  file:  ddbuild.toml:2",
        ),
        (
            "[cache]\nshared_mode = 'readonly'\n",
            '`[cache] shared_mode` must be "rw", "ro" or "off", got the text `readonly`\n  file:  ddbuild.toml:2',
        ),
        ("[cache]\ndir = 3\n", "`[cache] dir` must be a path, got the number `3`\n  file:  ddbuild.toml:2"),
        (
            "[designer]\nfactory = 'designers.py'\n",
            '`[designer] factory` must be "module:function", got the text `designers.py`\n  file:  ddbuild.toml:2',
        ),
        (
            "[build]\njobs = \n",
            "`ddbuild.toml` is not valid TOML: invalid value\n  file:  ddbuild.toml:2",
        ),
        (
            "[build\n",
            "`ddbuild.toml` is not valid TOML: expected ']' at the end of a table declaration\n  file:  ddbuild.toml:1",
        ),
    ],
)
def test_a_wrong_file_says_where_and_what_was_expected(tmp_path, text, message):
    assert fail(tmp_path, text) == message


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "ddbuild.toml").write_bytes(b"salt = '\xff'")
    with pytest.raises(GraphError) as caught:
        Settings.load(tmp_path, environ={})
    assert str(caught.value) == f"`ddbuild.toml` is not UTF-8 text\n  file:  {tmp_path}/ddbuild.toml"


def test_a_wrong_variable_is_named(tmp_path):
    assert fail(tmp_path, DDBUILD_JOBS="many") == (
        "`DDBUILD_JOBS` must be a whole number of at least 1, got the text `many`\n  environment:  DDBUILD_JOBS=many"
    )
    assert fail(tmp_path, DDBUILD_JOBS="0") == (
        "`DDBUILD_JOBS` must be a whole number of at least 1, got the number `0`\n  environment:  DDBUILD_JOBS=0"
    )
    assert fail(tmp_path, DDBUILD_SHARED_MODE="RO") == (
        '`DDBUILD_SHARED_MODE` must be "rw", "ro" or "off", got the text `RO`\n  environment:  DDBUILD_SHARED_MODE=RO'
    )


def test_a_wrong_flag_is_named(tmp_path):
    assert fail(tmp_path, overrides={"build.jobs": -1}) == (
        "`build.jobs` must be a whole number of at least 1, got the number `-1`\n  flag:  build.jobs=-1"
    )
    assert fail(tmp_path, overrides={"build.job": 1}) == (
        "`build.job` is not a setting\n\nhint: did you mean `build.jobs`?"
    )


def test_a_workspace_is_found_from_a_folder_below_it(tmp_path):
    (tmp_path / "ddbuild.toml").touch()
    (tmp_path / "a/b").mkdir(parents=True)
    assert find_workspace(tmp_path / "a/b") == tmp_path
    (tmp_path / "a/ddbuild.toml").touch()
    assert find_workspace(tmp_path / "a/b") == tmp_path / "a"


def test_outside_of_a_workspace_the_hint_is_init(tmp_path):
    with pytest.raises(GraphError) as caught:
        find_workspace(tmp_path)
    assert str(caught.value) == (
        f"no workspace: neither `{tmp_path}` nor a folder above it has a `ddbuild.toml`\n\n"
        "hint: `ddbuild init` makes one here"
    )
