"""The four example jobs with language models everywhere, and the edits that people make to them every day.

A workspace is a copy of one below `examples/`, changed by exact replacements: so a benchmark cannot go on with an
example that has become another one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@dataclass(frozen=True, slots=True)
class Change:
    """`old`, which `file` has once, or `times`, becomes `new`."""

    old: str
    new: str
    file: str = "BUILD.py"
    times: int = 1

    def apply(self, workspace: Path) -> None:
        path = workspace / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != self.times:
            raise SystemExit(f"{path}: {self.old!r} is there {text.count(self.old)} times, expected {self.times}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Job:
    """A workspace that its edits start from: an example with `changes`, the files of another one, and some more."""

    name: str
    example: str
    changes: Sequence[Change]
    models_of: str | None = None
    files: tuple[tuple[str, str], ...] = ()

    def write(self, workspace: Path) -> None:
        kept_out = shutil.ignore_patterns(".ddbuild", "ddbuild-out", "__pycache__")
        shutil.copytree(EXAMPLES / self.example, workspace, ignore=kept_out)
        if self.models_of is not None:
            for name in ("models.py", "ddbuild.toml"):
                shutil.copy(EXAMPLES / self.models_of / name, workspace / name)
        for name, text in self.files:
            (workspace / name).write_text(text, encoding="utf-8")
        for change in self.changes:
            change.apply(workspace)


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing that somebody does between two builds of `job`; `moved` is to another folder, on another machine."""

    job: Job
    what: str
    changes: Sequence[Change] = ()
    moved: bool = False


JUDGE = Job(
    "judge",
    "judge",
    (
        Change("num_records=3", "num_records=12"),
        # Two costly columns in one stage: the second one reads the first.
        Change(
            """    config.add_column(
        dd.LLMJudgeColumnConfig(""",
            """    config.add_column(
        dd.LLMTextColumnConfig(name="answer", model_alias="judge", prompt="Answer in one sentence: {{ question }}")
    )
    config.add_column(
        dd.LLMJudgeColumnConfig(""",
        ),
        Change('{{ question }}",', '{{ question }}\\n\\n{{ answer }}",'),
    ),
)

EXPLODE = Job(
    "explode",
    "explode",
    (
        Change("PERSONAS = 100", "PERSONAS = 8"),
        Change("CONVERSATIONS_EACH = 10", "CONVERSATIONS_EACH = 3"),
        Change("from ddbuild import stage", "from ddbuild import stage\nfrom models import make_writer"),
        Change("model_configs=[]", "model_configs=[make_writer()]", times=2),
        Change(
            'dd.ExpressionColumnConfig(name="persona", expr="A {{ mood }} {{ job }}")',
            'dd.LLMTextColumnConfig(name="persona", model_alias="writer", prompt="Describe a {{ mood }} {{ job }}.")',
        ),
        Change(
            'dd.ExpressionColumnConfig(name="conversation", expr="{{ persona }} talks {{ place }} about {{ topic }}.")',
            'dd.LLMTextColumnConfig(name="conversation", model_alias="writer", '
            'prompt="Write what {{ persona }} says {{ place }} about {{ topic }}.")',
        ),
    ),
    models_of="judge",
)

SUBJECTS = ("bees", "bread", "bridges", "clouds", "rivers", "salt", "tides", "wool")
ANGLES = ("a mistake", "a record", "a recipe", "an inventor", "a song")
IDEAS = [f"{subject},{angle}" for angle in ANGLES for subject in SUBJECTS][:24]

FILTER = Job(
    "filter",
    "filter",
    (
        Change(
            "from ddbuild import stage", "from ddbuild import source, stage\nfrom models import make_judge, make_writer"
        ),
        Change("LOWEST_RATING = 7.0", "LOWEST_RATING = 3"),
        Change(
            """    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(pick("subject", "bees", "bread", "bridges", "clouds", "rivers"))
    config.add_column(pick("angle", "a mistake", "a record", "a recipe", "an inventor"))
""",
            "    config = dd.DataDesignerConfigBuilder(model_configs=[make_judge()])\n",
        ),
        Change(
            """        dd.SamplerColumnConfig(
            name="rating", sampler_type="uniform", params=dd.UniformSamplerParams(low=0, high=10, decimal_places=1)
        )
    )
""",
            """        dd.LLMJudgeColumnConfig(
            name="judgement",
            model_alias="judge",
            prompt="How clear is this idea?\\nIdea: {{ subject }}, {{ angle }}",
            scores=[dd.Score(name="clarity", description="How clear it is.", options={4: "a", 3: "b", 2: "c", 1: "d"})],
        )
    )
    config.add_column(dd.ExpressionColumnConfig(name="rating", expr="{{ judgement.clarity.score }}", dtype="int"))
""",
        ),
        Change("model_configs=[]", "model_configs=[make_writer()]"),
        Change('config.add_column(pick("reader", "a beginner", "a child", "an expert"))\n    ', ""),
        Change(
            'dd.ExpressionColumnConfig(name="article", expr="What {{ reader }} learns about {{ subject }} from '
            '{{ angle }}.")',
            'dd.LLMTextColumnConfig(name="article", model_alias="writer", '
            'prompt="Write about {{ subject }} and {{ angle }}.")',
        ),
        Change(
            'stage("ideas", config=ideas, num_records=200, on_success=keep_good)',
            'source("seeds", files="seeds.csv")\n'
            'stage("ideas", config=ideas, depends_on=[":seeds"], on_success=keep_good)',
        ),
    ),
    models_of="judge",
    files=(("seeds.csv", "\n".join(["subject,angle", *IDEAS, ""])),),
)

MULTI_TURN = Job("multi_turn", "multi_turn", (Change("num_records=2", "num_records=8"),))

SECOND_OPINION = Change(
    'stage("advice", config=advice, depends_on=[":opening"])\n',
    """stage("advice", config=advice, depends_on=[":opening"])


def second_opinion() -> dd.DataDesignerConfigBuilder:
    config = dd.DataDesignerConfigBuilder(model_configs=[make_expert()])
    config.add_column(
        dd.LLMTextColumnConfig(name="second_opinion", model_alias="expert", prompt="Say it differently: {{ opening }}")
    )
    return config


stage("second_opinion", config=second_opinion, depends_on=[":opening"])
""",
)
COMPARISON = Change(
    'transform("chats", make_chats, depends_on=[":follow_up"])',
    """transform("chats", make_chats, depends_on=[":follow_up"])


def comparison() -> dd.DataDesignerConfigBuilder:
    config = dd.DataDesignerConfigBuilder(model_configs=[make_expert()])
    config.add_column(
        dd.LLMTextColumnConfig(
            name="comparison", model_alias="expert", prompt="Which is better? {{ advice }} Or: {{ second_opinion }}"
        )
    )
    return config


stage(
    "comparison",
    config=comparison,
    depends_on=[":advice", ":second_opinion"],
    seed=join(":advice", ":second_opinion", on=["problem", "opening"]),
)
""",
)
TWO_PARENTS = Job(
    "multi_turn with a join",
    "multi_turn",
    (
        *MULTI_TURN.changes,
        Change("from ddbuild import stage, transform", "from ddbuild import join, stage, transform"),
        SECOND_OPINION,
        COMPARISON,
    ),
)

EDITS = (
    Edit(JUDGE, "nothing"),
    Edit(JUDGE, "a comment and a docstring", (Change('"""Keep the questions whose', '"""Keep (a comment) whose'),)),
    Edit(JUDGE, "the judge's prompt", (Change("How clear is this question", "How easy is this question"),)),
    Edit(JUDGE, "the judge's temperature", (Change("temperature=0.9", "temperature=0.7", "models.py"),)),
    Edit(JUDGE, "the callback's threshold", (Change("LOWEST_SCORE = 3", "LOWEST_SCORE = 2"),)),
    Edit(
        JUDGE,
        "a stage renamed",
        (Change('stage("questions"', 'stage("quiz"'), Change('depends_on=[":questions"]', 'depends_on=[":quiz"]')),
    ),
    Edit(
        JUDGE,
        "a model config that no column uses",
        (Change("model_configs=[make_judge()]", "model_configs=[make_judge(), make_writer()]"),),
    ),
    Edit(JUDGE, "more records: 12, then 15", (Change("num_records=12", "num_records=15"),)),
    Edit(JUDGE, "the expression below the judge", (Change(".clarity.score }}", ".clarity.score + 0 }}"),)),
    Edit(
        JUDGE,
        "a new column",
        (
            Change(
                '    config.add_column(dd.ExpressionColumnConfig(name="score"',
                "    config.add_column(\n"
                '        dd.LLMTextColumnConfig(name="hint", model_alias="judge", prompt="Hint at: {{ question }}")\n'
                '    )\n    config.add_column(dd.ExpressionColumnConfig(name="score"',
            ),
        ),
    ),
    Edit(EXPLODE, "more children each: 3, then 4", (Change("CONVERSATIONS_EACH = 3", "CONVERSATIONS_EACH = 4"),)),
    Edit(EXPLODE, "fewer children each: 3, then 2", (Change("CONVERSATIONS_EACH = 3", "CONVERSATIONS_EACH = 2"),)),
    Edit(
        EXPLODE, "the last stage's prompt", (Change("Write what {{ persona }} says", "Tell what {{ persona }} says"),)
    ),
    Edit(EXPLODE, "another machine and another folder", moved=True),
    Edit(FILTER, "the filter loosened", (Change("LOWEST_RATING = 3", "LOWEST_RATING = 2"),)),
    Edit(FILTER, "the filter tightened", (Change("LOWEST_RATING = 3", "LOWEST_RATING = 4"),)),
    Edit(FILTER, "a seed row appended", (Change(f"{IDEAS[-1]}\n", f"{IDEAS[-1]}\nsnow,a letter\n", "seeds.csv"),)),
    Edit(FILTER, "a seed row changed", (Change(f"\n{IDEAS[4]}\n", "\nsnow,a letter\n", "seeds.csv"),)),
    Edit(FILTER, "seed rows sorted", (Change("\n".join(IDEAS), "\n".join(sorted(IDEAS)), "seeds.csv"),)),
    Edit(MULTI_TURN, "a branch added", (SECOND_OPINION,)),
    Edit(
        MULTI_TURN, "the expert's model", (Change('EXPERT_MODEL = "smollm2"', 'EXPERT_MODEL = "larger"', "models.py"),)
    ),
    Edit(
        TWO_PARENTS,
        "parents listed in another order",
        (Change('depends_on=[":advice", ":second_opinion"]', 'depends_on=[":second_opinion", ":advice"]'),),
    ),
)
