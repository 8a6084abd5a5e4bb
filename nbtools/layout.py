"""Where the nodes of a graph go: in layers, each behind what leads to it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)

#: how often the order within the layers is improved; more changes little.
SWEEPS = 8


def layers(nodes: Sequence[Node], edges: Iterable[tuple[Node, Node]]) -> list[list[Node]]:
    """The nodes in layers, from what comes first to what comes of it.

    Every edge leads to a later layer, but those that close a circle. Within a layer, nodes
    stand near what they are joined to, so that few edges cross.
    """
    forward: dict[Node, list[Node]] = {node: [] for node in nodes}
    back: dict[Node, list[Node]] = {node: [] for node in nodes}
    for source, target in dict.fromkeys(edges):
        if source != target:
            forward[source].append(target)
            back[target].append(source)
    depth = _depths(nodes, forward, back)
    found: list[list[Node]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        found[depth[node]].append(node)
    return _ordered([layer for layer in found if layer], forward, back)


def _depths(
    nodes: Sequence[Node], forward: dict[Node, list[Node]], back: dict[Node, list[Node]]
) -> dict[Node, int]:
    """How far each is from where things begin; then beginnings move up to what they are for."""
    waits = {node: len(back[node]) for node in nodes}
    depth: dict[Node, int] = {}
    pending = dict.fromkeys(nodes)
    ready = [node for node in nodes if not waits[node]]
    while pending:
        if not ready:  # a circle: it is opened where most of what leads there is placed
            ready = [min(pending, key=lambda node: waits[node])]
        node = ready.pop()
        if node not in pending:
            continue
        del pending[node]
        depth[node] = max((depth[b] + 1 for b in back[node] if b in depth), default=0)
        for target in forward[node]:
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    for node in nodes:
        later = [depth[target] for target in forward[node] if depth[target] > depth[node]]
        if not back[node] and later:
            depth[node] = min(later) - 1
    return depth


def _ordered(
    found: list[list[Node]], forward: dict[Node, list[Node]], back: dict[Node, list[Node]]
) -> list[list[Node]]:
    """Each layer sorted by the middle of what its nodes are joined to, there and back."""
    place = {node: _height(i, layer) for layer in found for i, node in enumerate(layer)}
    for sweep in range(SWEEPS):
        there = sweep % 2 == 0
        joined = back if there else forward
        for layer in found if there else found[::-1]:
            middle = {
                node: sum(place[other] for other in joined[node]) / len(joined[node])
                if joined[node]
                else place[node]
                for node in layer
            }
            layer.sort(key=lambda node: middle[node])
            place.update({node: _height(i, layer) for i, node in enumerate(layer)})
    return found


def _height(index: int, layer: Sequence[Node]) -> float:
    """Layers are centred, so that heights in one mean something in the next."""
    return index - (len(layer) - 1) / 2
