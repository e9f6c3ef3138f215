"""A student trains in a notebook and looks at the runs in MLflow, by click and by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from hub_ext.images.recipes import load_recipes
from tests.e2e.jupyterlab import card, open_lab
from tests.e2e.lab import Lab, Person, until

TRAINING = """
import mlflow, numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import train_test_split
X, y = load_diabetes(return_X_y=True)
parts = train_test_split(X, y, random_state=0)
for alpha, l1_ratio in [(0.05, 0.2), (0.1, 0.5), (0.5, 0.9)]:
    with mlflow.start_run(run_name=f"elasticnet-{alpha}-{l1_ratio}"):
        model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio).fit(parts[0], parts[2])
        guess = model.predict(parts[1])
        mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})
        mlflow.log_metrics({"rmse": float(np.sqrt(mean_squared_error(parts[3], guess))),
                            "r2": float(r2_score(parts[3], guess))})
print("trained", "three", "models")
"""
"""Indented blocks are pasted, not typed: the editor would indent them again."""
RUNS = ("elasticnet-0.05-0.2", "elasticnet-0.1-0.5", "elasticnet-0.5-0.9")


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "2x8GiB")


@pytest.fixture(scope="module")
def versions() -> list[str]:
    """References of the data-science images, as the project declares them."""
    return [recipe.reference for recipe in load_recipes() if "data-science" in recipe.reference]


def paste(page: Page, text: str) -> None:
    """Into what has the focus."""
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.keyboard.press("Control+V")


def open_mlflow(page: Page) -> Page:
    """From its card, in a tab of the browser."""
    card(page, "MLflow UI").click()
    tab = page.locator("#apportion-app-mlflow")
    expect(tab.locator(".apl-starting")).to_be_hidden(timeout=120_000)
    with page.context.expect_page() as opened:
        tab.get_by_text("Open in a new tab").click()
    opened.value.wait_for_url("**/mlflow/**", timeout=120_000)
    return opened.value


def compare_runs(page: Page) -> None:
    """Select all runs of the table and compare them."""
    for name in RUNS:
        expect(page.get_by_text(name).first).to_be_visible(timeout=60_000)
    page.get_by_role("checkbox", name="Select all").first.check(force=True)
    page.get_by_role("button", name="Compare").first.click()
    expect(page.get_by_text("Comparing 3 Runs").first).to_be_visible(timeout=60_000)


def test_three_runs_are_trained_logged_and_compared(
    lab: Lab,
    versions: list[str],
    window: Callable[[Person], Page],
    shot: Callable[[Page, str], None],
) -> None:
    student = lab.person("student")
    (session,) = student.submit(name="work", image=versions[0], fgpu=0.5, cpu=2, memory_mib=3072)
    session = student.running(session["id"])
    page = window(student)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_lab(page, lab, session)
    shot(page, "1-launcher")
    page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click()
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(
        timeout=60_000
    )
    paste(page, TRAINING)
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output", has_text="trained three models")
    expect(output).to_be_visible(timeout=120_000)
    shot(page, "2-notebook")

    open_lab(page, lab, session)
    mlflow = open_mlflow(page)
    # the first experiment is that of the notebook
    mlflow.goto(mlflow.url.split("#")[0] + "#/experiments/1/runs")
    expect(mlflow.get_by_text("Untitled", exact=True).first).to_be_visible(timeout=60_000)
    compare_runs(mlflow)
    for metric in ("rmse", "r2"):
        expect(mlflow.get_by_text(metric, exact=True).first).to_be_visible()
    shot(mlflow, "3-mlflow-compares")


def test_a_hand_started_mlflow_ui_is_reached_through_the_hub(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    student = lab.person("student")
    (session,) = student.live()
    page = window(student)
    open_lab(page, lab, session)
    card(page, "Terminal").click()
    terminal = page.locator(".jp-Terminal .xterm-helper-textarea")
    terminal.wait_for(state="attached", timeout=30_000)
    page.locator(".jp-Terminal").click()
    page.keyboard.type("mlflow ui --host 0.0.0.0\n")
    url = f"{session['url']}proxy/5000/"
    until(
        lambda: page.request.get(lab.url + url).status == 200,
        limit_s=120,
        what="the hand-started MLflow answers through the hub",
    )
    shot(page, "1-terminal")
    by_hand = page.context.new_page()
    by_hand.goto(f"{lab.url}{url}#/experiments/1/runs")
    for name in RUNS:
        expect(by_hand.get_by_text(name).first).to_be_visible(timeout=60_000)
    shot(by_hand, "2-mlflow-by-hand")


def test_both_versions_run_at_the_same_time(lab: Lab, versions: list[str]) -> None:
    student = lab.person("versions")
    assert len(versions) == 2
    sessions = [
        student.submit(name=f"version-{number}", image=image, cpu=0.5, memory_mib=1024)[0]
        for number, image in enumerate(versions)
    ]
    for session in sessions:
        student.running(session["id"])
    seen = [
        lab.run_in(session["id"], "python", "-c", "import sklearn; print(sklearn.__version__)")
        for session in sessions
    ]
    for version, image in zip(seen, versions, strict=True):
        assert image.rsplit("-", 1)[1] == ".".join(version.split(".")[:2])
    assert len(set(seen)) == 2
