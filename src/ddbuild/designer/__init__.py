"""The one door to Data Designer: what a config means for a key, and how one run of it is made.

Importing this package imports nothing of Data Designer, which costs two seconds: its modules do so in the functions
that need it, after `prepare_home` has made sure that it can be imported at all.

    config, describe, seeds, plain   a config, without running it; columns: their order
    dump                             a config as the text of a config file has it
    run_config, providers            the settings and models that it runs with
    designer, instance, health       the one DataDesigner of a build
    run, resume, short_batches       single runs on it, and what they go on with (damaged_work: what they do not)
    processors, seeding              runs over finished rows, and configs that start from them
    cells, hidden_entry              which columns are made row by row
    split, drawn_together            one config cut into several that follow one another
    active, engine, logs, usage      what belongs to a run, found again from any thread of it
    losses, messages                 what went wrong, in words
    workflow                         what a pipeline takes and gives back, in Data Designer's own types
    workflow_errors, stage_result    its errors and results: these two import Data Designer, and only pipelines them
"""

from __future__ import annotations

from ddbuild.designer.cells import ASSEMBLED, CellScheme, CellUnit, NotRowWise, cell_builder, describe_cells, is_dropped
from ddbuild.designer.columns import list_columns
from ddbuild.designer.config import copy_builder, load_config
from ddbuild.designer.damaged_work import drop_damaged
from ddbuild.designer.describe import ConfigDescription, describe, describe_processors
from ddbuild.designer.designer import Designer
from ddbuild.designer.dump import dump_config, dump_processor
from ddbuild.designer.failure import CannotResume, RunFailedError
from ddbuild.designer.home import prepare_home
from ddbuild.designer.processors import find_output, make_processors, processor_builder
from ddbuild.designer.resume import prepare_resume
from ddbuild.designer.run import LostRows, RunOutcome, RunRequest
from ddbuild.designer.run_config import normalize_run_config, package_versions
from ddbuild.designer.seeding import seeded_builder
from ddbuild.designer.seeds import count_seed_rows, write_own_seed
from ddbuild.designer.short_batches import drop_short_batches
from ddbuild.designer.split import split_builder

__all__ = [
    "ASSEMBLED",
    "CannotResume",
    "CellScheme",
    "CellUnit",
    "ConfigDescription",
    "Designer",
    "LostRows",
    "NotRowWise",
    "RunFailedError",
    "RunOutcome",
    "RunRequest",
    "cell_builder",
    "copy_builder",
    "count_seed_rows",
    "describe",
    "describe_cells",
    "describe_processors",
    "drop_damaged",
    "drop_short_batches",
    "dump_config",
    "dump_processor",
    "find_output",
    "is_dropped",
    "list_columns",
    "load_config",
    "make_processors",
    "normalize_run_config",
    "package_versions",
    "prepare_home",
    "prepare_resume",
    "processor_builder",
    "seeded_builder",
    "split_builder",
    "write_own_seed",
]
