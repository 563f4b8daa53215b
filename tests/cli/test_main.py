import os
import subprocess
import sys
from pathlib import Path

import pytest

from vissum_jax.cli import main as module

HEAVY = ("jax", "cv2", "sklearn", "skimage", "tensorflow_datasets", "flax", "pyarrow", "PIL")
HELP = f"""
import sys
from vissum_jax.cli.main import main
sys.argv = ["vissum", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    print("HEAVY", heavy, "CODE", end.code)
"""


@pytest.mark.parametrize(
    ("arguments", "shown"), [(["--help"], "summarize"), (["run", "--help"], "--keep-mispredicted")]
)
def test_help_is_quick_because_it_imports_nothing_heavy(arguments, shown):
    root = Path(module.__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", HELP, *arguments],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines()[-1] == "HEAVY [] CODE 0"
    assert shown in answer.stdout


def test_a_reader_who_has_enough_sees_no_traceback():
    # As in `vissum --help | head -1`.
    root = Path(module.__file__).parents[2]
    read, write = os.pipe()
    os.close(read)
    answer = subprocess.run(
        [sys.executable, "-c", "from vissum_jax.cli.main import main; main()", "--help"],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert answer.stderr == ""
    assert answer.returncode == 1


def test_every_command_of_the_main_job_is_there():
    assert {"demo", "run", "masks", "summarize", "report"} <= set(module.COMMANDS)


@pytest.mark.parametrize("command", ["demo", "run", "masks", "summarize", "report"])
def test_every_command_explains_itself_with_an_example(vissum, command):
    answer = vissum(command, "--help")
    assert answer.code == 0
    assert "--json " in answer.out
    assert f"\n  vissum {command} " in answer.out
    assert "None" not in answer.out


def test_an_unknown_command_is_refused(vissum):
    answer = vissum("rn")
    assert answer.code == 2
    assert "Traceback" not in answer.err


def test_an_unknown_option_is_refused_with_the_nearest(vissum, tmp_path):
    answer = vissum("run", "photos", "--modle", "x", "--out", tmp_path / "run")
    assert answer.code == 2
    assert "--model" in answer.err


def test_compiled_programs_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    module.use_compilation_cache()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "vissum" / "xla")


def test_a_place_that_jax_was_told_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    module.use_compilation_cache()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path)
