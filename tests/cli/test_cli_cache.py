import io
import json
import os
import re
import stat
import sys
import time

import pytest

from ddbuild.cache import Tier
from ddbuild.cache.stats import list_results
from ddbuild.report import ticker
from ddbuild.report.quantities import parse_age, parse_size, say_age, say_size


def cache_folder(workspace):
    return workspace.home / ".cache/ddbuild"


def blobs(folder):
    return [path for path in (folder / "v1/cas").rglob("*") if path.is_file()]


def let_time_pass(folder, days, names=("actions", "uses")):
    """Make what was published and used be so old."""
    for path in [path for name in names for path in (folder / "v1" / name).rglob("*") if path.is_file()]:
        when = time.time() - days * 86_400
        os.utime(path, (when, when))


def neutral(text):
    text = re.sub(r"\b[0-9a-f]{12}\b(?!@)", "KEY", text)
    text = re.sub(r"\b\d+(\.\d)? (B|KiB)", "SIZE", text)
    return re.sub(r"\S+@\S+", "WHO", text)


# Numbers and lists


def test_stats_say_how_much_each_cache_holds(tables):
    tables.run("//...")
    outcome = tables.run("cache", "stats")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"local cache  {cache_folder(tables)}\n  results")
    assert re.search(r"\n  results +3\n  blobs +3  \d+\.\d KiB\n  unreferenced +0 B\n", outcome.out)
    document = json.loads(tables.run("cache", "stats", "--json").out)
    (tier,) = document["tiers"]
    assert (document["schema"], tier["tier"], tier["results"], tier["blobs"], tier["leases"]) == (1, "local", 3, 3, 0)
    assert tier["bytes"] == sum(path.stat().st_size for path in blobs(cache_folder(tables)))


def test_stats_need_no_workspace_and_no_cache(tables, tmp_path):
    outcome = tables.run("cache", "stats", folder=tmp_path)
    assert outcome.code == 0
    assert "nothing there" in outcome.out


def test_ls_lists_the_results_of_this_workspace(tables):
    tables.run("//...")
    outcome = tables.run("cache", "ls", "//named")
    assert (outcome.code, outcome.err) == (0, "")
    head, line = neutral(outcome.out).splitlines()
    assert head.split() == ["label", "step", "rows", "size", "age", "origin", "made", "by", "in", "key"]
    assert re.fullmatch(r"//named +transform +3 +SIZE +\d+ s +computed +WHO +local +KEY", line)
    labels = [each["label"] for each in json.loads(tables.run("cache", "ls", "--json").out)["results"]]
    assert sorted(labels) == ["//:doubled", "//:named", "//:numbers"]


def test_ls_leaves_out_other_workspaces_unless_all_are_asked_for(tables):
    tables.run("//...")
    tables.write("BUILD.py", 'from ddbuild import source\nsource("other", files="numbers.csv")\n')
    outcome = tables.run("cache", "ls")
    assert (outcome.out, outcome.err) == ("", "no results are kept; `--all` lists those of other workspaces too\n")
    assert tables.run("cache", "ls", "--all").out.count("\n") == 4
    outcome = tables.run("cache", "ls", "--all", "//other")
    assert outcome.code == 2 and "`--all` is everything" in outcome.err


def test_ls_is_safe_for_a_terminal(tables):
    tables.run("//numbers")
    tier = Tier(cache_folder(tables), "local")
    key = list_results(tier)[0].facts.key
    result = tier.read_action(key)
    evil = result.provenance.model_copy(update={"label": "//:a\x1b[2J\nb", "user": "\x1b]0;x\x07u", "host": "h\r"})
    tier.replace_action(key, result.model_copy(update={"provenance": evil}))
    out = tables.run("cache", "ls", "--all").out
    assert "\x1b" not in out and "\r" not in out and len(out.splitlines()) == 2


# Damage


def test_whole_cache_is_told_to_be_whole(tables):
    tables.run("//...")
    outcome = tables.run("cache", "verify")
    assert (outcome.code, outcome.out) == (0, "")
    assert re.fullmatch(r"local: 3 results, 3 blobs, SIZE: no damage\n", neutral(outcome.err))


def test_damage_is_exit_code_3_and_repair_mends_it(tables):
    tables.run("//...")
    victim = max(blobs(cache_folder(tables)), key=lambda path: path.stat().st_size)
    victim.chmod(0o644)
    victim.write_bytes(b"X" * victim.stat().st_size)
    outcome = tables.run("cache", "verify")
    assert outcome.code == 3
    assert "its bytes are others" in outcome.err
    assert "`ddbuild cache verify --repair` mends what can be mended" in outcome.err
    document = json.loads(tables.run("cache", "verify", "--json").out)
    assert (document["ok"], document["exit_code"]) == (False, 3)
    assert [each["kind"] for each in document["tiers"][0]["damage"]] == ["blob"]
    outcome = tables.run("cache", "verify", "--repair")
    assert outcome.code == 0
    assert "quarantined" in outcome.err and "removed" in outcome.err
    assert tables.run("cache", "verify").code == 0
    tables.run("clean")
    assert tables.run("//...").code == 0
    assert tables.run("cache", "verify").code == 0


def test_repair_takes_good_bytes_from_the_team(tables, tmp_path):
    tables.write("ddbuild.toml", f'[cache]\nshared = "{tmp_path}/team"\n')
    tables.run("//...")
    victim = blobs(cache_folder(tables))[0]
    victim.chmod(0o644)
    victim.write_bytes(b"")
    outcome = tables.run("cache", "verify", "--repair")
    assert outcome.code == 0
    assert "healed" in outcome.err and "removed" not in outcome.err
    assert tables.run("cache", "verify", "--tier", "local").code == 0


def test_shared_cache_that_is_not_there_is_no_success_where_it_was_named(tables):
    assert tables.run("cache", "verify", "--tier", "shared").code == 2
    outcome = tables.run("cache", "verify", "--tier", "shared", "--shared-cache", "/nowhere/team")
    assert outcome.code == 3
    assert "is not there" in outcome.err


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), "\rone\rtwo\r   \r"), (io.StringIO(), "one\ntwo\n")])
def test_progress_is_drawn_over_on_a_terminal_and_nowhere_else(monkeypatch, stream, shown):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    for name in ("_FRAME_SECONDS", "_LINE_SECONDS"):
        monkeypatch.setattr(ticker, name, 0.0)
    with ticker.Ticker(quiet=False) as line:
        line.show("one")
        line.show("two")
    with ticker.Ticker(quiet=True) as line:
        line.show("nothing")
    assert stream.getvalue() == shown


# Garbage


def test_gc_removes_what_is_old_and_a_build_makes_it_again(tables):
    tables.run("//...")
    let_time_pass(cache_folder(tables), 40)
    dry = tables.run("cache", "gc", "--older-than", "30d", "--dry-run", "--grace", "0")
    assert dry.code == 0
    assert "//named  3 rows" in dry.err and "would remove 3 results" in dry.err
    assert len(blobs(cache_folder(tables))) == 3
    outcome = tables.run("cache", "gc", "--older-than", "30d", "--grace", "0")
    assert outcome.code == 0
    assert re.search(r"local: removed 3 results.* and 3 blobs", outcome.err)
    assert blobs(cache_folder(tables)) == []
    assert "stale      //numbers  its result is not in the cache any more" in tables.run("plan", "//named").out
    tables.run("clean")
    assert tables.run("//named").code == 0
    assert tables.run("cache", "verify").code == 0


def test_gc_takes_nothing_that_was_just_built(tables):
    tables.run("//...")
    document = json.loads(tables.run("cache", "gc", "--max-size", "0", "--json").out)
    assert document["tiers"][0]["results"] == []
    assert document["tiers"][0]["excess_bytes"] > 0


def test_build_that_finds_all_there_makes_its_results_young_again(tables):
    tables.run("//named")
    let_time_pass(cache_folder(tables), 40)
    tables.write("ddbuild.toml", "# something to load the workspace for\n")
    assert "is up to date" in tables.run("//named").err
    outcome = tables.run("cache", "gc", "--older-than", "30d", "--grace", "0")
    assert "removed 0 results" in outcome.err


def test_pinned_target_and_what_it_was_made_from_stay(tables):
    tables.run("//...")
    outcome = tables.run("cache", "pin", "//doubled")
    assert outcome.code == 0
    assert outcome.err == "//doubled: pinned in the local cache (2 results in all)\n"
    let_time_pass(cache_folder(tables), 400)
    outcome = tables.run("cache", "gc", "--max-size", "0", "--grace", "0")
    assert "removed 1 result" in outcome.err and "2 of them pinned" in outcome.err
    assert "more than asked for" in outcome.err
    assert "//doubled (pinned)" in tables.run("cache", "ls").out
    assert tables.run("cache", "unpin", "//doubled").err == "//doubled: 1 pin removed\n"
    assert tables.run("cache", "unpin", "//doubled").err == "//doubled: not pinned from here\n"
    assert "removed 2 results" in tables.run("cache", "gc", "--max-size", "0", "--grace", "0").err


def test_pins_of_others_are_told_and_left(tables):
    tables.run("//...")
    tables.run("cache", "pin", "//named")
    (pin,) = (cache_folder(tables) / "v1/pins").iterdir()
    pin.rename(pin.with_name(pin.name.split(".")[0] + ".000000000000.json"))
    outcome = tables.run("cache", "unpin", "//named")
    assert outcome.err == "//named: not pinned from here; 1 pin of others hold, and `--anyone` removes them\n"
    assert tables.run("cache", "unpin", "//named", "--anyone").err == "//named: 1 pin removed\n"


def test_stale_target_cannot_be_pinned(tables):
    outcome = tables.run("cache", "pin", "//named")
    assert outcome.code == 1
    assert "hint: build it first: `ddbuild //named`" in outcome.err


def test_team_cache_that_is_only_read_is_left_alone(tables, tmp_path):
    tables.write("ddbuild.toml", f'[cache]\nshared = "{tmp_path}/team"\n')
    tables.run("//...")
    let_time_pass(tmp_path / "team", 40, ["actions"])
    outcome = tables.run("cache", "gc", "--older-than", "30d", "--shared-mode", "ro")
    assert "shared: only to be read, nothing was removed" in outcome.err
    assert tables.run("cache", "gc", "--tier", "shared", "--shared-mode", "ro").code == 3
    assert tables.run("cache", "gc", "--older-than", "30d", "--tier", "shared").err.startswith("shared: removed 0")
    let_time_pass(tmp_path / "team", 40)
    assert "shared: removed 3 results" in tables.run("cache", "gc", "--older-than", "30d", "--tier", "shared").err


# Mistakes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gc", "--max-size", "lots"], "error: `--max-size` must be a size such as 10G or 500M, got `lots`"),
        (["gc", "--older-than", "30"], "error: `--older-than` must be an age such as 30d or 12h, got `30`"),
        (["gc", "--older-than", "-1d"], "error: `--older-than` must be an age such as 30d or 12h, got `-1d`"),
        (["gc", "--grace", "1 year"], "error: `--grace` must be an age such as 30d or 12h, got `1 year`"),
        (["gx"], "error: `gx` is no subcommand of `ddbuild cache`"),
        ([], "error: `ddbuild cache` needs a subcommand"),
        (["--json"], "error: `ddbuild cache` needs a subcommand"),
        (["pin"], "error: `ddbuild cache pin` needs TARGET"),
        (["stats", "--tier", "shared"], "error: there is no shared cache"),
    ],
)
def test_mistakes_are_told_and_are_exit_code_2(tables, words, said):
    outcome = tables.run("cache", *words)
    assert outcome.code == 2
    assert outcome.err.splitlines()[0] == said


def test_options_may_come_before_the_subcommand(tables, tmp_path):
    outcome = tables.run("-C", tables.root, "cache", "--json", "stats", folder=tmp_path)
    assert outcome.code == 0
    assert json.loads(outcome.out)["tiers"][0]["tier"] == "local"


def test_help_lists_the_subcommands(tables):
    outcome = tables.run("cache", "--help")
    assert outcome.code == 0
    assert "  gc      Remove what is old, too much, or needed by nobody.\n" in outcome.out


@pytest.mark.parametrize(
    ("text", "size"),
    [("10G", 10 << 30), ("500M", 500 << 20), ("1.5GiB", 3 << 29), ("0", 0), ("7", 7), ("2 kb", 2048), ("1T", 1 << 40)],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "1E", "1GG", "ten", "1,5G", "inf", "nan", "1e9"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("1.5m", 90), ("2w", 1_209_600), ("0", 0), ("90 s", 90)]
)
def test_ages_are_read(text, seconds):
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "30", "-1d", "1y", "1dd", "inf d", "9" * 400 + "d"])
def test_what_is_no_age_is_refused(text):
    with pytest.raises(ValueError):
        parse_age(text)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_048_575, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 62, "4096.0 PiB"),
    ],
)
def test_sizes_are_said(size, said):
    assert say_size(size) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (90_000, "25 h"), (864_000, "10 days")],
)
def test_ages_are_said(seconds, said):
    assert say_age(seconds) == said


# Keys


def test_keygen_writes_a_key_and_prints_its_public_half(tables, lines):
    outcome = tables.run("keygen")
    assert outcome.code == 0
    public = outcome.out.strip()
    assert re.fullmatch(r"ed25519:[A-Za-z0-9+/]{43}=", public)
    path = tables.home / ".config/ddbuild/signing-key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f'  trusted_keys = ["{public}"]\n' in outcome.err
    again = tables.run("keygen")
    assert (again.code, again.out) == (2, "")
    assert "hint: `ddbuild keygen --show` prints its public key" in again.err
    assert tables.run("keygen", "--show").out.strip() == public


def test_a_team_that_signs_shares_and_takes_nothing_else(tables, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tables.home / "config"))
    public = tables.run("keygen", "-q").out.strip()
    team = tmp_path / "team"
    signed = f'[cache]\nshared = "{team}"\ntrust = "signed"\ntrusted_keys = ["{public}"]\n'
    tables.write("ddbuild.toml", signed.replace('trust = "signed"\n', ""))
    tables.run("//numbers")  # unsigned, as somebody else may have put it there
    tables.write("ddbuild.toml", signed)
    outcome = tables.run("//named", "--cache-dir", tmp_path / "fresh")
    assert "has results that no trusted key has signed; none is used" in outcome.err
    assert "built 3 in" in outcome.err
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tables.home / "nothing"))
    outcome = tables.run("plan", "//named", "--cache-dir", tmp_path / "another", "--json")
    assert [each["status"] for each in json.loads(outcome.out)["targets"]] == ["hit"]
    assert outcome.err == ""
