"""`nbtools workbench`, of the emulator and of Google's service: the same commands."""

import os

import pytest

pytestmark = pytest.mark.slow


def test_a_list_and_a_plan_are_read(side):
    here = side.nbtools("workbench", "instances", "list")
    assert all("/instances/" in instance["name"] for instance in here)
    assert all("spec" in plan for plan in side.nbtools("workbench", "migrate", "--plan"))


@pytest.mark.parametrize("verb", ["show", "start", "upgrade"])
def test_one_that_is_not_there_is_said(side, verb):
    words = ("workbench", "instances", verb, side.new("none")[:60], "--location", side.zone)
    assert "not found" in side.nbtools(*words, code=2)


@pytest.mark.live  # the emulator has no machines, and knows none of their types
def test_a_request_is_read_and_what_no_machine_is_is_refused(googles):
    """It costs nothing, for nothing is created."""
    at = (googles.new("none"), "--location", googles.zone)
    words = ("workbench", "instances", "create", *at, "--machine-type", "n1-standard-3")
    said = googles.nbtools(*words, code=2)
    assert "n1-standard-3" in said


def test_a_template_is_created_shown_and_deleted(side):
    name = side.new("template")
    (side.folder / "t.yaml").write_text(
        f"display_name: {name}\nmachine_type: e2-standard-4\nidle_shutdown: 2h\n"
    )
    at = ("--location", side.location)
    made = side.nbtools("workbench", "templates", "create", "t.yaml", *at)
    try:
        shown = side.nbtools("workbench", "templates", "show", made["name"], *at)
        assert shown["idleShutdownConfig"]["idleTimeout"] == "7200s"
        listed = side.nbtools("workbench", "templates", "list", *at)
        assert name in [template["displayName"] for template in listed]
    finally:
        side.nbtools("workbench", "templates", "delete", made["name"], *at, "--yes")


def test_an_instance_is_created_and_deleted(side):
    if side.name == "vertex" and os.environ.get("NBTOOLS_LIVE_MACHINES") != "1":
        pytest.skip("a machine costs money: NBTOOLS_LIVE_MACHINES=1")
    name = side.new("desk")
    at = (name, "--location", side.zone)
    words = ("--machine-type", "e2-standard-2", "--idle-shutdown", "30m", "--label", "made-by=test")
    try:
        made = side.nbtools("workbench", "instances", "create", *at, *words)
        assert made["state"] == "ACTIVE"
        assert made["gceSetup"]["metadata"]["idle-timeout-seconds"] == "1800"
        assert made["labels"]["made-by"] == "test"
        opened = side.nbtools("workbench", "instances", "open", *at, "--print")
        assert "notebooks.googleusercontent.com" in opened["url"]
        assert "ACTIVE" in side.nbtools("workbench", "instances", "start", *at, code=2)
        stopped = side.nbtools("workbench", "instances", "stop", *at)
        assert stopped["state"] == "STOPPED"
    finally:
        side.nbtools("workbench", "instances", "delete", *at, "--yes")
    assert "not found" in side.nbtools("workbench", "instances", "show", *at, code=2)
