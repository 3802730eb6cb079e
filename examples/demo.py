"""`make demo`: build examples/quickstart with a model on this machine, show the rows, and build it once more.

Everything that it makes lies in examples/quickstart. The model's server ends with the demo, however the demo ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from embedded_model import EmbeddedModel

EXAMPLES = Path(__file__).resolve().parent
WORKSPACE = EXAMPLES / "quickstart"
CACHE = WORKSPACE / ".ddbuild" / "demo"
DDBUILD = Path(sys.executable).with_name("ddbuild")


def main() -> None:
    """Run the demo; exits with the exit code of the first command that fails."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    say("Starting afresh: the cache of the last demo goes, so that the first build really runs.")
    shutil.rmtree(CACHE, ignore_errors=True)

    say("Starting the model on this machine: SmolLM2, 135 million parameters, on the CPU.")
    with EmbeddedModel() as model:
        environment = make_environment(model.url)

        say("Building //judged and what it needs. Three stages ask the model: about a minute, more on busy cores.")
        seconds = run("//judged", environment=environment)
        tokens = model.count_tokens()

        say("The rows. A model this small writes nonsense at times: models.py says how to use your own.")
        run("show", "//judged", environment=environment)
        say("And where they lie:")
        run("path", "//judged", environment=environment)

        say("Building again. Nothing has changed, so nothing runs.")
        seconds_again = run("//judged", environment=environment)
        tokens_again = model.count_tokens() - tokens

    say(f"First build: {seconds:.1f} s and {tokens:,} tokens. Second build: {seconds_again:.1f} s and {tokens_again}.")
    if tokens_again or not tokens:
        sys.exit("error: the first build should have asked the model, and the second should not")
    say(f"The model's server has ended. Now try it by hand: {(WORKSPACE / 'README.md').relative_to(EXAMPLES.parent)}")


def make_environment(url: str) -> dict[str, str]:
    """Return the environment of every command: the demo's own model and cache, and nobody else's settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DDBUILD_")}
    return environment | {
        "DDBUILD_CACHE_DIR": str(CACHE),
        "DDBUILD_EXAMPLE_URL": url,
        "DATA_DESIGNER_HOME": str(WORKSPACE / ".ddbuild" / "data-designer"),
        "NEMO_TELEMETRY_ENABLED": "false",
    }


def run(*arguments: str, environment: dict[str, str]) -> float:
    """Run one command in the workspace, with this terminal as its own, and return its seconds."""
    print(f"\n$ ddbuild -C {os.path.relpath(WORKSPACE)} {' '.join(arguments)}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen([DDBUILD, "-C", str(WORKSPACE), *arguments], env=environment)
    try:
        exit_code = wait_for(process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if exit_code != 0:
        sys.exit(exit_code)
    return time.monotonic() - started


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for `process` through any Ctrl-C: it hears each one itself and knows how to stop."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def say(sentence: str) -> None:
    """Say one step of the demo in one line."""
    print(f"\n== {sentence}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
