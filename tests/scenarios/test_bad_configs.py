"""What Data Designer finds wrong with a config ends in the error of its stage, and nowhere else."""

import pytest

pytestmark = pytest.mark.real

BUILD = """
    import data_designer.config as dd
    from ddbuild import source, stage

    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(name="line", column_type="expression", expr="{{ nowhere }}")
    stage("bad", config=config, num_records=3)
    source("rows", files="rows.parquet")
    """


def test_a_reference_to_nothing_is_named_in_the_error_and_nothing_is_printed(make_project, capfd):
    project = make_project({"BUILD.py": BUILD, "rows.parquet": ""})
    result = project.build("//:bad", ok=False)
    assert result["bad"].status == "failed"
    problem = result["bad"].error.facts["problem"]
    assert problem == "column `line`: Expression column 'line' references missing column 'nowhere'."
    assert "references missing column" in (project.root / ".ddbuild/logs/bad.log").read_text()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("content", "message"), [("", "is empty"), ("a,b\n1,2\n", "is no parquet file")])
def test_a_source_file_that_cannot_be_one_is_an_error_before_anything_runs(make_project, content, message):
    project = make_project({"BUILD.py": BUILD, "rows.parquet": content})
    with pytest.raises(Exception, match=f"a file of `//:rows` {message}") as caught:
        project.build("//:rows")
    assert caught.value.exit_code == 2
