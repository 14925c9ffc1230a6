"""A real browser with no network, for the tests of pages: ``unshare -rn python browser.py …``.

Run inside a network namespace of its own, it raises only the loopback interface, drives Debian's
Chromium and prints what it saw as one JSON object. Nothing here asserts; the tests do.
"""

import fcntl
import json
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.ports import free_port

ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]
SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x41


def raise_loopback() -> None:
    """Bring up the loopback interface of a fresh network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh", b"lo", UP_AND_RUNNING))


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """Start a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


def watch(page: Page, own: str) -> dict[str, list[str]]:
    """Collect what a page asks for beyond ``own`` (a pattern), what fails, what it complains of."""
    seen: dict[str, list[str]] = {"requests": [], "failed": [], "errors": []}
    allowed = re.compile(rf"(data:|blob:|about:|{own})")
    page.on(
        "request",
        lambda request: (
            None if allowed.match(request.url) else seen["requests"].append(request.url[:200])
        ),
    )
    page.on("requestfailed", lambda request: seen["failed"].append(request.url[:200]))
    page.on("pageerror", lambda error: seen["errors"].append(str(error)[:300]))
    page.on(
        "console",
        lambda message: (
            seen["errors"].append(message.text[:300]) if message.type == "error" else None
        ),
    )
    page.on(
        "response",
        lambda answer: (
            seen["failed"].append(f"{answer.status} {answer.url[:200]}")
            if answer.status >= 400
            else None
        ),
    )
    return seen


DRAWN = ".vega-embed svg.marks"


def look(executable: str, pages: list[str]) -> dict[str, Any]:
    """Open each HTML file and tell what it drew, asked for and executed."""
    found = {}
    with chromium(executable) as browser:
        for path in pages:
            page = browser.new_page(viewport={"width": 1000, "height": 1200})
            seen = watch(page, "file:")
            page.goto(Path(path).as_uri())
            page.wait_for_timeout(700)
            found[path] = {
                **seen,
                "charts": page.locator(".ld-chart").count(),
                "drawn": page.locator(DRAWN).count(),
                "empty": page.evaluate(EMPTY),
                "pwned": page.evaluate("window.pwned ?? null"),
                "first": page.locator("h1, .note").first.text_content(),
                "pictures": page.evaluate(PICTURES),
                "unnamed": page.evaluate(UNNAMED),
                "grounds": _grounds(page),
                "sorted": _sorted(page),
                "wide": page.evaluate("document.documentElement.scrollWidth"),
                "narrow": _narrow(page),
                "printed_hints": _printed_hints(page),
            }
            page.close()
    return found


EMPTY = f"[...document.querySelectorAll('{DRAWN}')].filter(s => !s.querySelector('path')).length"


PICTURES = """[...document.querySelectorAll('.ld-chart')].map(chart =>
  (chart.querySelector('[role=img]')?.ariaLabel ?? '')
  + (chart.nextElementSibling.matches('.ld-numbers:has(td)') ? '' : '!'))"""
"""What is read out of each chart; with an exclamation mark where no table has its numbers."""
UNNAMED = """[...document.querySelectorAll('summary, [role=button]')].filter(
  one => !(one.ariaLabel || one.textContent).trim()).length"""


def _grounds(page: Page) -> list[str]:
    """The colours that charts stand on where the system demands its own, on black."""
    page.emulate_media(forced_colors="active", color_scheme="dark")
    found = page.evaluate(GROUNDS)
    page.emulate_media(forced_colors="none", color_scheme="light")
    return list(found)


GROUNDS = """[...new Set([...document.querySelectorAll('.ld-chart')].map(
  chart => getComputedStyle(chart).backgroundColor))]"""


def _narrow(page: Page) -> dict[str, Any]:
    """Tell how the page looks on a phone, 420 pixels wide."""
    page.set_viewport_size({"width": 420, "height": 900})
    page.reload()
    page.wait_for_timeout(700)
    return {
        "titles": page.locator(".ld-title:visible").count(),
        "wide": page.evaluate("document.documentElement.scrollWidth"),
        "smallest": page.evaluate(SMALLEST),
        "broken": page.evaluate(BROKEN),
    }


SMALLEST = f"""Math.min(...[...document.querySelectorAll('{DRAWN}')].flatMap(svg =>
  [...svg.querySelectorAll('text')].filter(text => text.textContent.trim()).map(text =>
    parseFloat(getComputedStyle(text).fontSize)
    * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)))"""
"""The size of the smallest letters of all charts, as they are drawn."""
BROKEN = """[...document.querySelectorAll('#providers tbody th span')].filter(
  name => name.getClientRects().length > 1).map(name => name.textContent)"""


def _printed_hints(page: Page) -> int:
    """Count the hints at what can be clicked that would stand on paper."""
    page.emulate_media(media="print")
    return page.locator(".ld-hint:visible").count()


def _sorted(page: Page) -> list[list[str]]:
    """Write other names and sizes of three campaigns, and sort by each with the keyboard."""
    headings = page.locator("#campaigns thead th [role=button]")
    if not headings.count():
        return []
    found = []
    for column, told in ((0, ["Serie 9", "Ärzte", "Serie 10"]), (2, ["9", "over a million", "80"])):
        page.evaluate(WRITE, [column, told])
        headings.nth(column).press("Enter")
        cells = page.locator(f"#campaigns tbody tr :nth-child({column + 1}):is(td, th)")
        found.append(cells.all_text_contents())
    return found


WRITE = """([column, told]) => document.querySelectorAll('#campaigns tbody tr').forEach(
  (row, number) => { row.cells[column].textContent = told[number]; })"""


STARTED = "() => window.jupyterapp?.commands.hasCommand('docmanager:open')"
OPEN = """async path => {
  await window.jupyterapp.commands.execute("docmanager:open", {path});
}"""
READY = """name => {
  const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  const session = panel && panel.context && panel.context.path === name
    && panel.sessionContext && panel.sessionContext.session;
  return !!session && !!session.kernel && session.kernel.status === "idle";
}"""
RAN = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const cells = panel.content.widgets.filter(cell => cell.model.type === "code");
  return cells.every(cell => cell.model.executionCount)
    && panel.sessionContext.session.kernel.status === "idle";
}"""
FAILED = """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(
  cell => cell.model.type === "code"
    && cell.model.outputs.toJSON().some(o => o.output_type === "error")).length"""
CLOSE = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await window.jupyterapp.commands.execute("docmanager:save");
  await panel.sessionContext.shutdown();
  panel.dispose();
}"""
HEADING = "() => (document.querySelector('.ld.head h1') || {}).textContent"
META = "() => (document.querySelector('.ld.head .meta') || {}).textContent"


def lab(
    executable: str,
    command: list[str],
    folder: str,
    names: list[str],
    picks: str,
    arrives: dict[str, str],
) -> dict[str, Any]:
    """Serve ``folder`` with JupyterLab and run its notebooks, one after another.

    In the notebook ``picks`` the third campaign is picked, and its export is returned. While the
    first is open, ``arrives`` writes a file into the spool, and the notebook is run again until it
    tells of it.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        # In a namespace of its own everybody is root.
        [*command, "--allow-root", f"--port={port}", "--IdentityProvider.token=t"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port)
        with chromium(executable) as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            seen = watch(page, rf"(http|ws)://127\.0\.0\.1:{port}")
            page.goto(f"{address}/lab/tree/{names[0]}?token=t&reset", timeout=90_000)
            ran = {}
            for name in names:
                page.wait_for_function(STARTED, timeout=90_000)
                page.evaluate(OPEN, name)
                page.wait_for_function(READY, arg=name, timeout=90_000)
                ran[name] = _run(page)
                if name == names[0]:
                    ran[name]["again"] = _run_until_told(page, **arrives)
                if name == picks:
                    ran[name]["picked"] = _pick(page)
                page.evaluate(CLOSE)
            export = page.context.request.get(f"{address}/nbconvert/html/{picks}?token=t")
            return {**seen, "ran": ran, "export": export.text() if export.ok else ""}
    finally:
        server.terminate()
        server.wait(30)


def _run(page: Page) -> dict[str, Any]:
    """Run all cells of the open notebook and tell what came of it."""
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(RAN, timeout=90_000)
    return {
        "drawn": _drawn(page),
        "heading": page.evaluate(HEADING),
        "cells_failed": page.evaluate(FAILED),
        "pwned": page.evaluate("window.pwned ?? null"),
        "formulas": page.locator("mjx-container").count(),
    }


def _run_until_told(page: Page, path: str, text: str) -> list[str]:
    """Let a file arrive, run the notebook again, and return what its head said before and after."""
    before = page.evaluate(META)
    Path(path).write_text(text, "utf-8")
    for _ in range(60):
        _run(page)
        after = page.evaluate(META)
        if after.split(" events")[0] != before.split(" events")[0]:
            break
    return [before, after]


def _pick(page: Page) -> dict[str, Any]:
    """Pick the third campaign and tell what came of it."""
    first = page.evaluate(HEADING)
    picker = page.locator("select.ld-pick")
    option = picker.locator("option").nth(2)
    picker.select_option(option.get_attribute("value"))
    page.wait_for_function(f"before => ({HEADING})() !== before", arg=first, timeout=60_000)
    page.wait_for_function(RAN, timeout=90_000)
    return {
        "heading": page.evaluate(HEADING),
        "option": option.text_content(),
        "drawn": _drawn(page),
        "cells_failed": page.evaluate(FAILED),
    }


WANTED = """() => window.jupyterapp.shell.currentWidget.content.widgets.flatMap(
  cell => cell.model.type === "code" ? cell.model.outputs.toJSON() : []).filter(
  output => "application/vnd.vegalite.v5+json" in (output.data || {})).length"""


def _drawn(page: Page) -> list[int]:
    """Count the charts that the cells gave, and those on screen once they had time to be drawn."""
    wanted = page.evaluate(WANTED)
    for _ in range(100):
        if page.locator(DRAWN).count() >= wanted:
            break
        page.wait_for_timeout(100)
    return [wanted, page.locator(DRAWN).count()]


def _wait(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)


def main() -> None:
    """Do what the JSON on standard input says."""
    raise_loopback()
    wanted = json.load(sys.stdin)
    what = {"look": look, "lab": lab}[wanted.pop("do")]
    json.dump(what(**wanted), sys.stdout)


if __name__ == "__main__":
    main()
