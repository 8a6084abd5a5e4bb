"""TensorBoard for runs: a writer whose scalars are logged too, and a profiler.

    import nbtools.tensorboard

    with nbtools.tensorboard.writer() as writer:         # torch's SummaryWriter
        writer.add_scalar("loss", 0.3, step)             # in the event file, and in the run
        writer.add_histogram("weights", weights, step)   # in the event file

    with nbtools.tensorboard.profile() as profiler:
        for batch in batches:
            train(batch)
            profiler.step()

Both write to the run's own folder, which `nbtools tb` opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtools import experiments, registry
from nbtools.mirrors.tensorboard import FOLDER
from nbtools.nouns import place
from nbtools.settings import Settings

if TYPE_CHECKING:
    from nbtools.open_run import OpenRun
    from nbtools.run_writer import RunWriter


def writer(
    run: OpenRun | None = None, log_dir: str | Path | None = None, flush_secs: float = 10.0
) -> RunWriter:
    """A `torch.utils.tensorboard.SummaryWriter` of `run`, the current one by default.

    It writes to the run's folder, or to `log_dir`. Where that is a URI, as gs://bucket/logs,
    it writes to the run's folder all the same, and whole files are shipped to the URI, in
    the background. `flush_secs` is how many seconds an event waits at most.

    Raises StateError when there is no run, MissingDependency without torch or tensorboard,
    RequestError for a URI that fsspec does not know.
    """
    registry.need("torch")
    registry.need("tensorboard")
    from nbtools.run_writer import RunWriter

    run = run or experiments._current()
    folder = log_folder(run)
    shipping = None
    if log_dir is not None and "://" in str(log_dir):
        from nbtools.shipment import Shipment, Shipping

        shipping = Shipping(Shipment.make(Settings.load().store, folder, str(log_dir)))
    elif log_dir is not None:
        target = place(log_dir)
        target.mkdir(parents=True, exist_ok=True)
        if not folder.exists():  # so that what lies there is found from the run
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.symlink_to(target)
        folder = target
    return RunWriter(run, folder, flush_secs, shipping)


def log_folder(run: OpenRun | None = None) -> Path:
    """Where the event files and traces of `run` lie. Raises StateError when there is no run."""
    # Not output_path(FOLDER): that refuses a link to a log_dir elsewhere, which it may be.
    return (run or experiments._current()).output_path(".") / FOLDER


@contextmanager
def profile(
    run: OpenRun | None = None,
    schedule: Callable[[int], Any] | None = None,
    stacks: bool = False,
) -> Iterator[Any]:
    """A `torch.profiler.profile` of what happens inside, as a trace in the run's folder.

    It looks at the CPU, at each accelerator that there is, and at memory, and with `stacks`
    at the lines of source, which takes its time. `schedule` says which steps
    (`torch.profiler.schedule`); without one, all. TensorBoard shows the trace with
    torch-tb-profiler. Raises StateError when there is no run, MissingDependency without torch.
    """
    torch = registry.need("torch.profiler").profiler
    handler = torch.tensorboard_trace_handler(str(log_folder(run)))
    with torch.profile(
        activities=torch.supported_activities(),
        schedule=schedule or (lambda _: torch.ProfilerAction.RECORD),  # else no steps are named
        on_trace_ready=handler,
        record_shapes=True,
        profile_memory=True,
        with_stack=stacks,
    ) as profiler:
        yield profiler
