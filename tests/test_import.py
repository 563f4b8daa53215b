import subprocess
import sys
from pathlib import Path

import pytest

import vissum_jax

ROOT = Path(__file__).parents[1]
HEAVY = ("jax", "cv2", "sklearn", "tensorflow_datasets", "flax", "pyarrow", "numpy", "PIL")
IMPORT = f"""
import sys, time
began = time.process_time()
import vissum_jax
seconds = time.process_time() - began
print(seconds)
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_importing_the_package_imports_nothing_heavy_and_is_quick():
    answer = subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, heavy = answer.stdout.splitlines()
    assert heavy == "[]"
    assert float(seconds) < 0.3


@pytest.mark.parametrize("name", sorted(set(vissum_jax.__all__) - {"__version__"}))
def test_every_public_name_is_there_and_documented(name):
    assert getattr(vissum_jax, name).__doc__


def test_the_contract_of_the_python_interface():
    assert {"load_classifier", "extract_masks", "summarize", "__version__"} <= set(vissum_jax.__all__)
    assert set(vissum_jax.__all__) <= set(dir(vissum_jax)) | {"__version__"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="summarise"):
        _ = vissum_jax.summarise
