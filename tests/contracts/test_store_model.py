"""The store against a model of plain Python: any sequence of calls ends the same in both."""

import json
import shutil
import tempfile
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nbtools import care
from nbtools.errors import AlreadyExists, NotFound
from nbtools.nouns import Artifact, Context, Event, Execution
from nbtools.store import Store

KINDS = st.sampled_from([Context, Execution, Artifact])
NAMES = st.sampled_from(["a", "a-b", "b", "ü%", "A_"])
TITLES = st.sampled_from(["system.Model", "t"])
NUMBERS = st.floats() | st.integers(-(2**53), 2**53)
METADATA = st.dictionaries(
    st.sampled_from(["x", "_params", "$float", "ö"]),
    NUMBERS | st.text(max_size=5) | st.none() | st.lists(st.booleans(), max_size=2),
    max_size=3,
)
START = datetime(2024, 1, 1, tzinfo=UTC)


def said(value):
    """As text, in which a NaN is like another."""
    if isinstance(value, list):
        return [said(one) for one in value]
    return json.dumps(asdict(value), default=str, sort_keys=True)


def series(points):
    """As text; a zero has no sign, which SQLite does not keep."""
    return {
        key: [repr((step, time, value + 0.0)) for step, time, value in sorted(points[key])]
        for key in sorted(points)
    }


class Stop(Exception):
    """What ends a transaction."""


class Model(RuleBasedStateMachine):
    """`records` are by kind and name, edges are sets, points by context, key and step."""

    @initialize(on_disk=st.booleans())
    def begin(self, on_disk):
        self.folder = Path(tempfile.mkdtemp()) if on_disk else None
        self.store, self.now = Store(self.folder), START
        self.records, self.events, self.points = {}, {}, {}
        self.children, self.members = set(), set()

    def teardown(self):
        self.store.close()
        if self.folder:
            assert not [c for c in care.check(self.folder) if c.mend]
            shutil.rmtree(self.folder)

    def tick(self):
        self.now += timedelta(microseconds=1)
        return self.now

    @rule(
        kind=KINDS, name=NAMES, title=TITLES, metadata=METADATA, display=st.text("ab", max_size=2)
    )
    def add(self, kind, name, title, metadata, display):
        record, now = (
            kind(name=name, schema_title=title, metadata=metadata, display_name=display),
            self.tick(),
        )
        if (kind, name) in self.records:
            with pytest.raises(AlreadyExists):
                self.store.add(record, now)
        else:
            self.records[kind, name] = replace(record, create_time=now, update_time=now, etag=1)
            assert said(self.store.add(record, now)) == said(self.records[kind, name])

    @rule(kind=KINDS, name=NAMES, metadata=METADATA)
    def put(self, kind, name, metadata):
        now, old = self.tick(), self.records.get((kind, name))
        new = replace(
            kind(name=name, schema_title="t", metadata=metadata),
            create_time=old.create_time if old else now,
            update_time=now,
            etag=old.etag + 1 if old else 1,
        )
        self.store.put(kind(name=name, schema_title="t", metadata=metadata), now)
        self.records[kind, name] = new

    @rule(kind=KINDS, name=NAMES, display=st.text("ab", max_size=2))
    def amend(self, kind, name, display):
        now, old = self.tick(), self.records.get((kind, name))

        def change(record):
            return replace(record, display_name=display)

        if old is None:
            with pytest.raises(NotFound):
                self.store.amend(kind, name, change, now)
            return
        self.store.amend(kind, name, change, now)
        if display != old.display_name:
            new = replace(change(old), update_time=now, etag=old.etag + 1)
            self.records[kind, name] = new

    @rule(execution=NAMES, artifact=NAMES, type=st.sampled_from(["INPUT", "OUTPUT"]))
    def add_event(self, execution, artifact, type):
        now = self.tick()
        event = Event(execution=execution, artifact=artifact, type=type)
        if {(Execution, execution), (Artifact, artifact)} <= self.records.keys():
            self.store.add_event(event, now)
            self.events.setdefault((execution, artifact, type), replace(event, time=now))
        else:
            with pytest.raises(NotFound):
                self.store.add_event(event, now)

    @rule(parent=NAMES, child=NAMES)
    def add_child(self, parent, child):
        if {(Context, parent), (Context, child)} <= self.records.keys():
            self.store.add_child(parent, child)
            self.children.add((parent, child))
        else:
            with pytest.raises(NotFound):
                self.store.add_child(parent, child)

    @rule(context=NAMES, kind=st.sampled_from([Execution, Artifact]), name=NAMES)
    def associate(self, context, kind, name):
        names = {kind.__name__.lower(): name}
        if {(Context, context), (kind, name)} <= self.records.keys():
            self.store.associate(context, **names)
            self.members.add((context, kind, name))
        else:
            with pytest.raises(NotFound):
                self.store.associate(context, **names)

    @rule(
        context=NAMES, key=st.sampled_from(["loss", "ä"]),
        steps=st.dictionaries(st.integers(-5, 5), st.floats(), min_size=1, max_size=4),
    )  # fmt: skip
    def add_points(self, context, key, steps):
        points = [(step, 1.5, value) for step, value in steps.items()]
        if (Context, context) in self.records:
            self.store.add_points(context, key, points)
            known = self.points.setdefault(context, {}).setdefault(key, {})
            known |= {step: (step, 1.5, value) for step, value in steps.items()}
        else:
            with pytest.raises(NotFound):
                self.store.add_points(context, key, points)

    @rule(kind=KINDS, name=NAMES)
    def nothing_stays_of_a_transaction_that_fails(self, kind, name):
        with pytest.raises(Stop), self.store.write():
            self.store.put(kind(name=name, schema_title="gone"), self.tick())
            self.store.put(kind(name="gone", schema_title="gone"), self.tick())
            raise Stop

    @rule()
    def open_again(self):
        if self.folder:
            self.store.close()
            self.store = Store(self.folder)

    @rule(
        kind=KINDS, title=st.sampled_from(["", "t"]), prefix=st.sampled_from(["", "a", "ü%", "_"]),
        display=st.sampled_from(["", "a"]), limit=st.sampled_from([-1, 1, 2]),
    )  # fmt: skip
    def select(self, kind, title, prefix, display, limit):
        found = self.store.select(kind, title, prefix=prefix, display_name=display, limit=limit)
        known = [
            r for r in self.listed(kind)
            if (not title or r.schema_title == title)
            and r.name.startswith(prefix) and (not display or r.display_name == display)
        ]  # fmt: skip
        assert said(found) == said(known[:limit] if limit >= 0 else known)

    def listed(self, kind):
        own = [r for (k, _), r in self.records.items() if k is kind]
        return sorted(own, key=lambda r: (r.create_time, r.name), reverse=True)

    @invariant()
    def the_store_is_as_the_model(self):
        if not hasattr(self, "store"):
            return
        for kind in (Context, Execution, Artifact):
            assert said(self.store.select(kind)) == said(self.listed(kind))
        for context in (r.name for r in self.listed(Context)):
            children = {c.name for c in self.store.select(Context, parent=context)}
            assert children == {c for p, c in self.children if p == context}
            for kind in (Execution, Artifact):
                inside = {r.name for r in self.store.select(kind, context=context)}
                assert inside == {n for c, k, n in self.members if (c, k) == (context, kind)}
            known = {
                key: [steps[step] for step in sorted(steps)]
                for key, steps in sorted(self.points.get(context, {}).items())
            }
            assert series(self.store.points(context)) == series(known)
        for kind, side in ((Execution, "execution"), (Artifact, "artifact")):
            for record in self.listed(kind):
                found = self.store.events(**{side: record.name})
                known = [e for e in self.events.values() if getattr(e, side) == record.name]
                assert found == sorted(known, key=lambda e: e.time)


TestStoreModel = Model.TestCase
TestStoreModel.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
