"""What the stub says: every text is another one, as those of a language model are; a judge's score is not.

So the number of rows that a filter keeps, and with it the number of requests below, is no matter of chance.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import zlib

__all__ = ["Replies", "score_of"]


class Replies:
    """Answers prompts, from several threads at once; `prompts` has what each text was said to, by its number."""

    def __init__(self) -> None:
        self.prompts: dict[int, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def __call__(self, prompt: str) -> str:
        if "```json" in prompt:
            return f"```json\n{json.dumps(self.judge(prompt))}\n```"
        return self.write(prompt)

    def write(self, prompt: str) -> str:
        """Return a text that was never said before."""
        with self._lock:
            number = next(self._numbers)
            self.prompts[number] = prompt
        return f"text number {number}"

    def judge(self, prompt: str) -> dict[str, dict[str, object]]:
        """Return a judgement with the score of `prompt`, and a reason that was never given before."""
        return {"clarity": {"reasoning": self.write(prompt), "score": score_of(prompt)}}


def score_of(prompt: str) -> int:
    """Return 1 to 4, by the idea that `prompt` names; 3 where it names none."""
    idea = re.search(r"^Idea: (.+)$", prompt, re.MULTILINE)
    return 3 if idea is None else 1 + zlib.crc32(idea[1].encode()) % 4
