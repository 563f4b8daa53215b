"""``vissum models``: what is listed, converted and verified, and every exit code."""

import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import toys
from PIL import Image

from vissum_jax.models import ARCHITECTURES, imagenet_classes, init_classifier, load_classifier, save_weights
from vissum_jax.models.architecture import Download
from vissum_jax.models.checkpoint import hash_path

CLASSES = ("daisy", "tulip", "rose")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.npz"
    save_weights(init_classifier("flowernet", class_names=CLASSES, key=jax.random.key(0)), path)
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("VISSUM_OFFLINE", "VISSUM_WEIGHTS_MIRROR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def remote(weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A network whose weights are on a local mirror; where they will be put."""
    served = tmp_path / "served" / "models"
    served.mkdir(parents=True)
    (served / "w-1.npz").write_bytes(weights.read_bytes())
    download = Download(url="https://weights.invalid/models/w-1.npz", sha256_prefix=hash_path(weights)[:8])
    flowernet = vars(ARCHITECTURES["flowernet"])
    entry = type(ARCHITECTURES["flowernet"])(
        **{**flowernet, "name": "remote", "default_weights": None, "download": download}
    )
    monkeypatch.setitem(ARCHITECTURES, "remote", entry)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("VISSUM_WEIGHTS_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("no_proxy", "*")
    yield tmp_path / "cache" / "vissum" / "weights" / "w-1.npz"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in CLASSES[:2]:
        (root / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, 255, (112, 112, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def test_every_network_is_listed(vissum):
    answer = vissum("models", "list", "--json")
    assert answer.code == 0
    rows = {row["name"]: row for row in json.loads(answer.out)["models"]}
    assert list(rows) == list(ARCHITECTURES)
    googlenet = rows["googlenet-bvlc"]
    assert googlenet["parameters"] == 6_998_552
    assert (googlenet["input_size"], googlenet["known_top1"]) == (224, 0.687)
    assert (googlenet["weights"], googlenet["path"], googlenet["url"]) == ("by hand", None, None)
    flowers = load_classifier("flowernet")
    assert rows["flowernet"]["parameters"] == sum(leaf.size for leaf in jax.tree.leaves(flowers.params))
    assert rows["flowernet"]["weights"] == "installed"
    assert Path(rows["flowernet"]["path"]).is_file()
    for name, row in rows.items():
        download = ARCHITECTURES[name].download
        assert row["weights"] in (("download",) if download else ("installed", "by hand"))
        assert row["url"] == (download.url if download else None)
        assert row["source"]
        assert row["licence"]


def test_the_table_is_readable_at_80_columns(vissum, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    answer = vissum("models", "list")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 80
    for name, architecture in ARCHITECTURES.items():
        assert sum(line.startswith(f"{name} ") for line in lines) == 2
        assert f"{architecture.input_size} px" in next(line for line in lines if line.startswith(f"{name} "))
    assert "pip install 'vissum-jax[weights]'" in " ".join(answer.out.split())


def test_downloaded_weights_are_listed_as_cached(vissum, remote: Path):
    def row() -> dict:
        models = json.loads(vissum("models", "list", "--json").out)["models"]
        return next(row for row in models if row["name"] == "remote")

    assert (row()["weights"], row()["path"]) == ("download", str(remote))
    load_classifier("remote")
    assert (row()["weights"], row()["path"]) == ("cached", str(remote))


def test_weights_are_converted(vissum, weights: Path, tmp_path: Path):
    answer = vissum("models", "convert", weights, tmp_path / "half.safetensors", "--dtype", "float16", "--json")
    assert answer.code == 0
    assert json.loads(answer.out) == {
        "source": str(weights),
        "destination": str(tmp_path / "half.safetensors"),
        "model": "flowernet",
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(load_classifier("flowernet", weights=weights).params)),
        "classes": 3,
        "sha256": hash_path(tmp_path / "half.safetensors"),
    }
    assert load_classifier("flowernet", weights=tmp_path / "half.safetensors").spec.class_names == CLASSES


def test_class_names_come_from_a_file(vissum, weights: Path, tmp_path: Path):
    (tmp_path / "names.txt").write_text("one\ntwo\nthree\n")
    answer = vissum("models", "convert", weights, tmp_path / "named", "--class-names", tmp_path / "names.txt")
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{tmp_path / 'named'}: flowernet, ")
    assert load_classifier("flowernet", weights=tmp_path / "named").spec.class_names == ("one", "two", "three")
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    answer = vissum("models", "convert", weights, tmp_path / "other.npz", "--class-names", tmp_path / "names.txt")
    assert answer.code == 2
    assert answer.complaint == (f"vissum: error: `class_names` must hold 3 names, one per class of {weights}, got 2.")


def test_a_head_without_names_asks_for_them(vissum, weights: Path, tmp_path: Path):
    arrays = dict(np.load(weights))
    del arrays["class_names"]
    np.savez(tmp_path / "nameless.npz", **arrays)
    answer = vissum("models", "convert", tmp_path / "nameless.npz", tmp_path / "x.npz")
    assert answer.code == 2
    assert answer.complaint == (
        f"vissum: error: `class_names` must hold 3 names, one per class of {tmp_path / 'nameless.npz'}, got 0; give "
        "them with --class-names FILE."
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda arrays: arrays.pop("stem.bias"), "1 keys missing (stem.bias)"),
        (lambda arrays: arrays.update(extra=np.zeros(1)), "1 keys left over (extra)"),
        (
            lambda arrays: arrays.update({"stem.bias": np.zeros(3)}),
            "1 wrong shapes (stem.bias is (3,), expected (16,))",
        ),
        (
            lambda arrays: arrays.update({"stem.bias": np.full(16, np.nan)}),
            "1 arrays with NaN or infinite numbers (stem.bias)",
        ),
    ],
)
def test_weights_that_do_not_fit_end_in_one_line(vissum, weights: Path, tmp_path: Path, spoil, message: str):
    arrays = dict(np.load(weights))
    spoil(arrays)
    np.savez(tmp_path / "spoilt.npz", **arrays)
    answer = vissum("models", "convert", tmp_path / "spoilt.npz", tmp_path / "x.npz", "--model", "flowernet")
    assert answer.code == 2
    assert message in answer.complaint
    assert not (tmp_path / "x.npz").exists()


def test_a_pickle_with_code_is_not_run(vissum, tmp_path: Path):
    victim = tmp_path / "created"
    code = b"\x80\x02cposix\nsystem\nq\x00X" + len(f"touch {victim}").to_bytes(4, "little")
    pickled = code + f"touch {victim}".encode() + b"q\x01\x85q\x02Rq\x03."
    with zipfile.ZipFile(tmp_path / "evil.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    answer = vissum("models", "convert", tmp_path / "evil.pth", tmp_path / "x.npz")
    assert answer.code == 2
    assert "asks for `posix.system`, which is not a tensor; nothing of it was run" in answer.complaint
    assert not victim.exists()


def test_verify_counts(vissum, weights: Path, photos: Path):
    answer = vissum("models", "verify", "flowernet", "--weights", weights, "--images", photos, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert (found["model"], found["keys"], found["images"]) == ("flowernet", "complete", 4)
    assert found["weights_sha256"] == hash_path(weights)
    assert found["top5"] == 1.0
    assert found["known_top1"] is None
    assert found["far_below"] is False
    assert [(row["class_name"], row["images"]) for row in found["classes"]] == [("daisy", 2), ("tulip", 2)]
    limited = ("--limit", 1, "--classes", "tulip", "--batch-size", 2)
    answer = vissum("models", "verify", "flowernet", "--weights", weights, "--images", photos, *limited)
    assert answer.code == 0
    assert "tulip" in answer.out
    assert "daisy" not in answer.out
    assert hash_path(weights) in answer.out


def test_far_below_the_published_accuracy_is_a_failure(vissum, photos: Path, tmp_path: Path, monkeypatch):
    known = type(ARCHITECTURES["flowernet"])(
        **{**vars(ARCHITECTURES["flowernet"]), "known_top1": 0.99, "name": "known"}
    )
    monkeypatch.setitem(ARCHITECTURES, "known", known)
    names = imagenet_classes().names
    save_weights(init_classifier("known", class_names=names, key=jax.random.key(0)), tmp_path / "k.npz")
    for index, folder in enumerate(sorted(photos.iterdir())):
        folder.rename(photos / str(index))
    answer = vissum("models", "verify", "known", "--weights", tmp_path / "k.npz", "--images", photos)
    assert answer.code == 1
    assert "far below that: wrong weights, class order or labels" in " ".join(answer.out.split())


def test_unreadable_photographs_are_named_and_fail(vissum, weights: Path, photos: Path):
    (photos / "daisy" / "broken.png").write_bytes(b"nothing")
    answer = vissum("models", "verify", "flowernet", "--weights", weights, "--images", photos)
    assert answer.code == 1
    assert "unreadable: 'daisy/broken.png': " in answer.out


def test_verify_downloads_and_says_so(vissum, remote: Path, photos: Path):
    answer = vissum("models", "verify", "remote", "--images", photos, "--json")
    assert answer.code == 0, answer.err
    assert remote.is_file()
    first, second, *_ = answer.err.splitlines()
    assert first.startswith("Downloading the weights of remote: http://127.0.0.1:")
    assert first.endswith(f"/models/w-1.npz to {remote}")
    assert second.startswith("w-1.npz, MB: 1/1 in ")
    assert "Downloading" not in vissum("models", "verify", "remote", "--images", photos, "--json").err


def test_run_downloads_or_says_what_to_fetch(vissum, remote: Path, photos: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("VISSUM_OFFLINE", "1")
    answer = vissum("run", photos, "--model", "remote", "--out", tmp_path / "run")
    assert answer.code == 1
    assert answer.complaint == (
        "vissum: error: `weights`: VISSUM_OFFLINE forbids the download; unset it, or fetch "
        f"https://weights.invalid/models/w-1.npz by hand and save it as {remote}."
    )
    assert not (tmp_path / "run").exists()


def test_run_takes_class_names_from_a_file(vissum, weights: Path, photos: Path, tmp_path: Path):
    def run(names: str) -> str:
        (tmp_path / "names.json").write_text(names)
        options = ("--weights", weights, "--class-names", tmp_path / "names.json", "--out", tmp_path / "run")
        answer = vissum("run", photos, "--model", "flowernet", *options)
        assert answer.code == 2
        return answer.complaint

    assert "`class_names` must hold 3 names" in run('["daisy", "tulip"]')
    # The photographs' folders are daisy and tulip; with these names neither is a class.
    assert "'daisy' names no class of flowernet" in run('{"0": "elm", "1": "oak", "2": "yew"}')
    assert not (tmp_path / "run").exists()


def test_own_networks_are_verified(vissum, tmp_path: Path):
    toys.write_photographs(tmp_path / "photos", {0: 3, 1: 2})
    answer = vissum("models", "verify", toys.MODEL, "--images", tmp_path / "photos", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["top1"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("verify", "googlenet-bvlc", "--images", "."),
            "`weights` of 'googlenet-bvlc' are not installed; name a file.",
        ),
        (("verify", "resnet", "--images", "."), "`model` 'resnet' is unknown; did you mean 'resnet"),
        (("verify", "flowernet", "--images", "no-such-folder"), "No folder 'no-such-folder'."),
        (("verify", "flowernet", "--images", ".", "--batch-size", "0"), "--batch-size must be at least 1, got 0."),
        (("convert", "none.npz", "x.npz"), "`weights`: there is no file none.npz."),
        (("convert", "none.npz", "x.txt"), "'x.txt': weights are written as .npz, .safetensors, or an Orbax folder"),
        (("convert", "none.npz", "x.npz", "--class-names", "none.txt"), "`class_names`: there is no file none.txt."),
    ],
)
def test_mistakes_end_in_one_line(vissum, tmp_path: Path, monkeypatch, arguments: tuple, message: str):
    monkeypatch.chdir(tmp_path)
    answer = vissum("models", *arguments)
    assert answer.code == 2
    assert answer.complaint.startswith(f"vissum: error: {message}")


def test_the_group_alone_is_bad_usage(vissum):
    assert vissum("models").code == 2
    assert vissum("models", "lst").code == 2
