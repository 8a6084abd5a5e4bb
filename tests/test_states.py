from graphlib import TopologicalSorter

import pytest

from nbtools.states import AS_EXECUTION, MAY_FOLLOW, ExecutionState, JobState

ENDS = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}


def test_ends_are_ends():
    assert {state for state in JobState if state.final} == ENDS
    assert all(MAY_FOLLOW[state] == frozenset() for state in ENDS)


def test_nothing_goes_back():
    order = list(TopologicalSorter(MAY_FOLLOW).static_order())  # raises CycleError for a cycle
    assert set(order) == set(JobState)


@pytest.mark.parametrize("state", JobState)
def test_every_state_is_in_both_tables(state):
    assert state in MAY_FOLLOW
    assert isinstance(AS_EXECUTION[state], ExecutionState)


@pytest.mark.parametrize("state", sorted(set(JobState) - ENDS))
def test_every_state_that_is_no_end_may_end_anyhow(state):
    assert MAY_FOLLOW[state] >= ENDS


def test_an_end_reads_as_an_end_of_the_execution():
    going = {ExecutionState.NEW, ExecutionState.RUNNING}
    assert all((AS_EXECUTION[state] in going) == (not state.final) for state in JobState)
