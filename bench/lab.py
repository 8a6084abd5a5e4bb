"""How long a person waits in JupyterLab from opening a kernel to the first answer.

    python bench/lab.py [ROUNDS]

A real Jupyter server, its REST and websocket, the two kernels taking turns: ipykernel's,
and the same from a zygote that has torch loaded.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import websocket_connect

CODE = {
    "1 + 1": "1 + 1",
    "import torch": "import torch\nfloat(torch.ones(3).sum())",
}


async def first_reply(base: str, kernel: str, code: str) -> float:
    http = AsyncHTTPClient()
    begin = time.perf_counter()
    made = await http.fetch(
        f"http://{base}/api/kernels", method="POST", body=json.dumps({"name": kernel})
    )
    name = json.loads(made.body)["id"]
    socket = await websocket_connect(f"ws://{base}/api/kernels/{name}/channels")
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "bench"}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}}
    await socket.write_message(
        json.dumps(
            {
                "header": {**header, "username": "", "version": "5.3"},
                "parent_header": {},
                "metadata": {},
                "content": {**content, "allow_stdin": False, "stop_on_error": True},
                "channel": "shell",
            }
        )
    )
    while message := json.loads(await socket.read_message()):
        if message["msg_type"] == "execute_reply":
            assert message["content"]["status"] == "ok", message["content"]
            break
    seconds = time.perf_counter() - begin
    socket.close()
    await http.fetch(f"http://{base}/api/kernels/{name}", method="DELETE")
    return seconds


async def measure(base: str, rounds: int) -> None:
    for title, code in CODE.items():
        times: dict[str, list[float]] = {"stock": [], "warm": []}
        for round_ in range(rounds + 2):
            for kernel, found in times.items():
                seconds = await first_reply(base, kernel, code)
                if round_ >= 2:  # the first ones begin the zygote, and fill the file cache
                    found.append(seconds)
        stock, warm = (sorted(found)[rounds // 2] for found in times.values())
        row = f"{title:14}{stock * 1e3:10.0f}{warm * 1e3:10.0f}{stock / warm:8.1f}"
        print(row, flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory(prefix="nbl-") as name:
        folder = Path(name)
        env = {**os.environ, "XDG_RUNTIME_DIR": name, "JUPYTER_PATH": f"{name}/share/jupyter"}
        bin_ = Path(sys.executable).parent
        stock = [sys.executable, "-m", "ipykernel", "install", "--prefix", name, "--name", "stock"]
        install = [bin_ / "nbtools", "kernels", "install", "--prefix", name, "--name", "warm"]
        subprocess.run(stock, check=True, capture_output=True)
        subprocess.run([*install, "--preload", "torch"], check=True, capture_output=True)
        port = "8791"
        server = [bin_ / "jupyter", "server", "--port", port, "--no-browser", "--allow-root"]
        options = ["--IdentityProvider.token=", "--ServerApp.root_dir=" + name]
        options.append("--ServerApp.disable_check_xsrf=True")
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([*server, *options], env=env, stdout=log, stderr=log)
        try:
            time.sleep(4)
            print(f"median of {rounds}, ms: POST of the kernel to its first reply")
            print(f"{'first cell':14}{'ipykernel':>10}{'warm':>10}{'ratio':>8}")
            asyncio.run(measure(f"127.0.0.1:{port}", rounds))
        finally:
            process.terminate()
            process.wait()
            subprocess.run([bin_ / "nbtools", "kernels", "stop"], env=env, check=False)


if __name__ == "__main__":
    main()
