"""Agreement with independent programs, torch-fidelity and prdc: exhaustive.

They are no dependencies: an environment of their own is made once and kept in the cache.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_evaluation_neighbours import figures

from gancli.data import DataRequest, Dataset, DataSpec
from gancli.evaluation import METRICS, Evaluated
from gancli.evaluation.distances import (
    frechet_distance,
    kernel_distance,
    kernel_distance_of_subsets,
)
from gancli.evaluation.evidence import Drawn
from gancli.evaluation.moments import Moments
from gancli.evaluation.score import classifier_score_of_splits
from gancli.features import FEATURES as FEATURES_OF

pytestmark = pytest.mark.exhaustive

PACKAGES = ("torch==2.13.0", "prdc==0.2", "pillow", "tqdm")
# Without torchvision, which it reads images with: builds for CPU and CUDA do not mix.
ALONE = ("torch-fidelity==0.4.0",)
VERSIONS = Path(__file__).parents[1] / "requirements.lock"
SUBSETS, SIZE, SEED, NEIGHBOURS, SPLITS = 20, 100, 7, 5, 4

# What the other programs say of the features in a file. Their subsets are drawn from our
# generator, in their order, so that both see the same ones.
SCRIPT = f"""
import json
import sys
from unittest.mock import MagicMock

for part in ("", ".datasets", ".transforms", ".transforms.functional"):
    sys.modules["torchvision" + part] = MagicMock()

import numpy as np
import torch
from prdc import compute_prdc
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

numpy_state = np.random.RandomState
found = {{}}
cases = np.load(sys.argv[1], allow_pickle=False)
for name in sorted({{key.split("/")[0] for key in cases.files}}):
    real, generated = cases[name + "/real"], cases[name + "/generated"]
    tensors = torch.from_numpy(real), torch.from_numpy(generated)
    own = found[name] = {{}}

    statistics = [metric_fid.fid_features_to_statistics(one) for one in tensors]
    own["frechet"] = metric_fid.fid_statistics_to_metric(*statistics, False)[
        "frechet_inception_distance"
    ]
    own["kernel"] = float(metric_kid.mmd2(*(
        metric_kid.kernel_poly(
            one, other, kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None,
            kid_kernel_poly_coef0=1,
        )
        for one, other in ((real, real), (real, generated), (generated, generated))
    ))) if len(real) == len(generated) else None
    np.random.RandomState = lambda seed: np.random.Generator(np.random.PCG64(seed))
    subsets = metric_kid.kid_features_to_metric(
        *tensors, kid_subsets={SUBSETS}, kid_subset_size={SIZE}, rng_seed={SEED}, verbose=False,
        kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
    )
    np.random.RandomState = numpy_state
    own["subsets"] = [subsets["kernel_inception_distance_" + key] for key in ("mean", "std")]
    theirs = metric_prc.prc_features_to_metric(
        *tensors[::-1], prc_neighborhood={NEIGHBOURS}, prc_batch_size=100, save_cpu_ram=True,
        verbose=False,
    )
    own["precision and recall"] = [theirs["precision"], theirs["recall"]]
    overlap = compute_prdc(real, generated, {NEIGHBOURS})
    own["overlap"] = [float(overlap[key]) for key in ("precision", "recall", "density", "coverage")]
    score = metric_isc.isc_features_to_metric(tensors[1], splits={SPLITS}, shuffle=False)
    own["score"] = [score["inception_score_mean"], score["inception_score_std"]]
with open(sys.argv[2], "w") as file:
    json.dump(found, file)
"""


def features():
    """Real and generated features of several shapes and relations, by name."""
    draw = np.random.default_rng(0)
    mixed = draw.normal(size=(64, 64))
    positive = np.maximum(draw.normal(size=(1500, 32)) + 0.5, 0) * draw.uniform(0, 20, 32)
    return {
        "equal": (draw.normal(size=(1000, 64)), draw.normal(size=(1000, 64))),
        "apart": (draw.normal(size=(900, 64)) @ mixed, draw.normal(size=(700, 64)) @ mixed * 0.9),
        "one-sided": (positive[:800], positive[700:] * 0.95 + 0.2),
        "far": (draw.normal(size=(400, 8)) + 1000, draw.normal(size=(400, 8)) + 1001),
        "wide": (draw.normal(size=(200, 300)), draw.normal(size=(250, 300)) + 0.1),
        "lattice": (
            draw.integers(0, 6, (300, 2)).astype(np.float64),
            draw.integers(0, 6, (300, 2)) + 1.0,
        ),
    }


FEATURES = features()

# Inception with weights drawn at random, for those that the FID is defined by cannot be had
# everywhere: what our loader makes of images, and what torch-fidelity does.
INCEPTION_SCRIPT = """
import hashlib
import importlib.util
import json
import sys
from unittest.mock import MagicMock, patch

root, weights, found = sys.argv[1:]
sys.path.insert(0, root)
for part in ("", ".datasets", ".transforms", ".transforms.functional"):
    sys.modules["torchvision" + part] = MagicMock()

import numpy as np
import torch
from torch_fidelity import metric_isc
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

# By its path, as the package around it needs what is not installed here.
spec = importlib.util.spec_from_file_location("inception", root + "/gancli/features/inception.py")
inception = importlib.util.module_from_spec(spec)
spec.loader.exec_module(inception)

torch.manual_seed(0)
with patch("torch.load"), patch.object(FeatureExtractorInceptionV3, "load_state_dict"):
    drawn = FeatureExtractorInceptionV3("drawn", ["2048"], weights)
torch.save(drawn.state_dict(), weights)
inception.WEIGHTS_SHA256 = hashlib.sha256(open(weights, "rb").read()).hexdigest()

images = np.random.default_rng(0).integers(256, size=(4, 28, 28, 1), dtype=np.uint8)
ours = inception.load_inception(weights)
theirs = FeatureExtractorInceptionV3("theirs", ["2048", "logits_unbiased"], weights)
planes = torch.from_numpy(images.transpose(0, 3, 1, 2).repeat(3, axis=1))
features, logits = theirs(planes)
score = metric_isc.isc_features_to_metric(logits, splits=2, shuffle=False)
np.savez(
    found, ours=ours.function(images), head=ours.head, theirs=features.numpy(),
    logits=logits.numpy(), score=[score["inception_score_mean"], score["inception_score_std"]],
)
"""


def run(*words):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def other_python():
    """The interpreter of the environment with the other programs, made if it is not there."""
    key = f"{PACKAGES} {ALONE} {sys.version_info[:2]} {VERSIONS.read_text(encoding='utf-8')}"
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    folder = Path(os.environ["GAN_CACHE"]) / "environments" / name
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        for words in (
            (sys.executable, "-m", "venv", folder),
            (*install, "--constraint", VERSIONS, *PACKAGES),
            (*install, "--no-deps", *ALONE),
        ):
            done = run(*words)
            if done.returncode:
                named = ", ".join((*PACKAGES, *ALONE))
                said = f"{named} cannot be installed:\n{done.stdout}{done.stderr}"
                if os.environ.get("CI"):
                    pytest.fail(said)
                pytest.skip(said)
        complete.touch()
    return python


@pytest.fixture(scope="module")
def theirs(other_python, tmp_path_factory):
    """What the other programs measure, by case and figure."""
    folder = tmp_path_factory.mktemp("agreement")
    arrays = {
        f"{name}/{side}": array
        for name, pair in FEATURES.items()
        for side, array in zip(("real", "generated"), pair, strict=True)
    }
    np.savez(folder / "features.npz", **arrays)
    (folder / "measure.py").write_text(SCRIPT, encoding="utf-8")
    done = run(other_python, folder / "measure.py", folder / "features.npz", folder / "found.json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "found.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FEATURES)
def test_frechet_distance_agrees(name, theirs):
    """Theirs takes roots of the eigenvalues of A B, those that are 0 but for rounding too: with
    fewer examples than dimensions it differs by 2e-8, and by less than 1e-12 elsewhere.
    """
    real, generated = FEATURES[name]
    found = frechet_distance(Moments.of([real]), Moments.of([generated]))
    assert found == pytest.approx(theirs[name]["frechet"], rel=1e-6 if name == "wide" else 1e-9)


@pytest.mark.parametrize("name", FEATURES)
def test_kernel_distance_agrees(name, theirs):
    """Theirs is for equal numbers of examples, so only subsets compare of others."""
    real, generated = FEATURES[name]
    if (whole := theirs[name]["kernel"]) is not None:
        assert kernel_distance(real, generated).distance == pytest.approx(whole, rel=1e-6)
    found = kernel_distance_of_subsets(real, generated, SUBSETS, SIZE, SEED)
    assert found == pytest.approx(theirs[name]["subsets"], rel=1e-6)


@pytest.mark.parametrize("name", [name for name in FEATURES if name != "lattice"])
def test_precision_and_recall_agree(name, theirs):
    both = figures(*FEATURES[name], NEIGHBOURS)[:2]
    assert both == pytest.approx(theirs[name]["precision and recall"], rel=1e-6)


def test_precision_and_recall_differ_at_exact_ties(theirs):
    """Theirs counts an example at the very radius as inside, as arXiv:1904.06991 does."""
    ours = figures(*FEATURES["lattice"], NEIGHBOURS)
    precision, recall = theirs["lattice"]["precision and recall"]
    assert ours[0] < precision
    assert ours[1] < recall


@pytest.mark.parametrize("name", FEATURES)
def test_density_and_coverage_agree(name, theirs):
    four = figures(*FEATURES[name], NEIGHBOURS)
    assert four == pytest.approx(theirs[name]["overlap"], rel=1e-6)


@pytest.mark.parametrize("name", FEATURES)
def test_classifier_score_agrees(name, theirs):
    """Theirs takes logits, for which the features do as well as any."""
    logits = FEATURES[name][1]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    posteriors = exponents / exponents.sum(axis=1, keepdims=True)
    found = classifier_score_of_splits(posteriors.__getitem__, len(posteriors), SPLITS)
    assert found == pytest.approx(theirs[name]["score"], rel=1e-6)


def test_inception_is_torch_fidelitys(other_python, tmp_path):
    (tmp_path / "inception.py").write_text(INCEPTION_SCRIPT, encoding="utf-8")
    root = Path(__file__).parents[1]
    words = (root, tmp_path / "weights.pth", tmp_path / "found.npz")
    done = run(other_python, tmp_path / "inception.py", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    found = np.load(tmp_path / "found.npz", allow_pickle=False)
    assert found["ours"].shape == (4, 2048)
    np.testing.assert_allclose(found["ours"], found["theirs"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        found["ours"] @ found["head"].T, found["logits"], rtol=1e-3, atol=1e-4
    )
    dataset = Dataset(DataSpec("r", "points", (2048,)), found["ours"], None, "0" * 64)
    features = FEATURES_OF.build("pixels", dataset, DataRequest())
    features = features._replace(inception_head=found["head"])
    looked_at = Evaluated(Drawn(found["ours"]), dataset, features=features)
    score = METRICS.build("inception-score:splits=2").measure(looked_at)
    assert list(score.values()) == pytest.approx(found["score"].tolist(), rel=1e-5)
