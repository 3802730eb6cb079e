"""The files that `ddbuild init` writes: a workspace that builds at once, without any model."""

from __future__ import annotations

from pathlib import Path

from ddbuild.errors import GraphError
from ddbuild.workspace.locate import SETTINGS_FILE

__all__ = ["write_workspace"]

_SETTINGS = """\
# The folder with this file is the workspace. All of it is optional: every setting below is commented out.

[cache]
# shared = "/mnt/team/ddbuild"     # results that a team shares; DDBUILD_SHARED_CACHE overrides it
# shared_mode = "rw"               # "ro" only takes from it, "off" leaves it alone

[build]
# jobs = 8                         # targets that run at once
# min_yield = 0.9                  # the share of requested rows that is enough

[designer]
# factory = "designer:make"        # a function in designer.py that returns the DataDesigner of all stages
# buffer_size = 1000               # or fields of Data Designer's RunConfig
"""

_BUILD = '''\
"""Two stages without a model: `ddbuild //greetings` builds both."""

from __future__ import annotations

from pathlib import Path

import data_designer.config as dd

from ddbuild import stage


def personas_config() -> dd.DataDesignerConfigBuilder:
    """Who is greeted: values that are drawn at random."""
    builder = dd.DataDesignerConfigBuilder(model_configs=[])
    builder.add_column(
        name="name",
        column_type="sampler",
        sampler_type="category",
        params=dd.CategorySamplerParams(values=["Ada", "Grace", "Katherine", "Mary"]),
    )
    builder.add_column(
        name="age",
        column_type="sampler",
        sampler_type="uniform",
        params=dd.UniformSamplerParams(low=18, high=90),
        convert_to="int",
    )
    return builder


def greetings_config() -> dd.DataDesignerConfigBuilder:
    """A greeting for each persona; the columns of the seed are at hand by their names."""
    builder = dd.DataDesignerConfigBuilder(model_configs=[])
    builder.add_column(name="greeting", column_type="expression", expr="Good morning, {{ name }} ({{ age }})!")
    return builder


def keep_grown_up(stage_path: Path) -> Path:
    """Return the rows that go on from here; editing this reruns only this function, never the stage."""
    import pandas as pd  # here, and not above: what needs no rows starts faster

    rows = pd.read_parquet(stage_path / "parquet-files")
    kept = stage_path / "kept.parquet"
    rows[rows["age"] >= 21].to_parquet(kept, index=False)
    return kept


stage("personas", config=personas_config, num_records=20, on_success=keep_grown_up)

# One greeting for each row of its seed, because it asks for no number of records.
stage("greetings", config=greetings_config, depends_on=[":personas"])
'''

_GITIGNORE = """\
# What ddbuild makes: results to look at, and its own state.
ddbuild-out/
.ddbuild/
"""

_FILES = {SETTINGS_FILE: _SETTINGS, "BUILD.py": _BUILD, ".gitignore": _GITIGNORE}


def write_workspace(folder: Path) -> list[Path]:
    """Write the files of a first workspace into `folder` and return their paths.

    Raises:
        GraphError: one of them is there already, or there is another build file; nothing was written.
    """
    for name in (*_FILES, "BUILD.yaml"):
        if (folder / name).exists():
            raise GraphError(
                f"`{name}` is there already, and nothing is overwritten",
                facts={"file": str(folder / name)},
                hint="move it away, or start in an empty folder",
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in _FILES.items():
            # "x": somebody may have made it in the meantime.
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise GraphError(f"`{error.filename}` cannot be written: {error.strerror}") from None
    return [folder / name for name in _FILES]
