"""Images travel with the rows that name them: through callbacks, children, merges, exports and both tiers."""

import base64
import json
import os
import struct
import time
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.digest import digest_file
from scenarios.project import statuses, steps
from stub_provider import StubProvider

pytestmark = pytest.mark.real


def paint(text, salt=""):
    """A PNG of one pixel, in a colour that depends on `text`."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    colour = zlib.crc32((text + salt).encode()).to_bytes(4, "big")[:3]
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\x00" + colour))
        + chunk(b"IEND", b"")
    )


class Painter(StubProvider):
    """Answers a request for an image with a pixel that depends on the prompt."""

    salt = ""

    def _answer(self, path, body):
        status, answer = super()._answer(path, body)
        if path.endswith("/images/generations") and status == 200:
            image = paint(body["prompt"], self.salt)
            answer["data"] = [{"b64_json": base64.b64encode(image).decode()}] * body.get("n", 1)
        return status, answer

    @property
    def seen(self):
        """The images that were sent to a model to look at, each once."""
        found = set()
        for body in self.bodies:
            for message in body.get("messages", ()):
                for part in message["content"] if isinstance(message["content"], list) else ():
                    if part["type"] == "image_url":
                        found.add(base64.b64decode(part["image_url"]["url"].partition(",")[2]))
        return found


MODELS = """
    import os
    import data_designer.config as dd

    MODELS = [
        dd.ModelConfig(alias="painter", model="dall-e-3", provider="stub",
                       inference_parameters=dd.ImageInferenceParams()),
        dd.ModelConfig(alias="eyes", model="eyes-1", provider="stub"),
    ]

    def make_designer():
        from data_designer.interface import DataDesigner
        provider = dd.ModelProvider(name="stub", endpoint=os.environ["STUB_ENDPOINT"], api_key="none")
        designer = DataDesigner(model_providers=[provider], auto_configure_logging=False)
        designer.set_run_config(dd.RunConfig(buffer_size=2))
        return designer
    """

COLUMNS = """
    from pathlib import Path
    import data_designer.config as dd
    from models import MODELS
    from recorder import record

    def painted(**more):
        config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
        config.add_column(name="photo", column_type="image", model_alias="painter", prompt="paint {{ thing }}", **more)
        return config

    @dd.custom_column_generator(required_columns=["photo"])
    def weigh(row):
        record("weigh")
        row["bytes"] = Path(row["photo"][0]).read_bytes().hex()
        return row

    def weighed():
        config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
        config.add_column(dd.CustomColumnConfig(name="bytes", generator_function=weigh))
        return config

    def described():
        config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
        config.add_column(name="caption", column_type="llm-text", model_alias="eyes", prompt="What is {{ thing }}?",
                          multi_modal_context=[dd.ImageContext(column_name="photo")])
        return config
    """

BUILD = """
    from ddbuild import source, stage, transform, concat, join
    from columns import *

    source("things", files="things.jsonl")
    stage("photos", config=painted, depends_on=[":things"])
    """

THINGS = ["cat", "dog", "cat", "owl"]


@pytest.fixture(scope="module")
def painter():
    with Painter() as painter:
        yield painter


@pytest.fixture
def make_album(make_project, painter, monkeypatch):
    """Make a workspace in which `photos` paints each of `things`, with more declarations added to its build file."""
    monkeypatch.setenv("STUB_ENDPOINT", painter.endpoint)
    monkeypatch.setattr(painter, "salt", "")
    painter.bodies.clear()

    def make(more="", columns="", things=THINGS):
        project = make_project(
            {
                "ddbuild.toml": '[designer]\nfactory = "models:make_designer"\n',
                "models.py": MODELS,
                "columns.py": COLUMNS,
                "BUILD.py": BUILD,
            }
        )
        write_things(project, things)
        for name, text in (("BUILD.py", more), ("columns.py", columns)):
            with (project.root / name).open("a") as file:
                file.write(text)
        return project

    return make


def write_things(project, things):
    lines = [json.dumps({"id": number, "thing": thing}) for number, thing in enumerate(things)]
    project.write("things.jsonl", "\n".join(lines) + "\n")


def name_of(thing, column="photo", suffix="png"):
    """The path that the image of `thing` has in rows."""
    import xxhash

    return f"images/{column}/{xxhash.xxh3_128(paint(f'paint {thing}')).hexdigest()}.{suffix}"


def read(result, name):
    return pq.read_table(result[name].data).to_pylist()


def check_album(result, name, things=THINGS, column="photo"):
    """Check that each row names the image of its thing, and that it lies beside the rows."""
    target = result[name]
    rows = read(result, name)
    assert [row["thing"] for row in rows] == things
    for row in rows:
        assert row[column] == [name_of(row["thing"])]
        image = target.path / row[column][0]
        assert image.read_bytes() == paint(f"paint {row['thing']}")
    lying = {path.relative_to(target.path).as_posix() for path in target.path.rglob("*.png")}
    assert lying == {name_of(thing) for thing in things}


def test_images_are_named_by_their_content_in_the_rows_and_beside_them(make_album):
    project = make_album()
    result = project.build("//photos")
    check_album(result, "photos")
    for image in (project.root / "ddbuild-out/photos/images/photo").iterdir():
        assert str(digest_file(image)) == f"xxh3_128:{image.stem}"
        assert not os.access(image, os.W_OK) or os.geteuid() == 0
    assert statuses(project.build("//photos")) == {"photos": "hit"}


def test_equal_images_that_are_painted_again_are_an_early_cutoff(make_album):
    project = make_album('stage("weighed", config=weighed, depends_on=[":photos"])\n')
    first = project.build("//weighed")
    assert project.calls == {"weigh": 4}
    project.edit("BUILD.py", 'depends_on=[":things"]', 'depends_on=[":things"], salt="again"')
    second = project.build("//weighed")
    assert statuses(second) == {"things": "hit", "photos": "built", "weighed": "cutoff"}
    assert second["photos"].digest == first["photos"].digest
    assert project.calls == {}


def test_other_images_rebuild_the_child_although_no_path_in_the_config_changed(make_album, painter):
    project = make_album('stage("weighed", config=weighed, depends_on=[":photos"])\n')
    project.build("//weighed")
    painter.salt = "other"
    project.edit("BUILD.py", 'depends_on=[":things"]', 'depends_on=[":things"], salt="again"')
    project.build("//weighed")
    assert project.calls == {"weigh": 4}


def test_a_child_reads_the_images_and_passes_them_on_by_relative_paths(make_album, painter):
    project = make_album(
        'stage("weighed", config=weighed, depends_on=[":photos"])\n'
        'stage("described", config=described, depends_on=[":weighed"])\n'
    )
    result = project.build("//described")
    check_album(result, "described")
    for row in read(result, "described"):
        assert bytes.fromhex(row["bytes"]) == paint(f"paint {row['thing']}")
    assert painter.seen == {paint(f"paint {thing}") for thing in THINGS}
    assert str(project.cache) not in json.dumps(read(result, "described"))


def test_texts_that_hold_a_path_among_other_things_are_renamed_as_well(make_album):
    project = make_album(
        'stage("told", config=told, depends_on=[":photos"])\n',
        """
def told():
    config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
    config.add_column(name="one", column_type="expression", expr="see {{ photo[0] }}.")
    config.add_column(name="all", column_type="expression", expr="{{ photo }}")
    return config
""",
    )
    for row in read(project.build("//told"), "told"):
        assert row["one"] == f"see {name_of(row['thing'])}."
        assert row["all"] == f"['{name_of(row['thing'])}']"


def test_a_json_list_of_paths_is_opened_by_a_child(make_album, painter):
    project = make_album(
        'transform("listed", listed, depends_on=[":photos"])\n'
        'stage("described", config=described, depends_on=[":listed"])\n',
        """
def listed(parents):
    import json
    import pyarrow.parquet as pq
    rows = pq.read_table(parents["photos"]).to_pylist()
    import pyarrow as pa
    return pa.Table.from_pylist([row | {"photo": json.dumps(row["photo"])} for row in rows])
""",
    )
    result = project.build("//described")
    assert painter.seen == {paint(f"paint {thing}") for thing in THINGS}
    assert [row["photo"] for row in read(result, "described")] == [f'["{name_of(thing)}"]' for thing in THINGS]


CROP = """
def crop(stage_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    record("crop")
    rows = [row for row in pq.read_table(stage_path / "parquet-files").to_pylist() if row["thing"] != "owl"]
    (stage_path / "images" / "crop").mkdir()
    for number, row in enumerate(rows):
        data = (stage_path / row["photo"][0]).read_bytes()
        (stage_path / "images" / "crop" / f"my crop {number}.PNG").write_bytes(data)
        row["crop"] = f"images/crop/my crop {number}.PNG"
        row["inside"] = {"path": str(stage_path / row["photo"][0])}
    pq.write_table(pa.Table.from_pylist(rows), stage_path / "new.parquet")
    return stage_path / "new.parquet"
"""


def test_a_callback_sees_the_images_and_may_add_some(make_album):
    project = make_album('stage("cropped", config=painted, depends_on=[":things"], on_success=crop)\n', CROP)
    result = project.build("//cropped")
    for row in read(result, "cropped"):
        assert row["photo"] == [name_of(row["thing"])]
        assert row["crop"] == name_of(row["thing"], "crop")
        assert row["inside"] == {"path": name_of(row["thing"])}
    lying = {path.relative_to(result["cropped"].path).as_posix() for path in result["cropped"].path.rglob("*.png")}
    assert lying == {name_of(thing, column) for thing in ("cat", "dog") for column in ("photo", "crop")}
    project.edit("columns.py", 'record("crop")', 'record("crop"); unused = 1')
    again = project.build("//cropped")
    assert steps(again, "cropped") == {"generate": "hit", "callback": "ran"}
    assert again["cropped"].digest == result["cropped"].digest


def test_output_processors_and_their_outputs_keep_the_images(make_album):
    project = make_album(
        'chat = dd.SchemaTransformProcessorConfig(name="chat", template={"m": [{"image": "{{ photo[0] }}"}]})\n'
        'stage("chats", config=painted, depends_on=[":things"], output_processors=[chat], output="processor:chat")\n'
        'stage("inner", config=inner, depends_on=[":things"], output="processor:chat")\n',
        """
def inner():
    config = painted()
    config.add_processor(processor_type="schema_transform", name="chat", template={"all": "{{ photo }}"})
    return config
""",
    )
    result = project.build("//chats", "//inner")
    assert read(result, "chats") == [{"m": [{"image": name_of(thing)}]} for thing in THINGS]
    assert read(result, "inner") == [{"all": f'["{name_of(thing)}"]'} for thing in THINGS]
    for name in ("chats", "inner"):
        assert (result[name].path / name_of("owl")).is_file()


def test_a_transform_finds_the_images_beside_the_rows_and_keeps_those_that_it_names(make_album):
    project = make_album(
        'transform("cats", cats, depends_on=[":photos", ":things"])\n',
        """
def cats(parents):
    import pyarrow as pa
    import pyarrow.parquet as pq
    rows = [row for row in pq.read_table(parents["photos"]).to_pylist() if row["thing"] == "cat"]
    for row in rows:
        assert (parents["photos"].parent / row["photo"][0]).is_file()
        row["photo"] = [str(parents["photos"].parent / path) for path in row["photo"]]
    return pa.Table.from_pylist(rows)
""",
    )
    check_album(project.build("//cats"), "cats", ["cat", "cat"])


def test_merges_and_seed_functions_keep_the_images(make_album):
    project = make_album(
        """
stage("more", config=painted, depends_on=[":things"], salt="more")
both = ["//photos", "//more"]
stage("twice", config=weighed, depends_on=both, seed=concat(*both))
stage("joined", config=weighed, depends_on=["//photos", "//things"], seed=join("//photos", "//lengths", on="id"))
transform("lengths", lengths, depends_on=[":things"])
stage("chosen", config=weighed, depends_on=[":photos"], seed=choose)
""",
        """
def lengths(parents):
    import pandas as pd
    frame = pd.read_parquet(parents["things"])
    return pd.DataFrame({"id": frame["id"], "length": frame["thing"].str.len()})

def choose(parents):
    import pyarrow.parquet as pq
    table = pq.read_table(parents["photos"])
    assert all((parents["photos"].parent / path).is_file() for cell in table["photo"].to_pylist() for path in cell)
    return table.slice(0, 2)
""",
    )
    result = project.build("//twice", "//joined", "//chosen")
    check_album(result, "twice", THINGS * 2)
    check_album(result, "joined")
    check_album(result, "chosen", THINGS[:2])
    assert bytes.fromhex(read(result, "chosen")[1]["bytes"]) == paint("paint dog")


def test_more_records_grow_on_the_images_that_are_there(make_album, painter):
    project = make_album()
    project.edit("BUILD.py", 'depends_on=[":things"]', 'depends_on=[":things"], num_records=2')
    check_album(project.build("//photos"), "photos", THINGS[:2])
    painter.bodies.clear()
    project.edit("BUILD.py", "num_records=2", "num_records=4")
    result = project.build("//photos")
    assert result["photos"].provenance.origin == "grown"
    painted = {body["prompt"] for body in painter.bodies if "prompt" in body}
    assert {"paint cat", "paint owl"} <= painted
    assert "paint dog" not in painted
    check_album(result, "photos")


def test_an_interrupted_child_goes_on_with_the_images_of_its_finished_batches(make_album):
    project = make_album(
        'stage("slow", config=slow, depends_on=[":photos"])\n',
        """
@dd.custom_column_generator(required_columns=["photo"])
def dawdle(row):
    import os, time
    record("dawdle")
    if row["id"] >= 2 and os.environ.get("DAWDLE"):
        time.sleep(3)
    row["bytes"] = Path(row["photo"][0]).read_bytes().hex()
    return row

def slow():
    config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
    config.add_column(dd.CustomColumnConfig(name="bytes", generator_function=dawdle))
    return config
""",
    )
    project.build("//photos")
    os.environ |= {"CALLS": str(project.calls_file), "DAWDLE": "1"}
    try:
        session = project.session()
        label = next(label for label in session.graph if label.name == "slow")
        running = session.start([label], jobs=1, keep_going=False, listener=None)
        deadline = time.monotonic() + 60
        while not list(project.cache.rglob("attempt-*/dataset/parquet-files/batch_00000.parquet")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        while not list(project.cache.rglob("attempt-*/dataset/metadata.json")):
            time.sleep(0.05)
        running.interrupt()
        assert running.wait(60).exit_code == 8
    finally:
        del os.environ["DAWDLE"]
    result = project.build("//slow")
    assert result["slow"].provenance.origin == "resumed"
    assert project.calls == {"dawdle": 2}
    check_album(result, "slow")


def test_images_of_lost_rows_and_of_no_row_are_not_kept(make_album):
    project = make_album(
        "",
        """
def painted(**more):
    config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
    config.add_column(name="photo", column_type="image", model_alias="painter", prompt="paint {{ thing }}")
    config.add_column(dd.CustomColumnConfig(name="choosy", generator_function=refuse))
    return config

@dd.custom_column_generator(required_columns=["photo", "thing"])
def refuse(row):
    if row["thing"] == "owl":
        raise ValueError("no owls")
    row["choosy"] = True
    return row
""",
    )
    project.edit("BUILD.py", 'depends_on=[":things"]', 'depends_on=[":things"], min_yield=0.5')
    check_album(project.build("//photos"), "photos", THINGS[:3])


def test_a_dropped_image_is_there_for_a_callback(make_album):
    project = make_album(
        'stage("kept", config=hidden, depends_on=[":things"], on_success=look)\n',
        """
def hidden():
    return painted(drop=True).add_column(name="loud", column_type="expression", expr="{{ thing | upper }}")

def look(stage_path):
    import pyarrow.parquet as pq
    table = pq.read_table(stage_path / "dropped-columns-parquet-files")
    assert all((stage_path / path).is_file() for cell in table["photo"].to_pylist() for path in cell)
    return stage_path / "parquet-files"
""",
    )
    result = project.build("//kept")
    assert [row["loud"] for row in read(result, "kept")] == ["CAT", "DOG", "CAT", "OWL"]
    assert not list(result["kept"].path.rglob("*.png"))


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.jsonl"])
def test_an_export_takes_the_images_along_so_that_its_paths_lead_somewhere(make_album, tmp_path, name):
    project = make_album(
        'transform("cats", cats, depends_on=[":photos"])\n',
        """
def cats(parents):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    table = pq.read_table(parents["photos"])
    return table.filter(pc.equal(table["thing"], "cat"))
""",
    )
    result = project.build("//cats")
    folder = tmp_path / "exported"
    folder.mkdir()
    result["cats"].export(folder / name)
    result["cats"].export(folder / name)
    assert name_of("cat") in (folder / name).read_bytes().decode("latin-1") or name.endswith("parquet")
    lying = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert lying == {name, name_of("cat")}
    assert (folder / name_of("cat")).read_bytes() == paint("paint cat")
    (folder / name_of("cat")).write_bytes(b"mine")  # nobody's but the reader's own


def test_an_exported_file_is_a_source_with_its_images(make_album, tmp_path):
    project = make_album('source("back", files="exported/*.parquet")\nstage("w", config=weighed, depends_on=[":back"])')
    (project.root / "exported").mkdir()
    project.build("//photos")["photos"].export(project.root / "exported/photos.parquet")
    result = project.build("//back", "//w")
    check_album(result, "back")
    check_album(result, "w")


@pytest.mark.parametrize("stem", ["a", "0" * 32])
def test_a_source_whose_images_have_other_names_is_left_as_it_is(make_album, stem):
    """Its key knows the rows only: another image under the same name would be no reason to read it again."""
    project = make_album('source("own", files="own/rows.parquet")\n')
    (project.root / "own/images").mkdir(parents=True)
    (project.root / f"own/images/{stem}.png").write_bytes(paint("a"))
    pq.write_table(pa.table({"photo": [f"images/{stem}.png"]}), project.root / "own/rows.parquet")
    result = project.build("//own")
    assert read(result, "own") == [{"photo": f"images/{stem}.png"}]
    assert not list(result["own"].path.rglob("*.png"))


def test_a_teammate_gets_the_images_from_the_shared_tier(make_album, tmp_path):
    project = make_album('stage("weighed", config=weighed, depends_on=[":photos"])\n')
    shared = {"cache__shared": str(tmp_path / "shared")}
    project.build("//photos", **shared)
    project.cache = tmp_path / "another cache"
    result = project.build("//photos", "//weighed", **shared)
    assert result["photos"].status == "hit"
    assert result["photos"].tier == "shared"
    check_album(result, "weighed")


def test_images_that_are_no_longer_named_leave_the_output_folder(make_album):
    project = make_album()
    project.build("//photos")
    write_things(project, ["dog"])
    check_album(project.build("//photos"), "photos", ["dog"])


def test_a_damaged_image_in_the_cache_is_made_again_and_never_handed_on(make_album):
    project = make_album('stage("weighed", config=weighed, depends_on=[":photos"])\n')
    project.build("//photos")
    digest = Path(name_of("dog")).stem
    blob = next(project.cache.rglob(f"cas/{digest[:2]}/{digest[2:]}"))
    blob.chmod(0o644)
    blob.write_bytes(b"\0" * blob.stat().st_size)
    check_album(project.build("//weighed"), "weighed")


def test_a_plain_config_that_is_seeded_with_the_target_opens_the_images(make_album):
    from ddbuild import TargetSeedSource
    from ddbuild.plugin.seed_reader import TargetSeedReader

    project = make_album()
    project.build("//photos")
    reader = TargetSeedReader()
    reader.attach(TargetSeedSource(target="//photos", workspace=str(project.root), cache=str(project.cache)), None)
    batch = reader.create_batch_reader(batch_size=9, index_range=None, shuffle=False).read_next_batch().to_pandas()
    assert [Path(cell[0]).read_bytes() for cell in batch["photo"]] == [paint(f"paint {thing}") for thing in THINGS]


def test_rows_load_into_a_config_that_opens_the_images(make_album):
    project = make_album()
    builder = project.build("//photos")["photos"].to_config_builder()
    cells = builder.get_seed_config().source.df["photo"]
    assert [Path(cell[0]).read_bytes() for cell in cells] == [paint(f"paint {thing}") for thing in THINGS]
