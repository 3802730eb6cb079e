"""What somebody might put into a cache folder: nothing of it leads out of the folder, hangs, or fills the memory."""

import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import QuickDisk, key_of, make_result, open_cache, publish
from ddbuild.building.stage_folder import hydrate
from ddbuild.cache.gc import GcPolicy, collect_garbage
from ddbuild.cache.inventory import FileState, list_actions
from ddbuild.cache.pins import Pin, add_pin, list_pins
from ddbuild.cache.stats import count_tier, list_results
from ddbuild.cache.uses import note_uses, read_uses
from ddbuild.cache.verify import verify_tier
from ddbuild.digest import digest_bytes
from ddbuild.errors import UsageError
from ddbuild.label import parse_label

KEY = key_of("content")
OUTSIDE = [
    *(
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "//x",
        "../x",
        "a/../../x",
        "a/..",
        "./a",
        "a/./b",
        "a//b",
        "a/",
        "\0",
        "a\0b",
    ),
    *("..\\x", "a\\..\\x", "C:\\x", "x" * 1025),
]


@pytest.fixture
def cache(tmp_path):
    return open_cache(tmp_path, shared=False, disk=QuickDisk())


@pytest.mark.parametrize("name", OUTSIDE)
def test_name_that_leaves_its_folder_is_no_name_of_a_file(cache, name):
    result = publish(cache, KEY, "one")
    with pytest.raises(ValidationError):
        make_result(result.output, KEY, files={name: result.output})


@pytest.mark.parametrize("name", [name for name in OUTSIDE if name.isprintable()])
def test_result_with_such_a_name_is_a_miss(cache, tmp_path, name):
    """Also where its checksum is right: anybody can compute one."""
    result = publish(cache, KEY, "one")
    body = result.model_dump_json(by_alias=True).replace('"metadata.json"', f'"{name}"'.replace("\\", "\\\\"))
    assert body != result.model_dump_json(by_alias=True)
    path = cache.local.layout.action(KEY)
    path.chmod(0o644)
    path.write_text(f'{{"schema":1,"checksum":"{digest_bytes(body.encode())}","result":{body}}}\n')
    assert cache.find(KEY) is None
    assert [file.state for file in list_actions(cache.local)] == [FileState.DAMAGED]


def test_files_of_a_result_never_follow_a_link(cache, tmp_path):
    result = publish(cache, KEY, "one")
    (tmp_path / "folder").mkdir()
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "folder" / "metadata.json").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        hydrate(result.files, tmp_path / "folder", cache)
    assert (tmp_path / "victim").read_text() == "mine"


def test_one_name_is_never_a_file_and_a_folder_or_two_files(cache, tmp_path):
    blob = publish(cache, KEY, "one").output
    for number, names in enumerate((["a", "a/b"], ["a/b", "a"])):
        folder = tmp_path / f"folder {number}"
        with pytest.raises(OSError):
            hydrate(dict.fromkeys(names, blob), folder, cache)
        assert all(path.is_relative_to(folder) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "text", ["//../x", "//a/../b:c", "//a:../b", "//./a", "///etc", "//a:b/c", "//a:b\0", "//a:.."]
)
def test_label_is_no_path_out_of_the_workspace(text):
    with pytest.raises(UsageError):
        parse_label(text)


def put(kind, path, tmp_path):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 1 << 40)  # takes no room, and all memory if it were read


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "huge"])
def test_nothing_hangs_or_fills_the_memory(cache, tmp_path, kind):
    """Everything that is read as a whole is first looked at: what it is, and how large."""
    publish(cache, KEY, "one")
    local = cache.local
    local.record_family(key_of("f"), 10, KEY)
    add_pin(local, Pin(label="//:x", key=KEY), "0" * 12)
    note_uses(local, key_of("u"), [KEY])
    places = [
        local.layout.action(KEY),
        local.layout.action(key_of("more"), 3),
        local.layout.family(key_of("f")) / "10",
        local.layout.lease(KEY),
        local.layout.uses / key_of("u"),
        list_pins(local)[0].path,
    ]
    for place in places:
        put(kind, place, tmp_path)
    assert cache.find(KEY) is None
    assert cache.family_members(key_of("f")) == []
    assert read_uses(local) == {}
    assert [pin.pin for pin in list_pins(local)] == [None]
    assert count_tier(local).unusable == 2
    assert list_results(local) == []
    assert len(verify_tier(local).damage) == 2
    collect_garbage(local, GcPolicy())
    assert verify_tier(local, repair=True).ok
