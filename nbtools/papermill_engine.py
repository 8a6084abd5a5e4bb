"""papermill's engine of the name `nbtools`.

`papermill --engine nbtools IN OUT` gives what papermill gives, sooner, and keeps what was
done when it is killed: the transcript `OUT.transcript` is there until OUT is written.
papermill imports this file whenever it is imported itself, so it imports little.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from papermill.engines import NBClientEngine

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from nbtools.progress import Progress


class Engine(NBClientEngine):  # type: ignore[misc]
    """papermill's engine of the name `nbtools`."""

    @classmethod
    def execute_notebook(
        cls,
        nb: NotebookNode,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool | dict[str, Any] = True,
        log_output: bool = False,
        autosave_cell_every: float = 30,  # noqa: ARG003 - the transcript is always up to date
        **options: Any,
    ) -> Any:
        """Execute `nb`; papermill writes it to `output_path` afterwards."""
        from nbtools.progress import Progress

        path = _transcript(output_path)
        progress = Progress(
            nb, path, output_path=output_path, progress_bar=progress_bar, log_output=log_output
        )
        progress.notebook_start()
        try:
            cls.execute_managed_notebook(progress, kernel_name, log_output=log_output, **options)
        finally:
            progress.notebook_complete()
            super(Progress, progress).save()  # papermill writes nothing when its engine raises
            if path:
                path.unlink()
        return progress.nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Progress,
        kernel_name: str,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: float = 60,
        execution_timeout: float | None = None,
        **options: Any,
    ) -> None:
        """Execute the cells of a notebook that papermill has prepared."""
        from jupyter_core.utils import run_sync
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        from nbtools.client import Client, Echo, Stopped
        from nbtools.kernel import Launch
        from nbtools.kernels.preload import imports
        from nbtools.settings import Settings
        from nbtools.states import JobState

        settings = Settings.load()
        options.pop("input_path", None)
        more = {k: v for k, v in options.items() if k not in ("timeout", "startup_timeout")}
        launch = Launch(
            kernel=kernel_name,
            warm=settings.warm,
            preload=settings.preload or imports(nb_man.nb, Path.cwd()),
            startup_timeout=start_timeout,
            options={**more, "timeout": execution_timeout or options.get("timeout")},
        )
        client = Client(nb_man, launch, _nothing, _nothing)
        client.echo = Echo(log_output, {"stdout": stdout_file, "stderr": stderr_file})
        try:
            run_sync(client.run_cells)()
        except Stopped as stopped:
            if isinstance(stopped.__cause__, CellExecutionError):
                return  # papermill finds the error in the cell, and raises it itself
            if isinstance(stopped.__cause__, DeadKernelError):
                raise DeadKernelError(str(stopped)) from None
            if stopped.state is JobState.CANCELLED:
                raise KeyboardInterrupt(str(stopped)) from None
            raise RuntimeError(str(stopped)) from stopped


def _transcript(output_path: str | None) -> Path | None:
    """Beside the output, where that is a file on this machine."""
    from papermill.iorw import LocalHandler, papermill_io

    handler = papermill_io.get_handler(output_path) if output_path else None
    if not isinstance(handler, LocalHandler):
        return None
    return Path(handler._cwd or "", f"{output_path}.transcript")


def _nothing(*_: object) -> None:
    """Nobody watches, and no limit is set."""
