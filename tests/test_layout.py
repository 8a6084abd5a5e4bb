"""Layers: an edge leads on, whatever the graph; only what closes a circle leads back."""

from hypothesis import given
from hypothesis import strategies as st

from nbtools.layout import layers

NODES = list(range(8))
EDGES = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=24)


def place(found):
    return {node: number for number, layer in enumerate(found) for node in layer}


@given(EDGES)
def test_every_node_has_one_place_even_in_circles(edges):
    found = layers(NODES, edges)
    assert sorted(node for layer in found for node in layer) == NODES
    assert all(found)


@given(EDGES)
def test_without_circles_every_edge_leads_on(edges):
    acyclic = [(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]]
    at = place(layers(NODES, acyclic))
    assert all(at[source] < at[target] for source, target in acyclic)


def test_a_beginning_stands_just_before_what_it_is_for():
    at = place(layers("abcdx", [("a", "b"), ("b", "c"), ("c", "d"), ("x", "d")]))
    assert at == {"a": 0, "b": 1, "c": 2, "x": 2, "d": 3}


def test_edges_that_need_not_cross_do_not():
    found = layers("abcABC", [("a", "C"), ("b", "B"), ("c", "A")])
    assert [found[0].index(x) for x in "abc"] == [found[1].index(x) for x in "CBA"]


def test_nothing_at_all():
    assert layers([], []) == []
