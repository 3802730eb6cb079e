"""Which rows a run lost and why, as far as Data Designer says so: it drops a row, logs a line, and reports success.

The lines are read while they are logged, because the error behind a line is still at hand then.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from logging import WARNING, LogRecord

from ddbuild.designer.messages import clean, explain, is_provider_error

__all__ = ["Losses"]

_CELL = re.compile(r"Non-retryable failure on (.+?)\[rg=(\d+), row=(\d+|None)\]: (.*)", re.DOTALL)
_EXPRESSION = re.compile(r"Expression column '(.+?)' dropped (\d+)/\d+ rows after render: (.*?)\.(?: |$)")
_RETRYABLE = re.compile(r"Observed retryable model-task error: kind=(\w+)(?:, http_status=(\d+))?")
_BATCH = re.compile(r"Failed to checkpoint row group (\d+)")
_EARLY_SHUTDOWN = "Early shutdown triggered"
_KINDS = {
    "EmptyRenderedExpression": "rendered empty",
    "TemplateRenderError": "failed",
    "TypeCastError": "was not of its dtype",
}
_UNKNOWN = "Data Designer gives no reason"
_LIMIT = 160


class Losses:
    """Gathers the reasons from the log records of one run."""

    def __init__(self) -> None:
        self.early_shutdown = False
        self._rows: dict[tuple[int, int], str] = {}
        self._counted: Counter[str] = Counter()
        self._unspecific: dict[str, None] = {}
        self._provider_failures = False
        self._provider_retries = False
        self._disk_failures = False
        self._lock = threading.Lock()

    def observe(self, record: LogRecord, error: BaseException | None) -> None:
        """Take note of `record`, logged while `error` was being handled."""
        if record.levelno < WARNING:
            return
        message = record.getMessage()
        with self._lock:
            if match := _CELL.search(message):
                self._observe_cell(match, error)
            elif match := _EXPRESSION.search(message):
                for kind, count in re.findall(r"(\w+)=(\d+)", match[3]):
                    self._counted[f"expression `{match[1]}` {_KINDS.get(kind, kind)}"] += int(count)
            elif match := _RETRYABLE.search(message):
                self._provider_retries = True
                status = f" (HTTP {match[2]})" if match[2] else ""
                self._unspecific[f"model requests failed again and again: {match[1].replace('_', ' ')}{status}"] = None
            elif _BATCH.search(message):
                self._disk_failures |= isinstance(error, OSError)
                problem = explain(error, _LIMIT) if error is not None else "no reason given"
                self._unspecific[f"a batch could not be written: {problem}"] = None
            elif _EARLY_SHUTDOWN in message:
                self.early_shutdown = True
                self._unspecific["Data Designer stopped early, too many cells failed"] = None

    def summarize(self, lost: int) -> list[tuple[int, str]]:
        """Return (rows, reason) for `lost` rows, the most frequent reason first; the counts add up to `lost`."""
        with self._lock:
            counts = Counter(self._rows.values()) + self._counted
            unspecific = list(self._unspecific)
        summary: list[tuple[int, str]] = []
        left = lost
        for reason, count in counts.most_common():
            if left > 0:
                summary.append((min(count, left), reason))
                left -= summary[-1][0]
        if left > 0:
            # Retries that came to a good end in the end are no reason where everything else is explained.
            summary.append((left, "; ".join(unspecific) or _UNKNOWN))
        return sorted(summary, key=lambda each: -each[0])

    def main_reason(self) -> str | None:
        """Return the reason for most of the rows that were lost so far; None where there is none."""
        with self._lock:
            counts = Counter(self._rows.values()) + self._counted
            return counts.most_common(1)[0][0] if counts else "; ".join(self._unspecific) or None

    def is_provider_trouble(self, lost: int) -> bool:
        """Return whether some of the `lost` rows are missing because of a model's provider, or of a full disk.

        Another try may well make them.
        """
        with self._lock:
            explained = len(self._rows) + sum(self._counted.values())
            retries = self._provider_retries and explained < lost
            return lost > 0 and (self._provider_failures or self._disk_failures or retries)

    def _observe_cell(self, match: re.Match[str], error: BaseException | None) -> None:
        column, group, row, text = match.groups()
        self._provider_failures |= is_provider_error(error)
        reason = f"column `{column}`: {explain(error, _LIMIT) if error is not None else clean(text, _LIMIT)}"
        if row == "None":
            self._unspecific[reason] = None
        else:
            self._rows.setdefault((int(group), int(row)), reason)
