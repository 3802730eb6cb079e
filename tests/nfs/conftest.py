"""The tests of this folder run in a guest: what pytest does there is shown here, test by test, as it comes.

Where there can be no guest they are skipped, and say why. With DDBUILD_NFS=required that is an error instead.
"""

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import Cache, Tier
from nfs.guest import find_obstacle
from nfs.outcomes import REPORTS, Outcomes, write_report

HERE = Path(__file__).parent
IN_GUEST = REPORTS in os.environ
IS_REQUIRED = os.environ.get("DDBUILD_NFS") == "required"
OUTCOMES = pytest.StashKey[Outcomes]()


@pytest.fixture(params=["NFS4", "NFS3"])
def version(request):
    return request.param


@pytest.fixture
def folders(version):
    """A new folder, as client A and client B have it."""
    name = f"test {time.monotonic_ns()}"
    a, b = (Path(os.environ[f"{version}_{client}"], name) for client in "AB")
    a.mkdir()
    return a, b


@pytest.fixture
def machine(folders, tmp_path):
    """A function that gives the cache of a machine: a local tier in memory, and the team's by client "a" or "b"."""

    def make(client, name=None, *, disk=None, ask_seconds=100.0, **options):
        team = Tier(folders["ab".index(client)] / "team", "shared", disk=disk, **options)
        return Cache(Tier(tmp_path / (name or client), "local"), team, make.warnings.append, ask_seconds=ask_seconds)

    make.warnings = []
    return make


def pytest_configure(config):
    if IN_GUEST:
        config.pluginmanager.register(ReportWriter(config))


def pytest_collection_finish(session):
    items = [item for item in session.items if is_here(item)]
    if not items or IN_GUEST or session.config.option.collectonly:
        return
    obstacle = find_obstacle()
    if obstacle is None and "PYTEST_XDIST_WORKER" in os.environ:
        obstacle = "one guest is for all of these tests: run them by themselves and without -n, as `make nfs` does"
    if obstacle is None:
        session.config.stash[OUTCOMES] = Outcomes(session.config, items, is_required=IS_REQUIRED)
    elif IS_REQUIRED:
        raise pytest.UsageError(f"DDBUILD_NFS=required, but {obstacle}")
    else:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=obstacle))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    if OUTCOMES not in item.config.stash or not is_here(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in item.config.stash[OUTCOMES].read(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_unconfigure(config):
    if OUTCOMES in config.stash:
        config.stash[OUTCOMES].close()


class ReportWriter:
    def __init__(self, config):
        self.config = config

    def pytest_runtest_logreport(self, report):
        write_report(self.config, report)


def is_here(item):
    return HERE in item.path.parents
