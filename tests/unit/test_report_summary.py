import textwrap

from report_results import ROOT, make_build, make_target

from ddbuild.building.results import ActionRun
from ddbuild.cache.result import Usage
from ddbuild.errors import BuildError
from ddbuild.label import Label
from ddbuild.plan.decision import Reason
from ddbuild.report.ink import Ink
from ddbuild.report.summary import say_summary

COST = Usage(requests=24, input_tokens=3000, output_tokens=120)


def summarize(build, root=ROOT, **options):
    return say_summary(build, Ink(False), here=root, root=root, **options)


def lines(text):
    return textwrap.dedent(text).strip("\n")


def test_a_build_says_where_the_rows_are_and_what_was_saved():
    build = make_build(
        make_target("personas", "built", requested=False),
        make_target("questions", "hit", requested=False, saved=COST),
        make_target("judged", "built"),
    )
    assert summarize(build) == lines(
        """
        //judged: 10 rows in ddbuild-out/judged
        built 2, reused 1 (saved 24 LLM requests and 3,120 tokens) in 12.3 s
        """
    )


def test_nothing_to_do_is_one_line():
    assert summarize(make_build(make_target("judged", "hit"))) == (
        "//judged is up to date (10 rows, ddbuild-out/judged)"
    )


def test_one_of_everything_is_singular():
    build = make_build(make_target("a", "built", rows=1, usage=Usage(requests=1, output_tokens=1)))
    assert summarize(build) == lines(
        """
        //a: 1 row in ddbuild-out/a
        built 1 (1 LLM request and 1 token) in 12.3 s
        """
    )


def test_an_edited_callback_says_what_its_kept_rows_saved():
    runs = [ActionRun("generate", "hit"), ActionRun("callback", "ran", 0.1)]
    build = make_build(make_target("a", "built", actions=runs, saved=COST))
    assert summarize(build) == lines(
        """
        //a: 10 rows in ddbuild-out/a
        built 1 (saved 24 LLM requests and 3,120 tokens) in 12.3 s
        """
    )


def test_what_was_asked_and_what_was_saved_stand_apart():
    build = make_build(
        make_target("a", "built", usage=Usage(requests=2)), make_target("b", "hit", requested=False, saved=COST)
    )
    assert summarize(build) == lines(
        """
        //a: 10 rows in ddbuild-out/a
        built 1 (2 LLM requests), reused 1 (saved 24 LLM requests and 3,120 tokens) in 12.3 s
        """
    )


def test_many_targets_that_are_up_to_date_are_counted():
    build = make_build(*(make_target(f"t{number}", "hit") for number in range(12)))
    assert summarize(build) == "12 targets are up to date"


def test_many_old_ones_beside_a_new_one_are_counted():
    build = make_build(make_target("new", "built"), *(make_target(f"t{number}", "hit") for number in range(12)))
    assert summarize(build) == lines(
        """
        12 more targets are up to date
        //new: 10 rows in ddbuild-out/new
        built 1, reused 12 in 12.3 s
        """
    )


def test_lost_rows_are_said_with_their_reasons_even_of_a_hit_and_even_when_quiet():
    build = make_build(make_target("a", "hit", rows=8, asked=12, lost=[(3, "column `x`: too long"), (1, "no reason")]))
    text = "short: //a lost 4 of 12 requested rows: 3 column `x`: too long; 1 no reason"
    assert summarize(build) == f"//a is up to date (8 rows, ddbuild-out/a)\n{text}"
    assert summarize(build, quiet=True) == text


def test_quiet_and_well_is_silent():
    assert summarize(make_build(make_target("a", "built")), quiet=True) == ""


def test_a_failure_has_its_facts_its_hint_and_the_end_of_its_log(tmp_path):
    log = tmp_path / ".ddbuild" / "logs" / "judged.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(20)) + "\x1b[31m[train] red\x1b[0m\n")
    error = BuildError(
        "`//judged` lost too many rows", facts={"rows": "1 of 10", "log": str(log)}, hint="build again to try once more"
    )
    build = make_build(
        make_target("judged", "failed", error=error), make_target("next", "skipped", upstream=Label("", "judged"))
    )
    assert summarize(build, tmp_path) == lines(
        """
        error: `//judged` lost too many rows
          rows:  1 of 10

        hint: build again to try once more

        the last lines of .ddbuild/logs/judged.log
          line 11
          line 12
          line 13
          line 14
          line 15
          line 16
          line 17
          line 18
          line 19
          [train] red

        skipped: //next, because //judged failed
        failed 1, skipped 1 in 12.3 s
        """
    )


def test_an_empty_stage_names_what_was_not_made_of_it():
    build = make_build(
        make_target("a", "completed_empty", rows=0, requested=False),
        make_target("b", "skipped_empty_upstream", upstream=Label("", "a")),
        make_target("c", "skipped_empty_upstream", upstream=Label("", "a")),
    )
    assert summarize(build) == lines(
        """
        empty: //a has no rows, so nothing was made of //b and //c
        built 1, skipped 2 in 12.3 s
        """
    )


def test_an_interrupted_build_says_how_to_go_on():
    build = make_build(
        make_target("a", "built", requested=False),
        make_target("b", "interrupted", error=BuildError("the run was cancelled")),
        exit_code=8,
    )
    assert summarize(build) == lines(
        """
        built 1, interrupted 1 in 12.3 s
        interrupted: the same command goes on from here; finished batches are kept
        """
    )


def test_verbose_tells_the_steps_and_the_reasons():
    target = make_target(
        "a",
        "built",
        reasons=(Reason("callback", "keep", "x", "y"),),
        actions=[ActionRun("generate", "hit"), ActionRun("callback", "ran", 0.1)],
    )
    assert summarize(make_build(target), verbose=True) == lines(
        """
        //a: built; generate hit, callback ran (0.1 s)
          because callback `keep` changed
        //a: 10 rows in ddbuild-out/a
        built 1 in 12.3 s
        """
    )


def test_verbose_shows_where_a_callback_failed():
    error = BuildError("the callback of `//a` raised an error")
    error.__cause__ = KeyError("score")
    build = make_build(make_target("a", "failed", error=error, actions=[ActionRun("callback", "failed")]))
    assert "KeyError: 'score'" not in summarize(build)
    assert "KeyError: 'score'" in summarize(build, verbose=True)
