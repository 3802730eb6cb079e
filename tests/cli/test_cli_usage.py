import subprocess
import sys

import pytest

import ddbuild
from ddbuild.cli.arguments import arrange, is_pattern, unmark
from ddbuild.cli.main import COMMANDS

HEAVY = ("rich", "pydantic", "pyarrow", "pandas", "networkx", "data_designer", "asyncio", "yaml")


@pytest.mark.parametrize(
    ("typed", "arranged"),
    [
        ("//judged", "build //judged"),
        ("//judged -k", "build //judged -k"),
        ("-k //judged", "build -k //judged"),
        ("-j 4 //judged", "build -j 4 //judged"),
        ("-j4 //judged", "build -j4 //judged"),
        ("-kj 4 //judged", "build -kj 4 //judged"),
        ("--jobs=4 //judged", "build --jobs=4 //judged"),
        ("-C dir --json show //judged", "show -C dir --json //judged"),
        ("-C build build //judged", "build -C build //judged"),
        ("show //judged -n 3", "show //judged -n 3"),
        (":judged", "build :judged"),
        ("...", "build ..."),
        ("-//qa:slow //...", "build -//qa:slow //..."),
        ("build //... -- -//qa:slow", "build //... -- -//qa:slow"),
        ("-- //judged", "build -- //judged"),
        ("--json", "build --json"),
        ("help show", "show --help"),
        ("help", "--help"),
        ("--help", "--help"),
        ("--version", "--version"),
        ("", ""),
        ("judged -k", "judged -k"),
        ("-k judged", "judged -k"),
        ("-j", "build -j"),
    ],
)
def test_the_command_comes_first(typed, arranged):
    assert [unmark(word) for word in arrange(typed.split(), COMMANDS)] == arranged.split()


@pytest.mark.parametrize("word", ["-//a", "-:a", "-...", "-//..."])
def test_a_negative_pattern_does_not_look_like_an_option(word):
    assert is_pattern(word)
    assert not any(each.startswith("-") for each in arrange(["build", word], COMMANDS))


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands_and_is_no_error(tables, arguments):
    outcome = tables.run(*arguments)
    assert outcome.code == 0
    assert outcome.err == ""
    width = max(map(len, COMMANDS))
    for name, text in COMMANDS.items():
        assert f"  {name:<{width}}  {text}\n" in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_of_its_own(tables, command):
    outcome = tables.run(command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: ddbuild {command} ")
    assert tables.run("help", command) == outcome


def test_the_version_is_one_line(tables):
    assert tables.run("--version").out == f"ddbuild {ddbuild.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["-m"]])
def test_help_and_version_import_nothing_heavy(tables, arguments):
    code = (
        "import sys; from ddbuild.cli.main import run; run(sys.argv[1:]);"
        f"print(sorted(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *[each for each in arguments if each != "-m"]],
        cwd=tables.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["named"], "`named` is neither a command nor a label\n\nhint: did you mean `ddbuild //named`?"),
        (["namedd"], "`namedd` is neither a command nor a label\n\nhint: did you mean `ddbuild //named`?"),
        (["bulid2", "//named"], "`bulid2` is neither a command nor a label\n\nhint: did you mean `ddbuild build`?"),
        (
            ["xyzzy"],
            "`xyzzy` is neither a command nor a label\n\n"
            "hint: `ddbuild --help` lists the commands, `ddbuild query //...` the targets",
        ),
        (["//nmed"], "`//nmed` is not a target\n\nhint: did you mean `//named`?"),
        (
            ["build", "named"],
            "`named` is not a label\n\nhint: write `//named` from the workspace's root, or `:named` in its own package",
        ),
        (["build"], "no target was named\n\nhint: `ddbuild //...` builds everything"),
        (["plan"], "no target was named\n\nhint: `ddbuild plan //...` plans everything"),
        (["show"], "`ddbuild show` needs TARGET\n\nhint: `ddbuild show --help` tells more"),
        (["path"], "`ddbuild path` needs TARGET\n\nhint: `ddbuild path --help` tells more"),
        (["//named", "--jsn"], "`ddbuild build` has no option `--jsn`\n\nhint: did you mean `--json`?"),
        (
            ["//named", "-j", "0"],
            "`--jobs` must be a whole number of at least 1, got `0`\n\nhint: `ddbuild build --help` tells more",
        ),
        (
            ["show", "//named", "//doubled"],
            "got unexpected extra argument (//doubled)\n\nhint: `ddbuild show --help` tells more",
        ),
        (
            ["-//named"],
            "`-//named` only leaves targets out, and nothing says which to take\n\nhint: ddbuild //... -//named",
        ),
        (["//named", "-//named"], "`//named -//named` chooses no target"),
        (["-C", "nowhere", "//named"], "`nowhere` is not a folder\n  given by:  -C"),
    ],
)
def test_a_wrong_command_line_says_what_could_be_meant(tables, arguments, error):
    outcome = tables.run(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err == f"error: {error}\n"


def test_outside_of_a_workspace_the_first_step_is_told(tables, tmp_path):
    outcome = tables.run("//named", folder=tmp_path)
    assert outcome.code == 2
    assert outcome.err.endswith("hint: `ddbuild init` makes one here\n")


def test_python_m_is_the_same_program(tables):
    done = subprocess.run([sys.executable, "-m", "ddbuild", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"ddbuild {ddbuild.__version__}\n"


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("ddbuild //n", ["//named", "//numbers"]),
        ("ddbuild build //:d", ["//:doubled"]),
        ("ddbuild show //d", ["//doubled"]),
        ("ddbuild p", ["plan", "preview", "path"]),
        ("ddbuild build //named --js", ["--json"]),
    ],
)
def test_words_are_completed(tables, words, completed):
    process = tables.start(_DDBUILD_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    out, err = process.communicate(timeout=60)
    assert [line.split(",")[1] for line in out.splitlines()] == completed
    assert err == ""
