"""The page at `/`, as a browser shows it."""

import shutil

import pytest
from fakes.serving import QUESTION, serving
from playwright.sync_api import sync_playwright

from trim.serve.page import EXAMPLE

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def server():
    with serving() as started:
        yield started


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(params=["light", "dark"])
def page(browser, server, request):
    context = browser.new_context(color_scheme=request.param, viewport={"width": 390, "height": 800})
    opened = context.new_page()
    opened.faults = []
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    opened.on("console", lambda said: opened.faults.append(said.text) if said.type == "error" else None)
    opened.on("request", lambda sent: opened.faults.append(sent.url) if not sent.url.startswith(server.url) else None)
    opened.goto(server.url)
    yield opened
    context.close()


def test_steps_appear_with_writer_score_and_draft(page, server):
    answer = server.ask(QUESTION, "trim-thr@0.95", trim={"drafts": True}).json()
    told = answer["trim"]["steps"]
    page.select_option("#router", "trim-thr")
    page.select_option("#point", "trim-thr@0.95")
    assert "tau=0.95" in page.inner_text("#description")
    page.fill("#question", QUESTION)
    page.click("#send")
    page.wait_for_selector("#summary:not(:empty)")
    items = page.locator("#steps li")
    assert items.count() == len(told)
    for item, step, text in zip(
        items.all(), told, answer["choices"][0]["message"]["content"].split("\n\n"), strict=True
    ):
        assert step["writer"] in item.get_attribute("class")
        assert text in item.inner_text()
        assert f"{step['score']:.3f}" in item.inner_text()
        if step["draft_thrown_away"]:
            assert not item.locator(".draft").is_visible()
            item.hover()
            assert item.locator(".draft").inner_text() == step["draft"]
    assert page.inner_text("#strong") == str(answer["trim"]["strong_tokens"])
    assert page.inner_text("#whole") == str(answer["trim"]["always_strong"]["tokens"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.faults


def test_any_budget_can_be_chosen(page):
    page.select_option("#router", "trim-budget")
    page.fill("#budget", "0.17")
    page.click("#send")
    page.wait_for_selector("#summary:not(:empty)")
    assert "trim_budget at budget=0.17" in page.inner_text("#summary")
    assert page.is_hidden("#key")
    assert not page.faults


def test_a_question_that_is_refused_is_told(page):
    page.fill("#question", "<img src=x onerror=alert(1)> How much is 1 + 1?")
    page.click("#send")
    page.wait_for_selector("#error:not([hidden])")
    assert "embedded models" in page.inner_text("#error")
    assert page.locator("#error img").count() == 0
    assert page.is_hidden("#answer")


def test_model_text_is_text(page, server):
    script = "add_step({writer: 'weak', score: null, draft: '<b>x</b>', without: null}, '<img src=x onerror=alert(1)>')"
    page.evaluate("document.getElementById('answer').hidden = false")
    page.evaluate(script)
    assert page.locator("#steps li img, #steps li b").count() == 0
    assert "<img src=x" in page.inner_text("#steps li")


def test_the_example_is_one_that_the_embedded_models_solve(server):
    assert server.ask(EXAMPLE).status_code == 200
