import importlib.util
import os
import shutil
import sys
from pathlib import Path

import data_designer.config as dd
import pandas as pd
import pytest
from pydantic import BaseModel

from ddbuild.designer import describe, describe_processors, load_config
from ddbuild.errors import GraphError, UnhashableError

FUNCTIONS = """
import data_designer.config as dd

BONUS = 1

def add(number):
    return number + BONUS

@dd.custom_column_generator(required_columns=["topic"])
def score(row, generator_params):
    row["score"] = add(len(row["topic"]))
    return row

def check(frame):
    frame["is_valid"] = True
    return frame
"""


class Choice(BaseModel):
    words: set[str] = set()
    limit: int = 1
    anything: object = None


def load_functions(folder, text=FUNCTIONS, name="functions"):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def functions(tmp_path):
    return load_functions(tmp_path / "workspace")


def model(alias="writer", *, temperature=0.5, max_parallel_requests=4, **fields):
    inference = dd.ChatCompletionInferenceParams(
        temperature=temperature, max_parallel_requests=max_parallel_requests, timeout=fields.pop("timeout", None)
    )
    return dd.ModelConfig(
        alias=alias, model=fields.pop("model", "m"), provider="p", inference_parameters=inference, **fields
    )


def build(functions, *, models=None, values=("a", "b"), params=None, prompt="say {{ topic }}", extra=(), columns=True):
    builder = dd.DataDesignerConfigBuilder(model_configs=models or [model()])
    builder.add_column(
        dd.SamplerColumnConfig(
            name="topic", sampler_type="category", params=dd.CategorySamplerParams(values=list(values))
        )
    )
    if columns:
        builder.add_column(dd.LLMTextColumnConfig(name="text", prompt=prompt, model_alias="writer"))
        builder.add_column(
            dd.CustomColumnConfig(
                name="score", generator_function=functions.score, generator_params=params or Choice(words={"x", "y"})
            )
        )
        builder.add_column(
            dd.ValidationColumnConfig(
                name="valid",
                target_columns=["text"],
                validator_type="local_callable",
                validator_params=dd.LocalCallableValidatorParams(validation_function=functions.check),
            )
        )
    for column in extra:
        builder.add_column(column)
    return builder


def key(builder, *, root=None, **options):
    return sorted(describe(load_config(builder, subject="//:x"), root=root, subject="//:x", **options).parts)


def judge(options):
    score = dd.Score(name="good", description="how good", options=options)
    return dd.LLMJudgeColumnConfig(name="judge", prompt="judge {{ text }}", model_alias="writer", scores=[score])


class Shape(BaseModel):
    size: int


class WiderShape(BaseModel):
    size: int
    colour: str


def structured(shape):
    return dd.LLMStructuredColumnConfig(name="made", prompt="make", model_alias="writer", output_format=shape)


def remote(url="http://check/a", **fields):
    return dd.ValidationColumnConfig(
        name="remote",
        target_columns=["text"],
        validator_type="remote",
        validator_params=dd.RemoteValidatorParams(endpoint_url=url, **fields),
    )


CHANGES = {
    "values": (lambda f: build(f), lambda f: build(f, values=("a", "c"))),
    "order of values": (lambda f: build(f), lambda f: build(f, values=("b", "a"))),
    "type of a value": (lambda f: build(f, values=(1, 2)), lambda f: build(f, values=(1.0, 2.0))),
    "prompt": (lambda f: build(f), lambda f: build(f, prompt="shout {{ topic }}")),
    "model": (lambda f: build(f), lambda f: build(f, models=[model(model="n")])),
    "temperature": (lambda f: build(f), lambda f: build(f, models=[model(temperature=0.6)])),
    "params": (lambda f: build(f), lambda f: build(f, params=Choice(words={"x", "z"}))),
    "types of judge scores": (
        lambda f: build(f, extra=[judge({1: "bad", 2: "good"})]),
        lambda f: build(f, extra=[judge({"1": "bad", "2": "good"})]),
    ),
    "shape": (lambda f: build(f, extra=[structured(Shape)]), lambda f: build(f, extra=[structured(WiderShape)])),
    "endpoint of a validator": (
        lambda f: build(f, extra=[remote()]),
        lambda f: build(f, extra=[remote("http://check/b")]),
    ),
    "processor": (
        lambda f: build(f),
        lambda f: build(f).add_processor(dd.DropColumnsProcessorConfig(name="drop", column_names=["score"])),
    ),
    "constraint": (
        lambda f: build(f),
        lambda f: build(f).add_constraint(dd.ScalarInequalityConstraint(target_column="topic", operator="lt", rhs=3)),
    ),
    "order of columns": (
        lambda f: build(f, extra=[remote(), judge({"1": "x"})]),
        lambda f: build(f, extra=[judge({"1": "x"}), remote()]),
    ),
}

SAME = {
    "unused model": lambda f: build(f, models=[model(), model("other")]),
    "order of models": lambda f: build(f, models=[model("another"), model()]),
    "parallel requests": lambda f: build(f, models=[model(max_parallel_requests=9)]),
    "timeout": lambda f: build(f, models=[model(timeout=9)]),
    "health check": lambda f: build(f, models=[model(skip_health_check=True)]),
    "profiler": lambda f: build(f).add_profiler(dd.JudgeScoreProfilerConfig(model_alias="writer")),
    "order of a set": lambda f: build(f, params=Choice(words={"y", "x"})),
    "a config instead of a builder": lambda f: build(f).build(),
    "a function instead of a builder": lambda f: lambda: build(f),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_rows_changes_the_parts(name, functions):
    before, after = CHANGES[name]
    assert key(before(functions)) != key(after(functions))


@pytest.mark.parametrize("name", SAME)
def test_what_changes_no_rows_changes_no_part(name, functions):
    assert key(SAME[name](functions)) == key(build(functions))


def test_time_outs_of_a_remote_validator_do_not_count(functions):
    assert key(build(functions, extra=[remote()])) == key(
        build(functions, extra=[remote(timeout=1.0, max_parallel_requests=1, retry_backoff=9.0)])
    )


def test_an_edited_function_changes_only_its_own_part(functions, tmp_path):
    before = key(build(functions))
    edited = load_functions(tmp_path / "workspace", FUNCTIONS.replace("len(row", "2 * len(row"))
    after = key(build(edited))
    assert [part[:2] for part in after if part not in before] == [("function", "column score")]


@pytest.mark.parametrize("edit", [("number + BONUS", "number - BONUS"), ("BONUS = 1", "BONUS = 2")])
def test_an_edited_helper_or_global_changes_the_parts(edit, functions, tmp_path):
    root = tmp_path / "workspace"
    before = key(build(functions), root=root)
    assert key(build(load_functions(root, FUNCTIONS.replace(*edit))), root=root) != before


def test_an_edited_validator_changes_the_parts(functions, tmp_path):
    edited = load_functions(tmp_path / "workspace", FUNCTIONS.replace('["is_valid"] = True', '["is_valid"] = False'))
    assert key(build(functions)) != key(build(edited))


def test_the_place_of_a_module_does_not_count(functions, tmp_path):
    moved = load_functions(tmp_path / "elsewhere", name="another_name")
    assert key(build(functions), root=tmp_path / "workspace") == key(build(moved), root=tmp_path / "elsewhere")


def test_params_that_data_designer_cannot_serialise_count_by_their_source(functions, tmp_path):
    double = load_functions(tmp_path / "workspace", "def f(x):\n    return 2 * x\n", "double").f
    triple = load_functions(tmp_path / "workspace", "def f(x):\n    return 3 * x\n", "triple").f
    assert key(build(functions, params=Choice(anything=double))) != key(
        build(functions, params=Choice(anything=triple))
    )


def test_a_value_that_cannot_be_hashed_is_refused_by_name(functions):
    config = build(functions, params=Choice(anything=open(os.devnull)))  # noqa: SIM115
    with pytest.raises(UnhashableError, match="score"):
        key(config)


def test_a_declared_version_stands_in_for_what_cannot_be_hashed(functions):
    config = build(functions, params=Choice(anything=open(os.devnull)))  # noqa: SIM115
    assert key(config, version="1") != key(config, version="2")


def test_the_description_names_what_is_used(functions):
    config = build(functions, models=[model(), model("other")])
    config.add_processor(dd.DropColumnsProcessorConfig(name="drop", column_names=["score"]))
    description = describe(config, root=None, subject="//:x")
    assert description.column_names == ("topic", "text", "score", "valid")
    assert description.model_aliases == ("writer",)
    assert description.providers == ("p",)
    assert description.processor_names == ("drop",)
    assert description.requests_per_row == 1
    assert description.uses_models
    assert description.can_grow
    assert not description.has_seed


def test_a_model_that_is_not_defined_is_named_with_a_guess(functions):
    with pytest.raises(GraphError) as error:
        describe(build(functions, models=[model("writers")]), root=None, subject="//qa:x")
    assert str(error.value) == (
        "`//qa:x` uses the model `writer`, which its config does not define\n"
        "  columns:  text\n"
        "  defined:  writers\n"
        "\n"
        "hint: did you mean `writers`?"
    )


def seeded(source, **options):
    builder = build(None, columns=False)
    return builder.with_seed_dataset(source, **options)


def test_a_renamed_or_moved_seed_file_is_the_same_seed(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "deep").mkdir()
    shutil.copy(tmp_path / "a.csv", tmp_path / "deep" / "b.csv")
    one = key(seeded(dd.LocalFileSeedSource(path=str(tmp_path / "a.csv"))))
    assert key(seeded(dd.LocalFileSeedSource(path=str(tmp_path / "deep" / "b.csv")))) == one


def test_an_edited_seed_file_changes_the_parts(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("x\n1\n")
    config = seeded(dd.LocalFileSeedSource(path=str(file)))
    before = key(config)
    file.write_text("x\n2\n")
    assert key(config) != before
    assert key(config, own_seed=False) == key(build(None, columns=False))


def test_a_new_file_that_matches_the_pattern_changes_the_parts(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    config = seeded(dd.LocalFileSeedSource(path=str(tmp_path / "*.csv")))
    before = key(config)
    (tmp_path / "b.csv").write_text("x\n1\n")
    assert key(config) != before


def test_a_folder_that_makes_a_column_counts(tmp_path):
    for language in ("en", "fr"):
        (tmp_path / f"language={language}").mkdir()
        (tmp_path / f"language={language}" / "a.csv").write_text("x\n1\n")
    english, french = (
        key(seeded(dd.LocalFileSeedSource(path=str(tmp_path / f"language={each}" / "a.csv")))) for each in ("en", "fr")
    )
    assert english != french


def test_sampling_and_selection_of_a_seed_count(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    source = dd.LocalFileSeedSource(path=str(tmp_path / "a.csv"))
    keys = [
        key(seeded(source)),
        key(seeded(source, sampling_strategy=dd.SamplingStrategy.SHUFFLE)),
        key(seeded(source, selection_strategy=dd.IndexRange(start=0, end=0))),
    ]
    assert len({str(each) for each in keys}) == 3


def test_a_shuffled_seed_cannot_grow(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    config = seeded(dd.LocalFileSeedSource(path=str(tmp_path / "a.csv")), sampling_strategy=dd.SamplingStrategy.SHUFFLE)
    assert not describe(config, root=None, subject="//:x").can_grow
    assert describe(config, root=None, subject="//:x", own_seed=False).can_grow


def test_rows_of_a_data_frame_seed_count_and_its_index_does_not():
    one = key(seeded(dd.DataFrameSeedSource(df=pd.DataFrame({"x": [1, 2]}))))
    assert key(seeded(dd.DataFrameSeedSource(df=pd.DataFrame({"x": [1, 2]}, index=[7, 8])))) == one
    assert key(seeded(dd.DataFrameSeedSource(df=pd.DataFrame({"x": [1, 3]})))) != one


def test_names_and_contents_in_a_seed_folder_count_and_its_place_does_not(tmp_path):
    def make(place, name="a.txt", text="hello"):
        (tmp_path / place).mkdir()
        (tmp_path / place / name).write_text(text)
        (tmp_path / place / "other.md").write_text(place)
        return key(seeded(dd.FileContentsSeedSource(path=str(tmp_path / place), file_pattern="*.txt")))

    one = make("one")
    assert make("two") == one
    assert make("three", name="b.txt") != one
    assert make("four", text="bye") != one


def test_a_hugging_face_seed_counts_without_its_token():
    def hugging(path, token):
        return key(seeded(dd.HuggingFaceSeedSource(path=path, token=token)))

    assert hugging("datasets/a/b/x.parquet", "hf_one") == hugging("datasets/a/b/x.parquet", "hf_two")
    assert hugging("datasets/a/b/x.parquet", None) != hugging("datasets/a/b@v2/x.parquet", None)


def test_an_empty_or_vanished_seed_file_is_an_error_that_names_it(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("x\n1\n")
    config = seeded(dd.LocalFileSeedSource(path=str(file)))
    file.write_text("")
    with pytest.raises(GraphError, match=r"(?s)is empty.*a\.csv"):
        key(config)
    file.unlink()
    with pytest.raises(GraphError, match=r"(?s)cannot be read.*a\.csv"):
        key(config)


def test_a_managed_dataset_of_persons_counts_where_it_is_there(tmp_path):
    config = dd.DataDesignerConfigBuilder(model_configs=[model()])
    config.add_column(
        dd.SamplerColumnConfig(name="who", sampler_type="person", params=dd.PersonSamplerParams(locale="en_US"))
    )
    none = key(config, managed_assets=tmp_path)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "en_US.parquet").write_bytes(b"one")
    one = key(config, managed_assets=tmp_path)
    (tmp_path / "datasets" / "en_US.parquet").write_bytes(b"two")
    assert len({str(each) for each in (none, one, key(config, managed_assets=tmp_path))}) == 3


def test_describing_a_config_does_not_change_it(functions):
    builder = load_config(build(functions), subject="//:x")
    before = builder.build().fingerprint()
    describe(builder, root=None, subject="//:x")
    assert builder.build().fingerprint() == before


def test_output_processors_count_in_their_order():
    drop = dd.DropColumnsProcessorConfig(name="drop", column_names=["a"])
    shape = dd.SchemaTransformProcessorConfig(name="shape", template={"b": "{{ a }}"})
    assert describe_processors([drop, shape]) != describe_processors([shape, drop])
    assert describe_processors([drop]) == describe_processors([drop.model_copy(deep=True)])
    assert describe_processors([]) == []


def test_the_parts_do_not_depend_on_the_process(functions, tmp_path):
    import subprocess

    script = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"
        "import test_designer_describe as t; from pathlib import Path\n"
        "f = t.load_functions(Path(sys.argv[2]))\n"
        "print(t.key(t.build(f, params=t.Choice(words=set('abcdefgh'))), root=Path(sys.argv[2])))"
    )
    folder = tmp_path / "workspace"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent), str(folder)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().startswith("[('column'")
