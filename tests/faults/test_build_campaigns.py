"""Several machines build on one shared folder, with the true Data Designer, in processes that may die at any moment.

Nothing that is kept is ever damaged, and no row of a child comes from another run of its parent than the one that
it is kept with.
"""

import random
import signal
import time
from collections import Counter

import pytest

from faults.build_support import (
    TOKENS,
    Builders,
    Machine,
    check_results,
    count_lines,
    find_damage,
    find_mismatches,
    open_tiers,
)

pytestmark = pytest.mark.real

ROWS = 4
MOST_CALLS = 700
MOST_SECONDS = 1.0
FAMILY = {"base": (), "left": ("base",), "right": ("base",), "both": ("left", "right"), "last": ("both",)}
FAMILY_FILES = {
    "ddbuild.toml": "[designer]\nbuffer_size = 2\nmax_concurrent_row_groups = 1\n",
    "tokens.py": TOKENS,
    "BUILD.py": f"""
        from ddbuild import stage, transform
        from tokens import make_join, make_stage

        stage("base", config=make_stage("base"), num_records={ROWS})
        stage("left", config=make_stage("left", "base"), depends_on=[":base"])
        stage("right", config=make_stage("right", "base"), depends_on=[":base"])
        transform("both", make_join("both", ["left", "right"]), depends_on=[":left", ":right"])
        stage("last", config=make_stage("last", "both"), depends_on=[":both"])
        """,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    builders = Builders(tmp_path_factory.mktemp("builders"))
    yield builders
    builders.close()


@pytest.fixture
def builders(server):
    yield server
    server.stop_all()


def make_machines(folder, count, files, pause=0.0):
    return [
        Machine(folder / f"machine {n}", files, shared=folder / "team", calls=folder / "calls", pause=pause)
        for n in range(count)
    ]


def write_rows(machines, prefix, count):
    for machine in machines:
        machine.write("rows.csv", "row\n" + "".join(f"{prefix}.{n}\n" for n in range(count)))


def tables_of(machine, names):
    return {name: machine.rows(name) for name in names}


class Campaign:
    """Kills builds until `wanted` have died; each round has new rows, so that there is something to do.

    One half dies by the clock, at any moment; the other before a call by which the cache changes the disk.
    """

    def __init__(self, builders, machines, wanted, seed):
        self.builders = builders
        self.machines = {f"machine {n}": machine for n, machine in enumerate(machines)}
        self.wanted = wanted
        self.chance = random.Random(seed)
        self.kills = self.rounds = self.builds = 0

    def run(self):
        while self.kills < self.wanted:
            self.rounds += 1
            write_rows(self.machines.values(), f"round {self.rounds}", ROWS)
            self.run_round()

    def run_round(self):
        ends = {name: self.start(name) for name in self.machines}
        while ends:
            now = time.monotonic()
            for name in [name for name, end in ends.items() if end <= now]:
                self.builders.kill(name)
                ends[name] = float("inf")
            ended = self.builders.wait(min(*ends.values(), now + 60) - now)
            if ended is None:
                continue
            name, code = ended
            del ends[name]
            if code == -signal.SIGKILL:
                self.kills += 1
                ends[name] = self.start(name)
            else:
                machine = self.machines[name]
                assert code == 0, machine.errors
                assert find_mismatches(FAMILY, tables_of(machine, FAMILY)) == []
                self.builds += 1

    def start(self, name):
        """Start a build, and return when it is to be killed."""
        chance, dies_at, end = self.chance, None, float("inf")
        if self.kills < self.wanted:
            if chance.random() < 0.5:
                dies_at = chance.randrange(MOST_CALLS)
            else:
                end = time.monotonic() + chance.uniform(0.05, MOST_SECONDS)
        self.builders.start(name, self.machines[name], "//...", leases=chance.random() < 0.7, dies_at=dies_at)
        return end


@pytest.mark.parametrize(
    ("kills", "seed"), [pytest.param(8, 1, id="8 kills"), pytest.param(200, 2, id="200 kills", marks=pytest.mark.soak)]
)
def test_killed_builds_leave_whole_results_whose_rows_belong_together(tmp_path, builders, kills, seed):
    machines = make_machines(tmp_path, 4, FAMILY_FILES, pause=0.02)
    before = builders.deaths
    campaign = Campaign(builders, machines, kills, seed)
    campaign.run()
    tiers = open_tiers(machines, tmp_path / "team")
    assert find_damage(tiers) == []
    assert builders.run(machines[0], "cache", "verify")["ok"]
    compared, mismatches = check_results(tiers, FAMILY)
    assert mismatches == []
    assert compared >= campaign.rounds * 5
    # A last build everywhere, and by one who comes anew: all have the very same rows.
    newcomer = Machine(tmp_path / "newcomer", FAMILY_FILES, shared=tmp_path / "team", calls=tmp_path / "late calls")
    write_rows([newcomer], f"round {campaign.rounds}", ROWS)
    for machine in (newcomer, *machines):
        assert builders.run(machine, "//...")["ok"]
        assert tables_of(machine, FAMILY) == tables_of(newcomer, FAMILY)
    assert not count_lines(tmp_path / "late calls"), "all was kept in the shared folder"
    deaths = builders.deaths - before
    if kills > 100:
        assert len(deaths) > 5, "hardly anybody has died in the middle of a change"
    print(f"{campaign.kills} kills, {deaths.total()} in a call: {dict(deaths.most_common())}")
    print(f"{campaign.rounds} rounds, {campaign.builds} builds that got through, {compared} pairs of results compared")


PAIR = {"base": (), "left": ("base",)}
PAIR_BUILD = """
    from ddbuild import stage
    from tokens import make_stage

    stage("base", config=make_stage("base"), num_records=6)
    stage("left", config=make_stage("left", "base"), depends_on=[":base"])
    """


@pytest.mark.parametrize(
    ("damaged", "made_again"), [("seed.parquet", 6), ("dataset/parquet-files/batch_00001.parquet", 4), (None, 2)]
)
def test_what_a_power_failure_has_cut_off_of_an_interrupted_stage_is_made_again(
    tmp_path, builders, damaged, made_again
):
    (machine,) = make_machines(tmp_path, 1, FAMILY_FILES | {"BUILD.py": PAIR_BUILD})
    write_rows([machine], "row", 6)
    builders.run(machine, "//base")
    machine.environment["PAUSE"] = "0.1"
    builders.start("left", machine, "//left")
    batches = machine.folder / "cache/v1/work"
    while not list(batches.glob("*/attempt-*/dataset/parquet-files/batch_00001.parquet")):
        assert builders.wait(0.01) is None, machine.errors
    builders.kill("left")
    assert builders.wait() == ("left", -signal.SIGKILL)
    assert not list(batches.glob("*/attempt-*/dataset/parquet-files/batch_00002.parquet"))
    if damaged is not None:
        (file,) = batches.glob(f"*/attempt-*/{damaged}")
        file.write_bytes(file.read_bytes()[:-20])
    (tmp_path / "calls").unlink()
    builders.run(machine, "//...")
    assert count_lines(tmp_path / "calls").total() == made_again
    assert find_mismatches(PAIR, tables_of(machine, PAIR)) == []


def make_grid(columns, layers):
    """Return a graph of `columns` chains of stages, each chain ending in a transform of it and its neighbour."""
    parents = {}
    lines = ["from ddbuild import stage, transform", "from tokens import make_join, make_stage", ""]
    for column in range(columns):
        for layer in range(layers - 1):
            name = f"s{column}x{layer}"
            above = f"s{column}x{layer - 1}" if layer else None
            parents[name] = (above,) if above else ()
            rest = f'depends_on=[":{above}"]' if above else "num_records=2"
            lines.append(f"stage({name!r}, config=make_stage({name!r}, {above!r}), {rest})")
    for column in range(columns):
        ends = [f"s{each % columns}x{layers - 2}" for each in (column, column + 1)]
        parents[f"t{column}"] = tuple(ends)
        lines.append(
            f"transform('t{column}', make_join('t{column}', {ends}), depends_on={[f':{end}' for end in ends]})"
        )
    return parents, {"ddbuild.toml": "", "tokens.py": TOKENS, "BUILD.py": "\n".join(lines)}


@pytest.mark.parametrize("leases", [True, False], ids=["with leases", "without leases"])
@pytest.mark.parametrize(
    ("processes", "columns", "layers"),
    [
        pytest.param(4, 3, 3, id="4 processes, 9 targets"),
        pytest.param(8, 8, 5, id="8 processes, 40 targets", marks=pytest.mark.soak),
    ],
)
def test_many_processes_build_one_graph_in_one_folder(tmp_path, builders, processes, columns, layers, leases):
    parents, files = make_grid(columns, layers)
    machines = make_machines(tmp_path, processes, files, pause=0.02)
    write_rows(machines, "row", 2)
    for number, machine in enumerate(machines):
        builders.start(str(number), machine, "//...", leases=leases)
    codes = dict(builders.wait() for _ in machines)
    assert set(codes.values()) == {0}, [machine.errors for machine in machines]
    for machine in machines:
        assert tables_of(machine, parents) == tables_of(machines[0], parents)
    assert find_mismatches(parents, tables_of(machines[0], parents)) == []
    tiers = open_tiers(machines, tmp_path / "team")
    assert find_damage(tiers) == []
    assert check_results(tiers, parents)[1] == []
    calls = count_lines(tmp_path / "calls")
    of_names = Counter(line.partition(" ")[0] for line in calls)
    assert of_names.keys() == parents.keys()
    if leases:
        assert set(calls.values()) == {1}
        assert of_names == {name: 1 if name.startswith("t") else 2 for name in parents}
    else:
        needed = 2 * len(parents) - columns
        assert calls.total() >= needed
        if processes > 4:
            assert calls.total() > needed, "nobody has raced anybody"
