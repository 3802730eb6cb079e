import pytest

from ddbuild.errors import GraphError, Location, UsageError
from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.query import run_query
from ddbuild.graph.targets import Concat, Join, Source, Stage, Transform
from ddbuild.label import Label, parse_label, parse_pattern


def label(text):
    return parse_label(text)


def make_graph(**parents):
    """A graph of transforms: `make_graph(b="a")`; names with `__` are packages."""
    graph = TargetGraph()
    for name, needs in parents.items():
        package, _, short = name.rpartition("__")
        own = Label(package.replace("__", "/"), short)
        depends_on = tuple(label(need if need.startswith("//") else f"//:{need}") for need in needs.split())
        graph.add(Transform(label=own, function=len, depends_on=depends_on, location=Location("BUILD.py", 7)))
    graph.validate()
    return graph


def names(labels):
    return [str(each) for each in labels]


def test_parents_come_before_children_and_ties_are_always_in_one_order():
    graph = make_graph(d="b c", c="a", b="a", a="")
    assert names(graph.sort(graph.targets)) == ["//:a", "//:b", "//:c", "//:d"]


def test_a_cycle_is_drawn_as_a_chain_of_arrows():
    with pytest.raises(GraphError) as caught:
        make_graph(a="c", b="a", c="b")
    assert caught.value.facts["cycle"] in {
        "//:a -> //:c -> //:b -> //:a",
        "//:b -> //:a -> //:c -> //:b",
        "//:c -> //:b -> //:a -> //:c",
    }


def test_a_target_that_needs_itself_is_a_cycle():
    with pytest.raises(GraphError) as caught:
        make_graph(a="a")
    assert caught.value.facts["cycle"] == "//:a -> //:a"


def test_an_unknown_parent_is_an_error_with_place_and_suggestion():
    with pytest.raises(GraphError) as caught:
        make_graph(personas="", judged="persona")
    assert str(caught.value) == (
        "`//:judged` needs `//:persona`, which no build file defines\n"
        "  needed by:   //:judged\n"
        "  build file:  BUILD.py:7\n"
        "\n"
        "hint: did you mean `//personas`?"
    )


def test_two_targets_of_one_label_are_an_error_with_both_places():
    graph = TargetGraph()
    graph.add(Source(label=label("//:a"), files=("x",), location=Location("BUILD.py", 3)))
    with pytest.raises(GraphError) as caught:
        graph.add(Source(label=label("//:a"), files=("y",), location=Location("BUILD.py", 9)))
    assert caught.value.facts == {"first": "BUILD.py:3", "second": "BUILD.py:9"}


def test_a_short_label_means_the_root_target_or_the_package_of_that_name():
    graph = make_graph(judged="", qa__qa="")
    assert names(graph.resolve([parse_pattern("//judged"), parse_pattern("//qa")])) == ["//:judged", "//qa:qa"]


def test_a_short_label_that_could_be_two_is_an_error_that_names_both():
    graph = make_graph(qa="", qa__qa="")
    with pytest.raises(UsageError) as caught:
        graph.resolve([parse_pattern("//qa")])
    assert caught.value.facts == {"in the root": "//:qa", "in the package": "//qa:qa"}
    assert names(graph.resolve([parse_pattern("//qa:qa")])) == ["//qa:qa"]


def test_a_short_label_in_depends_on_is_resolved_too():
    graph = make_graph(personas="", judged="//personas")
    assert names(graph.parents(label("//:judged"))) == ["//:personas"]


def test_seeds_are_parents_and_are_resolved():
    graph = TargetGraph()
    for name in ("a", "b", "c"):
        graph.add(Transform(label=Label("", name), function=len))
    a, b, c = (parse_label(f"//{name}") for name in "abc")
    graph.add(Stage(label=Label("", "one"), config=None, depends_on=(a,), seed=Concat((a, b))))
    graph.add(Stage(label=Label("", "two"), config=None, seed=Join((b, c), on=("id",))))
    graph.add(Stage(label=Label("", "three"), config=None, seed=c))
    graph.validate()
    assert names(graph.parents(Label("", "one"))) == ["//:a", "//:b"]
    assert names(graph.parents(Label("", "two"))) == ["//:b", "//:c"]
    assert names(graph.parents(Label("", "three"))) == ["//:c"]
    assert not graph[Label("", "one")].seed.parents[0].short


def test_patterns_choose_packages_and_leave_out():
    graph = make_graph(a="", qa__b="", qa__hard__c="", qax__d="")
    choose = lambda *texts: names(graph.resolve(map(parse_pattern, texts)))
    assert choose("//...") == ["//:a", "//qa:b", "//qa/hard:c", "//qax:d"]
    assert choose("//qa/...") == ["//qa:b", "//qa/hard:c"]
    assert choose("//qa:all") == ["//qa:b"]
    assert choose("//...", "-//qa/...") == ["//:a", "//qax:d"]
    assert choose("-//:a", "//...") == ["//qa:b", "//qa/hard:c", "//qax:d"]


def test_a_pattern_that_chooses_nothing_is_an_error():
    with pytest.raises(UsageError, match="chooses no target") as caught:
        make_graph(qa__b="").resolve([parse_pattern("//qaa/...")])
    assert caught.value.hint == "did you mean `//qa/...`?"


def test_queries():
    graph = make_graph(a="", b="a", c="b", d="a", e="")
    run = lambda text: [each.name for each in run_query(graph, text)]
    assert run("deps(//c)") == ["a", "b", "c"]
    assert run("rdeps(//a)") == ["a", "b", "c", "d"]
    assert run("rdeps(//a) ^ deps(//c)") == ["a", "b", "c"]
    assert run("//... - deps(//c)") == ["d", "e"]
    assert run("(//b + //d) - //d") == ["b"]
    assert run("deps(rdeps(//d))") == ["a", "d"]


@pytest.mark.parametrize("text", ["", "deps(", "deps(//a", "deps()", "//a //b", ")", "nope(//a)", "//a +", "+ //a"])
def test_a_malformed_query_is_an_error(text):
    with pytest.raises(UsageError):
        run_query(make_graph(a="", b="a"), text)


def test_a_chain_of_ten_thousand_targets_is_no_deeper_than_one():
    graph = TargetGraph()
    for position in range(10_000):
        needs = (Label("", f"t{position - 1}"),) if position else ()
        graph.add(Transform(label=Label("", f"t{position}"), function=len, depends_on=needs))
    graph.validate()
    assert len(graph.ancestors([Label("", "t9999")])) == 10_000
    assert graph.sort(graph.targets)[-1] == Label("", "t9999")
