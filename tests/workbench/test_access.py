"""Who may open JupyterLab: plans, and a gcloud that writes down what it is asked for."""

import os

import pytest

from nbtools.errors import RequestError
from nbtools.workbench import access

NAME = "projects/lab/locations/us-central1-a/instances/desk"


def instance(email="bot@robots.iam.gserviceaccount.com", **more):
    accounts = [{"email": email}] if email else []
    return {"name": NAME, "gceSetup": {"serviceAccounts": accounts}, **more}


def test_modes_are_read_from_what_the_service_shows():
    assert access.of(instance()).mode == access.SERVICE_ACCOUNT
    single = access.of(instance(instanceOwners=["a@b.org"]))
    assert (single.mode, single.owner) == (access.SINGLE_USER, "a@b.org")
    shown = instance()
    shown["gceSetup"]["metadata"] = {"proxy-mode": "mail", "proxy-user-mail": "c@d.org"}
    assert access.of(shown).owner == "c@d.org"
    assert access.of(shown).mode == access.SINGLE_USER


def test_a_plan_has_two_bindings_for_each_person_in_the_accounts_own_project():
    lines = [b.line for b in access.plan(access.of(instance()), ["a@b.org"])]
    assert lines == [
        "gcloud iam service-accounts add-iam-policy-binding bot@robots.iam.gserviceaccount.com "
        "--member user:a@b.org --role roles/iam.serviceAccountUser --project robots",
        "gcloud workbench instances add-iam-policy-binding desk --member user:a@b.org "
        "--role roles/notebooks.viewer --location us-central1-a --project lab",
    ]
    manage = access.plan(access.of(instance()), ["a@b.org", "c@d.org"], "manage")
    assert [b.role for b in manage][1::2] == ["roles/notebooks.admin"] * 2


def test_what_no_binding_can_do_is_said():
    single = access.of(instance(instanceOwners=["a@b.org"]))
    with pytest.raises(RequestError, match="desk is a@b.org's alone, .* cannot be changed"):
        access.plan(single, ["x@b.org"])
    assert len(access.plan(single, ["a@b.org"])) == 2  # one who is not its creator needs them
    with pytest.raises(RequestError, match="default service account"):
        access.plan(access.of(instance(email="")), ["a@b.org"])
    for nobody in ("group:all@b.org", "allUsers", "a b@c.org"):
        with pytest.raises(RequestError, match="is no e-mail address"):
            access.plan(access.of(instance()), [nobody])


@pytest.fixture
def gcloud(tmp_path, monkeypatch):
    """A gcloud that refuses the role that a file names."""
    program = tmp_path / "bin" / "gcloud"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f"refused=$(cat {tmp_path}/refused 2>/dev/null || echo nothing)\n"
        'case "$*" in *$refused*) echo "PERMISSION_DENIED: no" >&2; exit 1;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_what_is_carried_out_is_the_plan_word_by_word(gcloud):
    plan = access.plan(access.of(instance()), ["a@b.org"])
    access.apply(plan)
    asked = (gcloud / "asked").read_text().splitlines()
    assert [f"gcloud {line}" for line in asked] == [f"{b.line} --quiet" for b in plan]


def test_a_refusal_ends_it_and_says_what_was_granted(gcloud):
    (gcloud / "refused").write_text("roles/notebooks.viewer")
    plan = access.plan(access.of(instance()), ["a@b.org", "c@d.org"])
    with pytest.raises(RequestError, match="^1 of 4 granted; gcloud .*: PERMISSION_DENIED: no$"):
        access.apply(plan)
    assert len((gcloud / "asked").read_text().splitlines()) == 2


def test_without_gcloud_nothing_is_granted(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RequestError, match="gcloud is not on PATH"):
        access.apply(access.plan(access.of(instance()), ["a@b.org"]))
