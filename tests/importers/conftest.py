"""W&B's history takes seconds to make: it is made once."""

import pytest

from tests import histories


@pytest.fixture(scope="session")
def wandb_history(tmp_path_factory):
    return histories.wandb(tmp_path_factory.mktemp("wandb"))
