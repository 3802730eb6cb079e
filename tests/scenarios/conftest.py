import pytest

from scenarios.project import QUICKSTART, Project


@pytest.fixture
def project(tmp_path):
    """Two stages: `people` with a custom column and a callback, `judged` with a custom column over its rows."""
    return Project(tmp_path, QUICKSTART)


@pytest.fixture
def make_project(tmp_path):
    """Make a workspace of the given files."""
    return lambda files, **options: Project(
        tmp_path, {"ddbuild.toml": "", "recorder.py": _recorder(), **files}, **options
    )


def _recorder():
    from scenarios.project import RECORDER

    return RECORDER
