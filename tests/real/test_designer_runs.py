"""Real runs of Data Designer through `Designer`, with a stub in the place of a model's provider."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

os.environ.setdefault("NEMO_TELEMETRY_ENABLED", "false")
sys.path.insert(0, str(Path(__file__).parents[1]))

import data_designer.config as dd
import pandas as pd

from ddbuild.designer import (
    CannotResume,
    Designer,
    RunFailedError,
    RunRequest,
    drop_short_batches,
    find_output,
    processor_builder,
)
from ddbuild.errors import GraphError, InterruptedBuildError
from ddbuild.table import read_rows
from stub_provider import StubProvider

pytestmark = pytest.mark.real


@pytest.fixture
def stub():
    with StubProvider() as server:
        yield server


@pytest.fixture
def make_designer(stub, tmp_path):
    made = []

    def make(**fields):
        from data_designer.interface import DataDesigner

        def factory():
            designer = DataDesigner(
                tmp_path / "artifacts", model_providers=[stub.provider()], auto_configure_logging=False
            )
            designer.set_run_config(dd.RunConfig(**fields))
            return designer

        made.append(Designer(factory))
        return made[-1]

    yield make
    for designer in made:
        designer.cancel()
        designer.close()


@pytest.fixture
def request_for(tmp_path):
    def make(name, builder, num_records=2, **fields):
        return RunRequest(
            label=f"//:{name}",
            builder=builder,
            num_records=num_records,
            folder=fields.pop("folder", tmp_path / name),
            log_file=tmp_path / "logs" / f"{name}.log",
            **fields,
        )

    return make


def run(main):
    async def with_threads():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(24))
        return await main

    return asyncio.run(with_threads())


def sampled(*columns, models=None, values=("x",)):
    builder = dd.DataDesignerConfigBuilder(
        model_configs=models or [dd.ModelConfig(alias="none", model="none", provider="none")]
    )
    params = dd.CategorySamplerParams(values=list(values))
    builder.add_column(dd.SamplerColumnConfig(name="topic", sampler_type="category", params=params))
    for column in columns:
        builder.add_column(column)
    return builder


def asked(stub, prompt="say {{ topic }}", **fields):
    return sampled(
        dd.LLMTextColumnConfig(name="text", prompt=prompt, model_alias="writer"), models=[stub.model()], **fields
    )


def numbered(*columns):
    builder = dd.DataDesignerConfigBuilder(model_configs=[dd.ModelConfig(alias="none", model="none", provider="none")])
    for column in columns or [dd.ExpressionColumnConfig(name="copy", expr="row {{ number }}")]:
        builder.add_column(column)
    return builder


def custom(function, name="made", *, models=(), **fields):
    decorated = dd.custom_column_generator(required_columns=["topic"], model_aliases=list(models))(function)
    return dd.CustomColumnConfig(name=name, generator_function=decorated, **fields)


def write_numbers(file, count):
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"number": range(count)}).to_parquet(file)
    return file


def rows_of(outcome):
    return [row for file in outcome.files for row in read_rows(file, 10_000, 0)]


def test_a_run_makes_rows_and_counts_what_it_asked_for(stub, make_designer, request_for):
    progress = []
    request = request_for("words", asked(stub), 5, on_progress=lambda rows, requests: progress.append((rows, requests)))
    outcome = run(make_designer(buffer_size=2).run(request))
    assert [row["text"] for row in rows_of(outcome)] == ["reply to say x"] * 5
    assert (outcome.rows_requested, outcome.rows_made, outcome.lost) == (5, 5, ())
    assert (outcome.requests, outcome.input_tokens, outcome.output_tokens) == (5, 35, 15)
    assert stub.count("say x") == 5
    assert progress[-1] == (5, 5)
    assert outcome.folder == request.folder / "dataset"
    assert [file.name for file in outcome.files] == [f"batch_0000{n}.parquet" for n in range(3)]
    assert not outcome.provider_trouble
    assert "Creating Data Designer dataset" in request.log_file.read_text()


def test_the_limit_on_requests_holds_across_runs_and_each_model_is_checked_once(stub, make_designer, request_for):
    stub.delay = 0.05
    builder = sampled(
        dd.LLMTextColumnConfig(name="text", prompt="say {{ topic }}", model_alias="writer"),
        models=[stub.model(inference_parameters=dd.ChatCompletionInferenceParams(max_parallel_requests=3))],
    )
    designer = make_designer()

    async def main():
        return await asyncio.gather(*(designer.run(request_for(f"s{n}", builder, 6)) for n in range(4)))

    outcomes = run(main())
    assert [outcome.requests for outcome in outcomes] == [6] * 4
    assert stub.most_at_once == 3
    assert stub.health_checks == 1


def test_usage_and_logs_of_concurrent_runs_stay_apart(stub, make_designer, request_for):
    def ask(row, generator_params, models):
        row["made"] = models["writer"].generate("from a function")[0]
        return row

    designer = make_designer()
    configs = {
        "one": (asked(stub, "one {{ topic }}"), 3),
        "two": (sampled(custom(ask, models=["writer"]), models=[stub.model()]), 4),
        "none": (sampled(), 5),
    }

    async def main():
        return await asyncio.gather(*(designer.run(request_for(name, *configs[name])) for name in configs))

    outcomes = dict(zip(configs, run(main()), strict=True))
    assert {name: outcome.requests for name, outcome in outcomes.items()} == {"one": 3, "two": 4, "none": 0}
    logs = {name: (request_for(name, None).log_file).read_text() for name in configs}
    assert "column 'text'" in logs["one"]
    assert "column 'text'" not in logs["two"] + logs["none"]
    assert "column 'made'" in logs["two"]


def test_functions_that_wait_in_several_runs_wait_together(make_designer, request_for):
    together = threading.Barrier(8, timeout=20)

    def wait(row):
        together.wait()
        row["made"] = "done"
        return row

    designer = make_designer()

    async def main():
        return await asyncio.gather(*(designer.run(request_for(f"s{n}", sampled(custom(wait)), 1)) for n in range(8)))

    assert [outcome.rows_made for outcome in run(main())] == [1] * 8


def test_a_run_whose_functions_block_does_not_hold_up_another(make_designer, request_for):
    leave = threading.Event()

    def block(row):
        row["made"] = leave.wait(20)
        return row

    def go(row):
        row["made"] = leave.is_set()
        return row

    designer = make_designer()

    async def main():
        blocked = asyncio.create_task(designer.run(request_for("blocked", sampled(custom(block)), 50)))
        quick = await designer.run(request_for("quick", sampled(custom(go)), 1))
        leave.set()
        return quick, await blocked

    quick, blocked = run(main())
    assert rows_of(quick) == [{"topic": "x", "made": False}]
    assert blocked.rows_made == 50


def test_lost_rows_are_counted_with_their_reasons(stub, make_designer, request_for):
    stub.reply = lambda prompt: 400 if prompt == "say b" else "fine"
    builder = asked(stub, values=("a", "b"))
    builder.add_column(dd.ExpressionColumnConfig(name="copy", expr="{{ topic if topic == 'b' else 'kept' }}"))
    outcome = run(make_designer(disable_early_shutdown=True).run(request_for("short", builder, 20)))
    asked_b = stub.count("say b")
    assert outcome.rows_made == 20 - asked_b
    assert [each.rows for each in outcome.lost] == [asked_b]
    assert outcome.lost[0].reason.startswith("column `text`: The request for model 'stub-model' was found to be malf")
    assert not outcome.provider_trouble


def test_an_expression_that_renders_empty_is_the_reason_for_its_rows(make_designer, request_for, tmp_path):
    seed = write_numbers(tmp_path / "seed.parquet", 10)
    builder = numbered(dd.ExpressionColumnConfig(name="odd", expr="{{ number if number % 2 else '' }}"))
    outcome = run(make_designer().run(request_for("odd", builder, 10, seed=seed)))
    assert [(each.rows, each.reason) for each in outcome.lost] == [(5, "expression `odd` rendered empty")]


def test_a_provider_that_refuses_some_rows_is_provider_trouble(stub, make_designer, request_for):
    stub.reply = lambda prompt: 403 if prompt == "say b" else "fine"
    request = request_for("short", asked(stub, values=("a", "b")), 12)
    outcome = run(make_designer(disable_early_shutdown=True).run(request))
    assert [each.rows for each in outcome.lost] == [12 - outcome.rows_made]
    assert outcome.provider_trouble


def test_a_model_that_did_not_answer_is_asked_once_for_all_runs(stub, make_designer, request_for):
    stub.reply = lambda prompt: 401
    designer = make_designer()

    async def main():
        runs = (designer.run(request_for(f"s{n}", asked(stub))) for n in range(4))
        return await asyncio.gather(*runs, return_exceptions=True)

    assert [type(each) for each in run(main())] == [RunFailedError] * 4
    assert (stub.health_checks, stub.requests) == (1, 0)


def test_a_refused_key_fails_with_the_cause_and_without_the_key(stub, make_designer, request_for):
    stub.reply = lambda prompt: 401
    request = request_for("refused", asked(stub))
    with pytest.raises(RunFailedError) as error:
        run(make_designer().run(request))
    assert error.value.provider_trouble
    assert str(error.value) == (
        "Data Designer made no rows of `//:refused`\n"
        "  problem:  The API key provided for model 'stub-model' was found to be invalid or expired"
        " while running health checks.\n"
        f"  log:      {request.log_file}\n"
        "\n"
        "hint: Verify your API key for model provider and update it in your settings for model provider 'stub'"
    )
    assert error.value.last_lines
    assert "sk-stub" not in request.log_file.read_text()


def test_a_function_that_always_fails_is_named_and_is_no_provider_trouble(make_designer, request_for):
    def fail(row):
        raise ValueError(f"no {row['topic']} today, key sk-stub-0123456789")

    request = request_for("failing", sampled(custom(fail)))
    with pytest.raises(RunFailedError) as error:
        run(make_designer().run(request))
    assert not error.value.provider_trouble
    assert "no x today" in error.value.facts["problem"]
    assert "sk-stub-0123456789" not in request.log_file.read_text() + str(error.value)


def test_early_shutdown_is_told(make_designer, request_for):
    @dd.custom_column_generator(required_columns=["number"])
    def fail_late(row):
        if row["number"] >= 5:
            raise ValueError("no more")
        row["made"] = 1
        return row

    numbers = dd.DataFrameSeedSource(df=pd.DataFrame({"number": range(200)}))
    builder = numbered(dd.CustomColumnConfig(name="made", generator_function=fail_late)).with_seed_dataset(numbers)
    outcome = run(
        make_designer(buffer_size=5, max_concurrent_row_groups=1, shutdown_error_rate=0.2).run(
            request_for("early", builder, 200)
        )
    )
    assert outcome.early_shutdown
    assert outcome.rows_made < 200
    assert sum(each.rows for each in outcome.lost) == 200 - outcome.rows_made


def test_a_seed_replaces_the_own_one_and_its_path_may_have_any_name(make_designer, request_for, tmp_path):
    seed = write_numbers(tmp_path / "o'brien" / "lang=en" / "seed[1].parquet", 5)
    builder = numbered().with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame({"number": [7]})))
    outcome = run(
        make_designer().run(
            request_for("seeded", builder, 3, seed=seed, selection_strategy=dd.IndexRange(start=1, end=4))
        )
    )
    assert rows_of(outcome) == [{"number": n, "copy": f"row {n}"} for n in (1, 2, 3)]
    assert isinstance(builder.get_seed_config().source, dd.DataFrameSeedSource)


GROWTHS = {"in one batch": (1000, (10, 20, 30)), "in uneven batches": (4, (10, 21, 30)), "to the same": (4, (10, 10))}


@pytest.mark.parametrize("name", GROWTHS)
def test_a_dataset_grows_more_than_once_and_keeps_its_rows(name, make_designer, request_for, tmp_path):
    buffer_size, sizes = GROWTHS[name]
    calls = []

    def make(row):
        calls.append(row["number"])
        row["made"] = f"{row['number']} at {time.time_ns()}"
        return row

    function = dd.custom_column_generator(required_columns=["number"])(make)
    builder = numbered(dd.CustomColumnConfig(name="made", generator_function=function))
    builder.add_column(dd.ExpressionColumnConfig(name="hidden", expr="{{ number }}", drop=True))
    builder.add_processor(dd.SchemaTransformProcessorConfig(name="shape", template={"n": "{{ number }}"}))
    designer = make_designer(buffer_size=buffer_size)
    before = []
    for step, size in enumerate(sizes):
        # The seed moves, as a cache does between two machines.
        seed = write_numbers(tmp_path / f"place{step}" / "seed.parquet", 50)
        request = request_for("growing", builder, size, seed=seed, resume=step > 0)
        outcome = run(designer.run(request))
        rows = rows_of(outcome)
        assert [row["number"] for row in rows] == list(range(size))
        assert rows[: len(before)] == before
        assert outcome.rows_resumed == len(before)
        shaped = [row["n"] for file in find_output(outcome.folder, "processor:shape") for row in read_rows(file, 99, 0)]
        assert [int(n) for n in shaped] == list(range(size))
        before = rows
    assert len(calls) == sizes[-1]


def test_batches_that_lost_rows_are_made_again(make_designer, request_for, tmp_path):
    seed = write_numbers(tmp_path / "seed.parquet", 20)
    broken = {5, 6, 17}

    def make(row):
        if row["number"] in broken:
            raise ValueError("not today")
        row["made"] = f"{row['number']} at {time.time_ns()}"
        return row

    function = dd.custom_column_generator(required_columns=["number"])(make)
    builder = numbered(dd.CustomColumnConfig(name="made", generator_function=function))
    designer = make_designer(buffer_size=5)
    request = request_for("again", builder, 20, seed=seed, resume=True)
    first = run(designer.run(request))
    assert [row["number"] for row in rows_of(first)] == [n for n in range(20) if n not in broken]
    kept = rows_of(first)
    broken.clear()
    drop_short_batches(request.folder)
    second = run(designer.run(request))
    assert [row["number"] for row in rows_of(second)] == list(range(20))
    assert (second.rows_resumed, second.lost) == (10, ())
    full = [row for row in kept if row["number"] // 5 in (0, 2)]
    assert [row for row in rows_of(second) if row["number"] // 5 in (0, 2)] == full


def test_batches_of_another_size_or_for_more_records_cannot_be_gone_on_with(make_designer, request_for):
    run(make_designer(buffer_size=2).run(request_for("kept", sampled(), 4)))
    with pytest.raises(CannotResume):
        run(make_designer(buffer_size=3).run(request_for("kept", sampled(), 8, resume=True)))
    with pytest.raises(CannotResume):
        run(make_designer(buffer_size=2).run(request_for("kept", sampled(), 2, resume=True)))


def test_a_run_that_does_not_resume_starts_in_an_empty_folder(make_designer, request_for):
    designer = make_designer(buffer_size=2)
    run(designer.run(request_for("again", sampled(values=("old",)), 6)))
    outcome = run(designer.run(request_for("again", sampled(values=("new",)), 2)))
    assert outcome.folder.name == "dataset"
    assert rows_of(outcome) == [{"topic": "new"}] * 2


KILLED = """
import asyncio, os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_designer_runs import Designer, RunRequest, custom, sampled

folder = Path(sys.argv[2])

def make(row):
    with open(folder / "calls", "a") as calls:
        calls.write("x")
    if os.path.exists(folder / "die") and len(list(folder.glob("run/dataset/parquet-files/*.parquet"))) >= 3:
        os.kill(os.getpid(), signal.SIGKILL)
    row["made"] = time.time_ns()
    return row

outcome = asyncio.run(Designer(None, {"buffer_size": 5, "max_concurrent_row_groups": 1}).run(RunRequest(
    label="//:killed", builder=sampled(custom(make)), num_records=40, folder=folder / "run",
    log_file=folder / "log", resume=True,
)))
print(outcome.rows_made, outcome.rows_resumed)
"""


def test_a_killed_run_goes_on_with_its_finished_batches(tmp_path):
    (tmp_path / "die").touch()
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    kept = {file: file.read_bytes() for file in (tmp_path / "run" / "dataset" / "parquet-files").iterdir()}
    assert len(kept) >= 3
    (tmp_path / "die").unlink()
    before = (tmp_path / "calls").stat().st_size
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.split() == ["40", str(5 * len(kept))], result.stderr
    assert (tmp_path / "calls").stat().st_size - before == 40 - 5 * len(kept)
    assert all(file.read_bytes() == content for file, content in kept.items())


def start_and_stop(designer, request, until, stop, look):
    """Run `request`, `stop` it once `until` says so; return how it ended and what `look` saw right then."""

    async def main():
        task = asyncio.create_task(designer.run(request))
        while not until() and not task.done():
            await asyncio.sleep(0.01)
        stop(task)
        await asyncio.wait({task})
        return asyncio.CancelledError() if task.cancelled() else task.exception(), look()

    return run(main())


def test_a_run_that_waits_for_a_slow_model_stops_at_once_and_can_go_on(stub, make_designer, request_for):
    designer = make_designer(buffer_size=2, max_concurrent_row_groups=1)
    stub.reply = lambda prompt: "fine" if stub.requests <= 4 else stub.hang()
    request = request_for("slow", asked(stub), 10, resume=True)
    error, waiting = start_and_stop(
        designer, request, lambda: stub.requests > 4, lambda task: designer.cancel(), lambda: stub.under_way
    )
    assert isinstance(error, InterruptedBuildError)
    assert waiting > 0
    assert len(list((request.folder / "dataset" / "parquet-files").iterdir())) == 2
    with pytest.raises(InterruptedBuildError):
        run(designer.run(request))
    stub.reply = lambda prompt: "fine"
    outcome = run(make_designer(buffer_size=2).run(request))
    assert (outcome.rows_made, outcome.rows_resumed, outcome.requests) == (10, 4, 6)


def test_a_health_check_that_hangs_is_stopped(stub, make_designer, request_for):
    designer = make_designer()
    stub.reply = lambda prompt: stub.hang()
    request = request_for("hanging", asked(stub))
    error, waiting = start_and_stop(
        designer, request, lambda: stub.health_checks, lambda task: designer.cancel(), lambda: stub.under_way
    )
    assert isinstance(error, InterruptedBuildError)
    assert waiting == 1


@pytest.mark.parametrize("kind", ["function", "async function"])
def test_a_function_that_cannot_be_stopped_is_left_behind(kind, make_designer, request_for):
    entered, leave = threading.Event(), threading.Event()

    def block(row):
        entered.set()
        leave.wait(30)
        return row

    async def block_the_loop(row):
        return block(row)

    def look():
        was_blocked = not leave.is_set()
        leave.set()
        return was_blocked

    designer = make_designer()
    request = request_for("blocked", sampled(custom(block if kind == "function" else block_the_loop)))
    error, was_blocked = start_and_stop(designer, request, entered.is_set, lambda task: designer.cancel(), look)
    assert isinstance(error, InterruptedBuildError)
    assert was_blocked


def test_cancelling_the_task_of_one_run_stops_only_that(stub, make_designer, request_for):
    stub.reply = lambda prompt: stub.hang() if prompt == "slow x" else "fine"
    designer = make_designer()
    request = request_for("slow", asked(stub, "slow {{ topic }}"))
    error, waiting = start_and_stop(
        designer, request, lambda: stub.requests, lambda task: task.cancel(), lambda: stub.under_way
    )
    assert isinstance(error, asyncio.CancelledError)
    assert waiting > 0
    assert run(designer.run(request_for("other", asked(stub)))).rows_made == 2


def test_output_processors_run_over_finished_rows(make_designer, request_for, tmp_path):
    seed = write_numbers(tmp_path / "seed.parquet", 5)
    builder = processor_builder(
        [
            dd.SchemaTransformProcessorConfig(name="shape", template={"n": "no. {{ number }}"}),
            dd.DropColumnsProcessorConfig(name="drop", column_names=["copy"]),
        ],
        like=numbered(),
        subject="//:x",
    )
    pd.DataFrame({"number": range(5), "copy": "x"}).to_parquet(seed)
    outcome = run(make_designer(buffer_size=2).run(request_for("processed", builder, 5, seed=seed)))
    assert rows_of(outcome) == [{"number": n} for n in range(5)]
    files = find_output(outcome.folder, "processor:shape")
    assert [row for file in files for row in read_rows(file, 9, 0)] == [{"n": f"no. {n}"} for n in range(5)]


def test_logging_of_the_process_stays_as_it_was(request_for, stub, tmp_path, capfd):
    from data_designer.interface import DataDesigner

    log = tmp_path / "mine.log"
    mine = logging.FileHandler(log, mode="w")
    root = logging.getLogger()
    root.addHandler(mine)
    before = (root.handlers[:], root.level, logging.getLogger("data_designer").level)
    designer = Designer(lambda: DataDesigner(tmp_path / "artifacts", model_providers=[stub.provider()]))
    try:
        run(designer.run(request_for("quiet", asked(stub))))
        assert (root.handlers, root.level, logging.getLogger("data_designer").level) == before
        assert logging.getLogger("data_designer").propagate
        logging.getLogger("data_designer.somebody").warning("else")
        assert log.read_text() == "else\n"
    finally:
        root.removeHandler(mine)
        mine.close()
    output = capfd.readouterr()
    assert "Data Designer" not in output.out + output.err


def test_a_workspace_without_models_needs_no_home_no_key_and_opens_no_port(tmp_path):
    script = (
        "import asyncio, sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from ddbuild.designer import Designer, RunRequest, load_config\n"
        "def config():\n"
        "    import data_designer.config as dd\n"
        "    params = dd.CategorySamplerParams(values=['x'])\n"
        "    return dd.DataDesignerConfigBuilder().add_column(\n"
        "        dd.SamplerColumnConfig(name='topic', sampler_type='category', params=params))\n"
        "folder = Path(sys.argv[2])\n"
        "outcome = asyncio.run(Designer().run(RunRequest(label='//:x', builder=load_config(config, subject='//:x'),\n"
        "    num_records=2, folder=folder / 'run', log_file=folder / 'log')))\n"
        "from data_designer.integrations.opentelemetry import get_open_telemetry_runtime\n"
        "print(outcome.rows_made, get_open_telemetry_runtime().metrics_url)\n"
    )
    home = tmp_path / "home"
    home.write_text("a file where the home folder should be")
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    kept.pop("DATA_DESIGNER_HOME")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(Path(__file__).parent), str(tmp_path)],
        env=kept | {"HOME": str(home)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (result.stdout, result.stderr) == ("2 None\n", "")
    assert not (tmp_path / "artifacts").exists()


def test_a_given_designer_is_left_as_it_was(stub, request_for, tmp_path):
    from data_designer.interface import DataDesigner

    given = DataDesigner(tmp_path / "artifacts", model_providers=[stub.provider()], auto_configure_logging=False)
    settings = given.run_config
    designer = Designer(given)
    assert run(designer.run(request_for("given", asked(stub)))).rows_made == 2
    assert given.run_config is settings
    assert settings.otel_metrics_port is None
    designer.close()
    assert settings.otel_metrics_port == 9464
    assert not (tmp_path / "artifacts").exists()


def test_a_factory_that_fails_is_named(request_for):
    def broken():
        raise KeyError("TEAM_KEY")

    with pytest.raises(GraphError) as error:
        run(Designer(broken).run(request_for("x", sampled())))
    assert error.value.message.endswith("broken` does not work")
    assert error.value.facts == {"problem": "KeyError: 'TEAM_KEY'"}


def test_a_missing_key_of_a_default_provider_is_told_before_anything_runs(request_for, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    column = dd.LLMTextColumnConfig(name="text", prompt="say {{ topic }}", model_alias="writer")
    builder = sampled(column, models=[dd.ModelConfig(alias="writer", model="m", provider="openai")])
    with pytest.raises(RunFailedError) as error:
        run(Designer().run(request_for("x", builder)))
    assert error.value.hint == "export OPENAI_API_KEY=..."
    assert error.value.provider_trouble


def test_the_token_of_a_seed_is_not_left_in_the_dataset(tmp_path):
    from ddbuild.designer.resume import redact_builder_config

    seed = {"seed_config": {"source": {"seed_type": "hf", "token": "hf_0123456789abcdefghij"}}}
    (tmp_path / "builder_config.json").write_text(json.dumps({"data_designer": seed}))
    redact_builder_config(tmp_path)
    assert "hf_0123" not in (tmp_path / "builder_config.json").read_text()
