"""Rows on disk: the only door to pyarrow and pandas.

Rows stay in parquet files and pass through in batches. Importing this package imports neither library: each function
brings its module when it is first asked for.

    row_digest       the content digest of rows
    unification      many pieces to one parquet file with one schema     schema_merge, conform, logical_type
    result_file      what a function returned to one parquet file        data_frame
    source_file      parquet, CSV and JSONL files to one parquet file    csv_file, jsonl_file
    joining          joins
    export_file      parquet to parquet, CSV and JSONL                   plain_value
    parquet_file     open, read and write parquet
    texts            find texts in cells, and change them
    matching         kept cells for new rows                             pairing, row_codes, kept_values
    assembly         kept and new cells to one parquet file
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ddbuild.table.table_error import TableError

if TYPE_CHECKING:
    from ddbuild.table.assembly import (
        Piece,
        Samples,
        SourceColumn,
        assemble,
        find_floated,
        read_columns,
        read_numbers,
        write_samples,
    )
    from ddbuild.table.data_frame import digest_frame, read_frame
    from ddbuild.table.export_file import export, read_rows
    from ddbuild.table.joining import join
    from ddbuild.table.kept_values import ValueKind, find_uncertain
    from ddbuild.table.matching import (
        CellGroup,
        CellMatch,
        KeptTable,
        UnitColumns,
        locate_cells,
        match_cells,
        number_cycle,
        pick_samples,
    )
    from ddbuild.table.parquet_file import count_rows, list_folder, read_schema
    from ddbuild.table.result_file import write_result
    from ddbuild.table.row_digest import digest_rows
    from ddbuild.table.source_file import import_files
    from ddbuild.table.texts import list_texts, order_columns, rewrite
    from ddbuild.table.unification import concat, unify

__all__ = [
    "CellGroup",
    "CellMatch",
    "KeptTable",
    "Piece",
    "Samples",
    "SourceColumn",
    "TableError",
    "UnitColumns",
    "ValueKind",
    "assemble",
    "concat",
    "count_rows",
    "digest_frame",
    "digest_rows",
    "export",
    "find_floated",
    "find_uncertain",
    "import_files",
    "join",
    "list_folder",
    "list_texts",
    "locate_cells",
    "match_cells",
    "number_cycle",
    "order_columns",
    "pick_samples",
    "read_columns",
    "read_frame",
    "read_numbers",
    "read_rows",
    "read_schema",
    "rewrite",
    "unify",
    "write_result",
    "write_samples",
]

_MODULES = {
    "CellGroup": "matching",
    "CellMatch": "matching",
    "KeptTable": "matching",
    "Piece": "assembly",
    "Samples": "assembly",
    "SourceColumn": "assembly",
    "UnitColumns": "matching",
    "ValueKind": "kept_values",
    "find_uncertain": "kept_values",
    "assemble": "assembly",
    "concat": "unification",
    "count_rows": "parquet_file",
    "digest_frame": "data_frame",
    "digest_rows": "row_digest",
    "export": "export_file",
    "find_floated": "assembly",
    "import_files": "source_file",
    "join": "joining",
    "list_folder": "parquet_file",
    "list_texts": "texts",
    "locate_cells": "matching",
    "match_cells": "matching",
    "number_cycle": "matching",
    "order_columns": "texts",
    "pick_samples": "matching",
    "read_columns": "assembly",
    "read_frame": "data_frame",
    "read_numbers": "assembly",
    "read_rows": "export_file",
    "read_schema": "parquet_file",
    "rewrite": "texts",
    "unify": "unification",
    "write_result": "result_file",
    "write_samples": "assembly",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
