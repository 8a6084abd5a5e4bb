"""numpy and torch in forked kernels: their threads, their random numbers, their memory."""

import os

import psutil
import pytest

from nbtools.kernels.zygotes import Zygotes
from nbtools.settings import Settings
from tests.kernels.conftest import children, until

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

WORK = """
import numpy, torch
a = torch.ones(1 << 20)
assert a.mul(2.0).sum().item() == 1 << 21
b = numpy.ones((400, 400))
assert (b @ b)[0, 0] == 400
m = torch.nn.Linear(64, 64)
m(torch.ones(512, 64)).sum().backward()
"""


def zygote(python_name):
    return next(s for s in Zygotes(Settings.load().runtime).list() if python_name in s.preload)


def test_parallel_work_in_each_child(kernel):
    for _ in range(2):
        assert kernel("warm-torch").run(WORK) == ""
    assert zygote("torch").refused == {}


@pytest.mark.parametrize("threads", ["1", "2"])
def test_threads_are_what_the_environment_says(kernel, threads):
    made = kernel("warm-torch", env={**os.environ, "OMP_NUM_THREADS": threads})
    code = "import torch; print(torch.get_num_threads())"
    assert made.run(code) == f"{threads}\n"
    made.run(WORK)
    code = "import threadpoolctl; print([p['num_threads'] for p in threadpoolctl.threadpool_info()"
    assert set(eval(made.run(f"import numpy\n{code} if p['user_api'] == 'openmp'])"))) == {
        int(threads)
    }


def test_openblas_works_after_it_was_loaded_in_the_zygote(kernel):
    made = kernel("warm-numpy")
    assert made.run("import numpy; a = numpy.ones((500, 500)); print((a @ a).sum())") == (
        f"{500.0**3}\n"
    )


ARROW = """
import pandas, pyarrow, pyarrow.compute, tempfile
table = pyarrow.table({"x": range(1 << 18), "y": [str(n) for n in range(1 << 18)]})
assert pyarrow.compute.sum(table["x"]).as_py() == sum(range(1 << 18))
with tempfile.TemporaryDirectory() as folder:
    table.to_pandas().to_parquet(f"{folder}/x.parquet")
    assert pandas.read_parquet(f"{folder}/x.parquet")["y"][7] == "7"
"""


def test_pyarrow_whose_allocator_has_a_thread_is_forked_and_works(kernel):
    for _ in range(2):
        assert kernel("warm-pyarrow").run(ARROW) == ""
    assert zygote("pyarrow").refused == {}


DRAW = """
import random, numpy, torch
print([random.random(), numpy.random.rand(), numpy.random.default_rng().random(),
       torch.rand(1).item(), torch.randperm(1000)[0].item(), torch.initial_seed() % 10**6])
random.seed(1); numpy.random.seed(1); _ = torch.manual_seed(1)
print([random.random(), numpy.random.rand(), torch.rand(1).item()])
"""


def test_random_numbers_differ_and_a_seed_gives_the_same(kernel):
    drawn = [list(map(eval, kernel("warm-torch").run(DRAW).splitlines())) for _ in range(2)]
    assert not set(drawn[0][0]) & set(drawn[1][0]), drawn
    assert drawn[0][1] == drawn[1][1]


LOADER = """
import torch
from torch.utils.data import DataLoader, Dataset
class Squares(Dataset):
    def __len__(self): return 8
    def __getitem__(self, i): return torch.tensor(i * i), torch.rand(1)
torch.manual_seed(0)
drawn = [batch for batch in DataLoader(Squares(), batch_size=2, num_workers=2{more})]
print(sorted(x for batch, _ in drawn for x in batch.tolist()))
assert len(set(x for _, r in drawn for x in r.flatten().tolist())) == 8
"""


@pytest.mark.parametrize("more", ["", ", multiprocessing_context='forkserver'"])
def test_a_data_loader_with_processes(kernel, more, tmp_path):
    code = LOADER.format(more=more)
    if more:  # a forkserver imports what it needs: the class must be in a module
        head, tail = code.split("torch.manual_seed(0)")
        (tmp_path / "squares.py").write_text(head)
        code = f"from squares import *\ntorch.manual_seed(0){tail}"
    assert kernel("warm-torch").run(code) == "[0, 1, 4, 9, 16, 25, 36, 49]\n"


POOLS = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('{method}')) as pool:
    print(sorted(pool.map(abs, [-1, -2])))
with ThreadPoolExecutor(2) as pool:
    print(sorted(pool.map(abs, [-3, -4])))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_and_threads_of_a_notebooks_own(kernel, method):
    assert kernel().run(POOLS.format(method=method)) == "[1, 2]\n[3, 4]\n"


def test_an_optimizer_teaches_the_zygote_what_it_imports(kernel):
    """Making one imports torch._dynamo, which takes longer than all else."""
    code = "import torch; _ = torch.optim.Adam([torch.zeros(1, requires_grad=True)])"
    loaded = "import sys; print('torch._dynamo' in sys.modules)"
    made = kernel("warm-torch")
    made.run(code)
    made.manager.shutdown_kernel()
    until(lambda: kernel("warm-torch").run(loaded) == "True\n")
    kernel("warm-torch").run(f"{code}\n{WORK}")


def test_eight_kernels_share_the_memory_that_torch_takes(kernel):
    made = [kernel("warm-torch") for _ in range(8)]
    for one in made:
        one.run(WORK)
    used = [psutil.Process(one.process.pid).memory_full_info() for one in made]
    alone = max(info.rss for info in used)
    together = sum(info.pss for info in used) + zygote("torch").memory
    assert together < 8 * alone / 2, (together, alone)


def test_cuda_is_left_alone_in_the_zygote(kernel):
    code = "import torch; print(torch.cuda.is_initialized(), torch.cuda._is_in_bad_fork())"
    assert kernel("warm-torch").run(code) == "False False\n"


def test_no_zombie_and_no_kernel_is_left(kernel):
    made = [kernel("warm-torch") for _ in range(3)]
    for one in made:
        one.manager.shutdown_kernel()
    found = children(zygote("torch").pid)
    assert not {one.process.pid for one in made if one.process} & set(found)
    assert "Z" not in found.values()
