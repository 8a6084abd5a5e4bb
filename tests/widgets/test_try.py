import time
from tests.widgets.conftest import until
def test_it(lab, tmp_path):
    lab.open("train.ipynb", "import nbtools, time, math\nnbtools.init('digits')\nrun = nbtools.start_run('one')\nnbtools.log_params({'lr': 0.1, 'x<b>': '<img src=x onerror=alert(1)>'})\nview = nbtools.ui.run()",
      "for i in range(100000):\n    nbtools.log_time_series_metrics({'loss': math.exp(-i/3e4)+0.1*math.sin(i/50)*math.exp(-i/1e4), 'acc': float('nan') if 100<i<9000 else i/1e5}, step=i)\n    if i % 100 == 0: time.sleep(0.01)\n")
    lab.run_all(wait=False)
    p = lab.page
    try:
        p.wait_for_selector(".nbl-canvas")
        time.sleep(4)
        p.fill("[aria-label='new tag']", "good")
        p.click("text=Add tag")
        p.fill("[aria-label=note]", "a note")
        p.keyboard.press("Tab")
        p.wait_for_selector(".nbl-tag", timeout=10000)
        p.screenshot(path="/tmp/wshot1.png")
        p.click("text=End run"); p.click("text=End as COMPLETE?")
        time.sleep(3)
    finally:
        p.screenshot(path="/tmp/wshot2.png")
        print(lab.errors)
    nb = lab.saved("train.ipynb")
    for c in nb.cells:
        for o in c.outputs: print(str(o)[:600])
