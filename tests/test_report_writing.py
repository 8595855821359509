"""Reports of comparisons and runs as files: what they say, that they are safe, and always alike."""

import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser

import pytest
from refusals import refused
from tiny_results import BY, FAILURE, SENTENCE, config, results, write_comparison, write_run
from tiny_runs import snapshot

from gancli.comparison import RESULTS, write_results
from gancli.config import read_toml
from gancli.report import write_report

FILES = ["report.html", "report.md", "runs.csv", "variants.csv", "pairs.csv", "table.tex"]
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
HOSTILE = "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }} `$x$`"


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the texts of the page."""

    def __init__(self, text):
        super().__init__()
        self.found, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts += [" ".join(data.split())] if data.strip() else []

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def compared(tmp_path):
    return write_comparison(tmp_path / "compared")


def page_of(folder):
    return Elements((folder / "report.html").read_text(encoding="utf-8"))


def test_a_comparison_is_written_into_its_own_directory(compared):
    written = write_report(compared)
    assert [path.name for path in written.paths] == FILES
    assert all(path.parent == compared and path.is_file() for path in written.paths)
    assert written.sentence == SENTENCE


def test_or_into_another_that_is_made(compared, tmp_path):
    before = sorted(path.name for path in compared.rglob("*"))
    write_report(compared, tmp_path / "new" / "place")
    written = {path.name for path in (tmp_path / "new" / "place").iterdir()}
    assert written == {*FILES, "report.json"}
    assert sorted(path.name for path in compared.rglob("*")) == before


@pytest.mark.parametrize("name", ["report.md", "table.tex", "report.json"])
def test_no_file_of_somebody_else_is_replaced(compared, tmp_path, name):
    out = tmp_path / "theirs"
    out.mkdir()
    (out / name).write_text("{}")
    before = snapshot(out)
    with refused(str(out / name), remedy="--out"):
        write_report(compared, out)
    assert snapshot(out) == before


def test_a_report_replaces_itself_unless_it_was_changed(compared):
    write_report(compared)
    first = (compared / "report.md").read_text()
    write_report(compared, figure=BY, baseline="b")
    second = (compared / "report.md").read_text()
    assert first != second
    (compared / "report.md").write_text(f"My notes.\n{second}")
    before = snapshot(compared)
    with refused(str(compared / "report.md"), remedy="--out"):
        write_report(compared)
    assert snapshot(compared) == before


def test_the_page_begins_with_the_question_and_the_answer(compared):
    write_report(compared)
    texts = page_of(compared).texts
    start = texts.index("Question and answer")
    assert texts[start + 1 : start + 4] == [
        "Which of a, b and c is best on nowhere by frechet/distance (lower is better)?",
        SENTENCE,
        "6 runs, seeds 0, 1; 500 samples of each run were measured; each loss had its published "
        "recipe.",
    ]


def test_the_page_in_markdown(compared):
    write_report(compared)
    text = (compared / "report.md").read_text(encoding="utf-8")
    assert "# 3 variants on nowhere\n\n## Question and answer\n\nWhich of a, b and c" in text
    assert f"\n**{SENTENCE}**\n" in text
    assert (
        "| variant | runs ended | mean | 95 % interval | median | interquartile mean |\n"
        "| --- | --- | ---: | ---: | ---: | ---: |\n"
        "| 1 a | 2 of 2 | 2 ± 0 | 2 to 2 | 2 | 2 |\n"
        "| 2 b | 2 of 2 | 4 ± 0 | 4 to 4 | 4 | 4 |\n"
        "| 3 c | 1 of 2, 1 diverged | 6 |  | 6 | 6 |\n"
    ) in text
    assert "### 1 more pair\n\n- b and c are not compared" in text
    assert f"- c, seed 1 diverged: {FAILURE}\n" in text
    assert "- a, seed 0, step 7: loss of the critic was 1e9; went back to step 5 with" in text
    assert "- b, seed 0 (b/seed-0): its directory is missing\n" in text
    assert (
        "| key | 1 a | 2 b | 3 c |\n| --- | --- | --- | --- |\n| loss | hinge | minimax |" in text
    )
    assert "| device | 1 × cpu (cpu) |" in text
    assert "```\ngan compare --loss a --loss b --loss c --seeds 2\n```" in text
    assert '### a.toml\n\n```\ntask = "generation"\n' in text


def test_the_page_needs_and_loads_nothing_else(compared):
    write_report(compared)
    page = page_of(compared)
    policies = [one["content"] for one in page.of("meta") if "http-equiv" in one]
    assert policies == [POLICY]
    assert not page.of("link")
    assert all("src" not in one for one in page.of("script"))
    addresses = [
        value
        for _, attributes in page.found
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "action", "srcset")
    ]
    assert addresses
    assert all(re.match(r"data:image/(png;base64|svg\+xml),|#", one) for one in addresses)
    assert all(not name.startswith("on") for _, held in page.found for name in held)
    style = (compared / "report.html").read_text().partition("<style>")[2].partition("</style>")[0]
    assert not re.search("url|@import", style)


def test_every_colour_is_there_in_light_and_in_dark(compared):
    write_report(compared)
    text = (compared / "report.html").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]
    assert "prefers-color-scheme: dark" in text[text.index(light) : text.index(dark)]
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    assert {"--ink", "--faint", "--accent"} <= used
    for theme in (light, dark):
        assert set(re.findall(r"(--[\w-]+):", theme)) >= used


def test_the_slider_has_all_variants_and_seeds(compared):
    write_report(compared)
    page = page_of(compared)
    (samples,) = [one for one in page.of("div") if one.get("class", "").startswith("samples")]
    assert (samples["class"], samples["data-steps"]) == ("samples pixels", "0 20")
    assert [one["data-seed"] for one in page.of("button")] == ["0", "1"]
    frames = [one for one in page.of("div") if one.get("class", "").startswith("frame")]
    # Of a and c, of two seeds; without the script and in print the last step is seen.
    assert [(one["data-position"], "hidden" in one) for one in frames] == [
        ("0", True),
        ("1", False),
    ] * 4
    samples = [one["alt"] for one in page.of("img") if one["alt"].startswith("samples")]
    assert samples[0] == "samples of 1 a, seed 0, step 0"
    assert "its directory is missing" in page.texts


def test_names_of_strangers_are_texts(tmp_path):
    folder = write_comparison(tmp_path / "x", HOSTILE)
    write_report(folder)
    page = page_of(folder)
    assert len(page.of("script")) == 1
    assert not [one for one in page.of("img") if not one["src"].startswith("data:image/")]
    assert any(unescape(HOSTILE[0]) in text for text in page.texts)
    assert any("{{ 7 * 7 }}" in text for text in page.texts)
    assert not re.search(r"(?<!\\)<", (folder / "report.md").read_text())
    assert r"\{\{ 7 * 7 \}\} `\$x\$` & $6$ \\" in (folder / "table.tex").read_text()


def test_the_same_results_give_the_same_bytes(compared, tmp_path, monkeypatch):
    write_report(compared, tmp_path / "first")
    copy = shutil.copytree(compared, tmp_path / "elsewhere" / "copy")
    monkeypatch.chdir(copy.parent)
    write_report(copy.relative_to(copy.parent), tmp_path / "second")
    for name in FILES:
        first, second = tmp_path / "first" / name, tmp_path / "second" / name
        assert first.read_bytes() == second.read_bytes(), name
        assert str(tmp_path).encode() not in first.read_bytes(), name


def test_by_another_baseline(compared):
    written = write_report(compared, figure=BY, baseline="b")
    assert written.sentence.startswith("a is first by frechet/distance")
    lines = (compared / "pairs.csv").read_text().splitlines()
    assert [line[:4] for line in lines[1:]] == ["a,b,", "c,b,"]
    text = (compared / "report.md").read_text()
    assert "- c and b are not compared" in text  # Nothing is folded.
    assert "more pair" not in text


@pytest.mark.parametrize(
    ("options", "given", "allowed", "remedy"),
    [
        ({"figure": "frechet/distanze"}, ("'frechet/distanze'",), (), "'frechet/distance'"),
        ({"baseline": "d"}, ("baseline", "'d'"), "a, b, c", ()),
    ],
)
def test_what_is_not_compared_is_refused(compared, options, given, allowed, remedy):
    with refused(*given, allowed=allowed, remedy=remedy):
        write_report(compared, **options)
    assert not (compared / "report.html").exists()


def test_a_comparison_of_which_every_run_diverged(tmp_path):
    found = results(tmp_path)
    outcomes = [one._replace(metrics={}, failure="the loss is nan") for one in found.outcomes]
    write_results(tmp_path, found._replace(outcomes=outcomes))
    assert write_report(tmp_path).sentence == "Every run diverged, so there is nothing to compare."
    text = (tmp_path / "report.md").read_text()
    assert "| 1 a | 0 of 2, 2 diverged |" in text
    assert "There are no pairs to compare." in text
    assert "No run has readable metrics." in text
    assert "No run has readable samples." in text
    assert (tmp_path / "variants.csv").read_text().count("\n") == 1


@pytest.mark.parametrize("name", ["command", "split", "figure", "baseline"])
def test_a_question_that_is_none_is_refused(compared, name):
    held = json.loads((compared / RESULTS).read_text())
    held["asked"][name] = ["x"]
    (compared / RESULTS).write_text(json.dumps(held))
    with refused(repr(str(compared / RESULTS)), repr(name)):
        write_report(compared)


def test_a_run_elsewhere_is_only_read(compared, tmp_path):
    outside = write_run(tmp_path / "outside", config())
    before = sorted(path.name for path in outside.rglob("*"))
    held = json.loads((compared / RESULTS).read_text())
    held["runs"][2]["run"] = "../outside"
    held["runs"][3]["run"] = "/nowhere/b"
    (compared / RESULTS).write_text(json.dumps(held))
    write_report(compared)
    assert sorted(path.name for path in outside.rglob("*")) == before
    assert (
        "- b, seed 1 (/nowhere/b): its directory is missing" in (compared / "report.md").read_text()
    )


# A run


def test_a_run_is_a_page(tmp_path):
    run = write_run(tmp_path / "hinge" / "seed-3", config(loss="hinge"), 3)
    held = {"metrics": {"classes/found": 8.0}, "intervals": {"classes/found": [7, 9]}}
    held |= {"samples": 500, "generator": {"step": 20}}
    (run / "evaluation.json").write_text(json.dumps(held))
    written = write_report(run)
    assert [path.name for path in written.paths] == ["report.html", "report.md", "config.toml"]
    assert read_toml(run / "config.toml").values["loss"] == "hinge"
    assert written.sentence == "hinge/seed-3: finished at step 20 of 20."
    text = (run / "report.md").read_text()
    assert "\ngeneration on nowhere with the loss hinge, model dcgan, seed 3\n" in text
    assert "| classes/found | higher | 8 | 7 to 9 |\n\nOf 500 samples at step 20.\n" in text
    assert "- step 7: loss of the critic was 1e9; went back to step 5 with" in text
    assert "| hinge/seed-3 | finished | compile 2.0, steps 6.0 | 20 | 1 | 1 | 56% | 8.0 |" in text
    assert "steps = 20\nbatch = 64\nseed = 3\n" in text
    page = page_of(run)
    titles = ["generator/loss", "critic/loss"]
    assert [one for one in page.texts if one in titles] == titles
    (samples,) = [one for one in page.of("div") if one.get("class", "").startswith("samples")]
    assert samples["data-steps"] == "0 20"


def test_a_page_says_what_is_wrong_with_a_run(tmp_path):
    run = write_run(tmp_path / "run", config(loss="hinge"))
    sound = {"monitors/distance": 0.2, "monitors/diversity": 1.0, "monitors/spacing": 1.0}
    lines = [sound] * 5 + [sound | {"monitors/diversity": 0.1}] * 5
    (run / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": step, **line}) + "\n" for step, line in enumerate(lines, 1))
    )
    write_report(run)
    text = (run / "report.md").read_text()
    assert "step 10: mode collapse begins" in text  # It went back to step 5.
    assert "--set inputs.packing=2" in text
    assert "monitors/diversity" in page_of(run).texts


def test_a_run_that_has_just_begun(tmp_path):
    run = write_run(tmp_path / "run", config(), status="new")
    for name in ("metrics.jsonl", "samples/00000000.npy", "samples/00000020.npy"):
        (run / name).unlink()
    assert write_report(run).sentence == "run: new at step 20 of 20."
    text = (run / "report.md").read_text()
    assert "The run has no readable metrics." in text
    assert "The run has no readable samples." in text
    assert "Nothing was measured." in text


def test_why_a_run_diverged_is_said_first(tmp_path):
    run = write_run(tmp_path / "run", config())
    held = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(held | {"status": "diverged", "reason": FAILURE}))
    assert write_report(run).sentence == f"run: diverged. {FAILURE}"
