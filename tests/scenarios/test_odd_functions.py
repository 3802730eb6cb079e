"""Functions that do what nobody expects of them fail their own target, and nothing else."""

import pytest

from scenarios.project import statuses

pytestmark = pytest.mark.real

FILES = {
    "functions.py": """
        import sys
        import pyarrow as pa

        def leave(parents):
            sys.exit(0)

        def interrupt(parents):
            raise KeyboardInterrupt

        def explain(parents):
            raise ValueError("first line\\nsecond line tells what is wrong")

        def make(parents):
            return pa.table({"id": [1]})
        """,
    "BUILD.py": """
        from ddbuild import transform
        from functions import *

        transform("left", leave)
        transform("interrupted", interrupt)
        transform("explained", explain)
        transform("made", make)
        """,
}


def test_sys_exit_in_a_function_ends_the_function_only(make_project):
    result = make_project(FILES).build(ok=False, keep_going=True)
    assert result.exit_code == 1
    assert statuses(result) == {"explained": "failed", "interrupted": "failed", "left": "failed", "made": "built"}
    assert result["left"].error.facts["raised"] == "SystemExit: 0"


def test_all_lines_of_an_exception_are_told(make_project):
    result = make_project(FILES).build("//explained", ok=False)
    assert result["explained"].error.facts["raised"] == "ValueError: first line second line tells what is wrong"


TWINS = """
    import data_designer.config as dd
    from ddbuild import stage

    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(name="id", column_type="sampler", sampler_type="uuid", params={})
    stage("train", config=config, num_records=3)
    stage("test", config=config, num_records=3)
    """


def test_stages_that_are_equal_share_their_rows_and_say_so(make_project):
    project = make_project({"BUILD.py": TWINS})
    result = project.build(jobs=1)
    assert result["train"].digest == result["test"].digest
    assert sorted(statuses(result).values()) == ["built", "hit"]
    warnings = [event.text for event in project.events if type(event).__name__ == "Warned"]
    assert warnings == ["//test and //train are equal and get the same rows; for rows of their own, give one a `salt`"]
    project.edit(
        "BUILD.py",
        'stage("test", config=config, num_records=3)',
        'stage("test", config=config, num_records=3, salt="2")',
    )
    result = project.build()
    assert result["train"].digest != result["test"].digest
