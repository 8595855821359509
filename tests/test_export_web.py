"""The page of a generator, served and looked at in a real Chromium."""

import functools
import shutil
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from refusals import refused
from tiny_runs import coded_run, labelled_run, points_run, restoring_run

import gancli
from gancli.export import export, load_part

# Where the Makefile installs ONNX Runtime Web.
RUNTIME = Path(sys.prefix) / "web"
PIXELS = """
canvas => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]
"""


@pytest.fixture(scope="module")
def browser():
    if shutil.which("chromium") is None:
        pytest.skip("no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield started
        started.close()


@pytest.fixture
def shown(browser, tmp_path, monkeypatch):
    """Opens the exported page of a run, which has drawn its first samples."""
    if not RUNTIME.is_dir():
        pytest.skip("no ONNX Runtime Web")
    pytest.importorskip("jax2onnx")
    monkeypatch.chdir(RUNTIME)
    servers, complaints = [], []

    def show(run: Path):
        export(load_part(run), "web", tmp_path / "page")
        handler = functools.partial(Quiet, directory=tmp_path / "page")
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever).start()
        page = browser.new_page()
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{servers[-1].server_port}/")
        page.wait_for_selector("body[data-ready]")
        return page

    yield show
    for server in servers:
        server.shutdown()
        server.server_close()
    assert complaints == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


def grey(canvases):
    """(n, 8, 8) bytes of canvases, which are grey and opaque."""
    pixels = np.array([canvas.evaluate(PIXELS) for canvas in canvases]).reshape(-1, 8, 8, 4)
    assert (pixels[..., 3] == 255).all()
    assert (pixels[..., :1] == pixels[..., :3]).all()
    return pixels[..., 0]


def bytes_of(trained, latents):
    return (127.5 * trained(np.asarray(latents, np.float32))[..., 0] + 127.5).round()


def assert_equal_images(made, expected):
    assert made.shape == expected.shape
    assert np.abs(made - expected.astype(int)).max() <= 1


@pytest.mark.slow
def test_the_page_draws_the_samples_of_gan_their_labels_and_what_is_between(shown):
    page, trained = shown(labelled_run()), load_part(labelled_run())
    drawn = gancli.sample(labelled_run(), 16, seed=0)[..., 0]
    assert drawn.std() > 0
    samples = page.query_selector_all("#samples canvas")
    assert_equal_images(grey(samples), drawn)
    latents = trained.latents(6)
    samples[3].click()
    samples[5].click()
    page.fill("#share", "0.3")
    page.wait_for_function("document.querySelectorAll('#labels canvas').length == 10")
    space = trained.generator.task.sampler.space
    of_others = np.concatenate([[latents[5][: space.noise]] * 10, np.eye(10)], axis=1, dtype="f4")
    between = space.interpolate(latents[3], latents[5], 0.3)
    expected = bytes_of(trained, [latents[3], between, latents[5], *of_others])
    made = ["#start", "#between", "#end", "#labels canvas"]

    def shows_them():
        canvases = [canvas for name in made for canvas in page.query_selector_all(name)]
        return np.abs(grey(canvases) - expected).max() <= 1

    for _ in range(50):
        if shows_them():
            break
        page.wait_for_timeout(100)
    assert shows_them()


@pytest.mark.slow
def test_seeds_and_labels_can_be_asked_for_and_codes_turned(shown):
    page = shown(coded_run())

    def drawn(seed, label=""):
        page.fill("#seed", str(seed))
        page.select_option("#label", label)
        page.click("#draw button[type=submit]")
        page.wait_for_function("document.getElementById('status').textContent.includes('each')")
        return grey(page.query_selector_all("#samples canvas"))

    page.fill("#count", "6")
    first, other = drawn(1), drawn(2)
    assert first.shape == (6, 8, 8)
    assert (first != other).any()
    np.testing.assert_array_equal(drawn(1), first)
    labels = [figure.inner_text() for figure in page.query_selector_all("#samples figcaption")]
    assert labels == ["0", "1", "2"] * 2
    one = drawn(1, "1")
    np.testing.assert_array_equal(one[[1, 4]], first[[1, 4]])
    assert (one[[0, 2]] != first[[0, 2]]).any()
    before = grey([page.query_selector("#end")])
    page.fill("#codes input", "1")
    page.wait_for_timeout(500)
    assert (grey([page.query_selector("#end")]) != before).any()


@pytest.mark.parametrize("run", [points_run, restoring_run])
def test_what_draws_no_images_from_noise_has_no_page(tmp_path, run):
    with refused("generator", allowed="images", remedy="--format"):
        export(load_part(run()), "web", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_runtime_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("ONNX Runtime Web", allowed="working directory", remedy="npm install"):
        export(load_part(labelled_run()), "web", tmp_path / "out")
    assert not (tmp_path / "out").exists()
