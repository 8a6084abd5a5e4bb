"""The screens themselves: a real JupyterLab, clicked through in a real browser."""

import shutil
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from nbtools.nouns import utc_now
from nbtools.store import Store
from tests.lab.conftest import TOKEN, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page(server):
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, "these tests need Chromium: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 1100})
        page.set_default_timeout(45_000)
        page.dialogs = []
        page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
        page.add_init_script("window.alert = () => { window.hacked = true; };")
        for name in ("browsed.ipynb", "evil.ipynb"):
            server.write(name, "print(lr)", "import nbtools\nnbtools.log_params({'a': 1})")
        page.goto(f"{server.url}/lab?reset&token={TOKEN}")
        page.wait_for_selector(".jp-LauncherCard:has-text('nbtools Jobs')")
        yield page
        browser.close()


def create(page, notebook, name, schedule=False):
    """Fill in the form that "Create Job" of a notebook's menu opens."""
    page.locator(".jp-DirListing-item", has_text=notebook).click(button="right")
    page.locator(".lm-Menu-itemLabel", has_text="Create Job").click()
    page.fill("input[name=jobName]", name)
    page.get_by_title("Add new parameter").click()
    page.fill("input[name=parameter-0-name]", "lr")
    page.fill("input[name=parameter-0-value]", "0.25")
    page.press("input[name=parameter-0-value]", "Tab")
    if schedule:
        page.get_by_label("Run on a schedule").check()
    page.get_by_role("button", name="Create", exact=True).click()


def row(page, name):
    """The row of a list that has that name; the screens never look by themselves."""
    with suppress(Exception):  # the list is just being drawn again
        page.get_by_role("button", name="Reload", exact=True).click(timeout=2000)
    return page.locator("tr", has_text=name)


def shows(page, name, text):
    until(f"{name} shows {text}", lambda: row(page, name).filter(has_text=text).count())
    return page.locator("tr", has_text=name)


def test_a_job_is_created_watched_and_its_notebook_downloaded_and_opened(server, page):
    create(page, "browsed.ipynb", "Browsed")
    found = shows(page, "Browsed", "Completed")
    found.get_by_role("button", name="Download").click()
    link = page.locator("tr", has_text="Browsed").get_by_text("Notebook", exact=True)
    until("the link is there", lambda: row(page, "Browsed") and link.count())
    link.click()
    page.wait_for_selector(".jp-NotebookPanel .jp-OutputArea-output:has-text('0.25')")
    page.locator(".lm-TabBar-tab.lm-mod-current .lm-TabBar-tabCloseIcon").last.click()


def test_a_job_is_stopped_and_deleted(server, page):
    name, _ = server.waiting("clicked")
    id_ = server.create(name, name="Clicked")
    found = shows(page, "Clicked", "In progress")
    found.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop", exact=True).last.click()
    assert server.ended(id_)["status"] == "STOPPED"
    shows(page, "Clicked", "Stopped").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).last.click()
    until("it is gone", lambda: not [j for j in server.jobs() if j["job_id"] == id_])


def test_a_schedule_is_made_and_fires(server, page):
    create(page, "browsed.ipynb", "Every day", schedule=True)
    page.wait_for_selector("tr:has-text('Every day')")
    with closing(Store(server.store)) as store, store.write():
        schedule = store.timetable.find("every-day")
        store.timetable.put(replace(schedule, next_run_time=utc_now()))
    page.get_by_role("link", name="Every day").or_(page.get_by_text("Every day")).first.click()
    found = until("it has fired", lambda: server.jobs("?name=every"))
    assert server.ended(found[0]["job_id"])["status"] == "COMPLETED"


def test_markup_in_names_values_and_outputs_stays_text(server, page):
    server.write("evil.ipynb", f"print({EVIL!r}, flush=True)", f"raise ValueError({EVIL!r})",
                 parameters="lr: str = 'a'")  # fmt: skip
    id_ = server.create("evil.ipynb", name=EVIL, parameters={"lr": EVIL}, tags=[EVIL])
    assert server.ended(id_)["status"] == "FAILED"
    page.goto(f"{server.url}/lab?reset&token={TOKEN}")
    page.locator(".jp-LauncherCard", has_text="nbtools Jobs").click()
    frame = page.frame_locator("iframe[title='Jobs of nbtools']")
    frame.locator("tr", has_text=EVIL).wait_for()
    page.locator(".lm-TabBar-tabLabel", has_text="Launcher").click()
    page.locator(".jp-LauncherCard[title*='Jobs'], .jp-LauncherCard").filter(
        has_text="Jobs"
    ).last.click()
    page.get_by_text(EVIL, exact=True).first.click()
    page.get_by_text(f"ValueError: {EVIL}").first.wait_for()
    assert page.locator("img[src=x]").count() == 0
    assert frame.locator("img[src=x]").count() == 0
    assert not page.evaluate("window.hacked")
    assert page.dialogs == []


def test_the_card_opens_the_page_of_jobs_and_a_job_is_cancelled_there(server, page):
    name, gate = server.waiting("carded")
    id_ = server.create(name)
    page.goto(f"{server.url}/lab?reset&token={TOKEN}")
    page.locator(".jp-LauncherCard", has_text="nbtools Jobs").click()
    frame = page.frame_locator("iframe[title='Jobs of nbtools']")
    found = frame.locator("tr", has_text=id_)
    found.wait_for()
    page.wait_for_selector(".lm-TabBar-tab.jp-mod-current >> text=Jobs")
    # It is as light or dark as JupyterLab is, also when that is changed.
    said = "html => getComputedStyle(html).color + getComputedStyle(html).backgroundColor"
    colours = {
        "Dark": "rgb(255, 255, 255)rgb(18, 18, 18)",
        "Light": "rgb(0, 0, 0)rgb(255, 255, 255)",
    }
    for theme, wanted in colours.items():
        page.evaluate(
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})",
            f"JupyterLab {theme}",
        )
        until(theme, lambda: frame.locator("html").evaluate(said) == wanted)  # noqa: B023
    # Another site's page has the cookies of the login, and not what is in them.
    ask = "path => fetch(path, {method: 'POST'}).then(reply => reply.status)"
    assert page.evaluate(ask, f"{server.url}/nbtools/api/jobs/{id_}/cancel") == 403
    assert server.job(id_)["status"] == "IN_PROGRESS"
    found.get_by_role("button", name=f"Cancel {id_}").click()
    found.filter(has_text="CANCELLED").wait_for()
    assert server.job(id_)["status"] == "STOPPED"
    gate.touch()
