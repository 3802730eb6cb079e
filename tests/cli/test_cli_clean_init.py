import pytest


def test_clean_removes_what_a_build_has_put_there(tables):
    tables.run("//...")
    log = tables.write(".ddbuild/logs/x.log", "line")
    outcome = tables.run("clean")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "removed ddbuild-out, .ddbuild/logs and .ddbuild/materialized\n"
    assert not (tables.root / "ddbuild-out").exists()
    assert not log.exists()
    assert tables.run("clean").err == "there is nothing to remove\n"


def test_after_a_clean_the_rows_come_back_from_the_cache(tables):
    tables.run("//named")
    tables.run("clean")
    assert tables.run("//named").err == "//named is up to date (3 rows, ddbuild-out/named)\n"
    assert (tables.root / "ddbuild-out" / "named" / "data.parquet").is_file()


def test_clean_keeps_a_linked_output_folder(tables, tmp_path):
    (tmp_path / "disk").mkdir()
    (tables.root / "ddbuild-out").symlink_to(tmp_path / "disk")
    tables.run("//named")
    tables.run("clean")
    assert (tables.root / "ddbuild-out").is_symlink()
    assert list((tmp_path / "disk").iterdir()) == []


def test_clean_does_not_guess_what_a_target_is_for(tables, lines):
    outcome = tables.run("clean", "//named")
    assert outcome.code == 2
    assert outcome.err == lines(
        """
        error: `clean` cleans the whole workspace, and a target was named

        hint: `ddbuild clean --cache //named` drops its result from this machine's cache
        """
    )


def test_clean_cache_drops_the_results_of_targets(tables, lines):
    tables.run("//...")
    assert tables.run("clean", "--cache", "//named").err == "//named: 1 result dropped\n"
    assert tables.run("clean", "--cache", "//named").err == "//named: no result dropped\n"
    assert tables.run("plan", "//named").out == lines(
        """
        hit        //doubled  3 rows
        stale      //named    its result is not in the cache any more

        1 of 2 targets to build
        """
    )


def test_init_writes_a_workspace_and_says_what_to_type(tables, tmp_path, lines):
    outcome = tables.run("init", "my first", folder=tmp_path)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == lines(
        """
        wrote my first/ddbuild.toml
        wrote my first/BUILD.py
        wrote my first/.gitignore

        try:
          cd 'my first' && ddbuild //...
        """
    )


def test_init_overwrites_nothing(tables):
    outcome = tables.run("init")
    assert outcome.code == 2
    assert outcome.err.startswith("error: `ddbuild.toml` is there already, and nothing is overwritten\n")


def test_init_in_the_current_folder_needs_no_cd(tables, tmp_path):
    folder = tmp_path / "fresh"
    folder.mkdir()
    assert tables.run("init", folder=folder).err.endswith("try:\n  ddbuild //...\n")


@pytest.mark.real
def test_what_init_writes_builds_at_once_without_a_key(tables, tmp_path):
    tables.run("init", "fresh", folder=tmp_path)
    outcome = tables.run("//...", folder=tmp_path / "fresh")
    assert outcome.code == 0
    assert outcome.err.endswith("built 2 in T s\n")
