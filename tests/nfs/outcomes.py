"""The outcomes of tests that another pytest runs in a guest."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nfs.guest import Guest

REPORTS = "DDBUILD_NFS_REPORTS"
"""Names, in the guest, the file that its pytest writes a line to for each report."""

SECONDS = 300.0


class Outcomes:
    """What a guest's pytest says of `items`; the guest is started when the first of them is asked for."""

    def __init__(self, config: pytest.Config, items: list[pytest.Item], *, is_required: bool) -> None:
        self._config = config
        self._items = items
        self._is_required = is_required
        self._guest: Guest | None = None
        self._told = False
        self._ends = ExitStack()

    def read(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Yield the reports of a test as they come."""
        if self._guest is None:
            self._start()
        is_complete = False
        while not is_complete:
            was_running = self._guest.is_running
            for line in self._lines:
                self._rest += line
                if not self._rest.endswith("\n"):
                    break
                data, self._rest = json.loads(self._rest), ""
                report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
                if report.nodeid == item.nodeid:
                    yield report
                    is_complete = report.when == "teardown"
                if is_complete:
                    return
            if not was_running:
                yield self._explain(item)
                return
            time.sleep(0.05)

    def close(self) -> None:
        """End the guest."""
        self._ends.close()

    def _start(self) -> None:
        self._guest = self._ends.enter_context(Guest(seconds=SECONDS))
        chosen, reports = self._guest.folder / "chosen", self._guest.folder / "reports"
        chosen.write_text("".join(f"{item.nodeid}\n" for item in self._items))
        reports.touch()
        self._lines, self._rest = self._ends.enter_context(reports.open()), ""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp=/run/tests", f"@{chosen}"]
        environment = {
            REPORTS: str(reports),
            "HOME": "/run",
            "NEMO_TELEMETRY_ENABLED": "false",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        os.chdir(self._config.rootpath)  # node ids are from there
        self._guest.start(command, environment)

    def _explain(self, item: pytest.Item) -> pytest.TestReport:
        """Return the report on a test that the guest has said nothing more of."""
        assert self._guest is not None
        outcome: str = "failed"
        said = self._guest.describe()
        text: object = f"the guest ended before this test did\n{said}"
        if not self._guest.has_booted:
            text = f"the guest did not boot\n{said}"
            if not self._is_required:
                if not self._told:
                    print(f"\n{text}", file=sys.__stderr__)
                outcome, text = "skipped", (str(item.path), 0, "the guest did not boot; its console is shown above")
        elif self._told:
            text = "the guest ended before this test did; its console is shown with the first such test"
        self._told = True
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome=outcome,  # type: ignore[arg-type]
            longrepr=text,  # type: ignore[arg-type]
            when="setup",
        )


def write_report(config: pytest.Config, report: pytest.TestReport) -> None:
    """Add a report to the file that the other pytest reads."""
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    with Path(os.environ[REPORTS]).open("a") as file:
        file.write(json.dumps(data) + "\n")
