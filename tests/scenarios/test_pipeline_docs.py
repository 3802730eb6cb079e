"""The examples of docs/pipeline.md, run from first to last."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

PAGE = Path(__file__).parents[2] / "docs" / "pipeline.md"


def test_every_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DDBUILD_CACHE_DIR", str(tmp_path / "cache"))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    names = {"__name__": "page"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"example {number}", "exec"), names)
    assert len((tmp_path / "questions.jsonl").read_text().splitlines()) == 20
    results = names["results"]
    assert list(results) == ["drafts", "labels", "hard", "easy", "both"]
    assert results.count_records() == 40
    assert "both: built" in capsys.readouterr().out
    assert (tmp_path / "artifacts/questions/ddbuild-out/both/data.parquet").is_file()
    # Nothing is left to do once more.
    again = names["workflow"].run(stage_output_overrides=names["reviewed"])
    assert {again.get_status(name) for name in again} == {"overridden", "hit"}
