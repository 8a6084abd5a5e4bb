"""What somebody is told who asks for Google's side and has not said where that is."""

import os
import subprocess
import sys
from pathlib import Path

from tests.live.conftest import NEEDED


def test_without_the_variables_one_sentence_is_said():
    env = {key: value for key, value in os.environ.items() if key not in NEEDED}
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "live", "-p", "no:cacheprovider", str(here)],
        env=env, cwd=here.parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4  # pytest's: it was called wrongly
    assert done.stderr.strip() == (
        "ERROR: tests on Google's side need GOOGLE_CLOUD_PROJECT and NBTOOLS_LIVE_BUCKET in the "
        "environment: see docs/emulator.md"
    )
