"""What the engine can do, as the screens ask; nothing is executed here."""

from __future__ import annotations

from jupyter_scheduler.executors import ExecutionManager
from jupyter_scheduler.models import JobFeature


class Features(ExecutionManager):
    """Stands where jupyter-scheduler expects what executes a job."""

    def execute(self) -> None:
        """Never called: our executors do that."""
        raise NotImplementedError("jobs are executed by nbtools: see nbtools.executors")

    def supported_features(cls) -> dict[JobFeature, bool]:  # noqa: N805 - theirs, called so
        """Which parts of the screens mean something."""
        no = {
            JobFeature.email_notifications, JobFeature.timeout_seconds, JobFeature.max_retries,
            JobFeature.retry_on_timeout, JobFeature.min_retry_interval_millis,
            JobFeature.output_filename_template,
        }  # fmt: skip
        return {feature: feature not in no for feature in JobFeature}
