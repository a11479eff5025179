"""Models are loaded without scikit-learn, and the process around them keeps it."""

import subprocess
import sys

from conftest import ROOT

SCRIPT = """
import sys
from pathlib import Path
from transformers import utils
available = utils.is_sklearn_available
from trim.models.load import language_model
from trim.experiment.load import load
from trim.steps import PLAIN
params = load(Path("params.yaml"))
language_model(params.models.weak, params.generation.sampling, PLAIN)
assert "sklearn" not in sys.modules
from transformers.generation import candidate_generator
assert utils.is_sklearn_available is candidate_generator.is_sklearn_available is available
false, true, _ = candidate_generator.roc_curve([0, 1], [0.2, 0.8])
assert "sklearn" in sys.modules and true.max() == 1
"""


def test_models_are_loaded_without_scikit_learn_which_assisted_generation_still_finds():
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
