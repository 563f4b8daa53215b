"""A report, a comparison and a gallery to look at: balls on a slope, the same picture on every machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from vissum_jax.report import ClassReport, ReportConfig, RunFacts, write_report
from vissum_jax.report.compare_page import Card, CardTile, ClassSection, Match, Side, write_comparison
from vissum_jax.report.drop_plot import drop_picture
from vissum_jax.report.evaluation import read_evaluations
from vissum_jax.report.gallery import Figure, Gallery, Item, Picture, write_gallery
from vissum_jax.report.pictures import PictureStyle, summary_picture
from vissum_jax.study.tags import Tag
from vissum_jax.types import ClassSummaries, ClusterDiagnostics, MaskBatch, MaskStatus, Member, Summary

SIDE, RADIUS = 128, 22
NAMES = ("red_ball", "green_ball", "blue_ball")
PHOTOGRAPHS = 18
BOX = 2 * RADIUS + 8


def ball(class_index: int, row: int) -> tuple[np.ndarray, tuple[int, int]]:
    """A photograph and the ball's middle."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.stack([90 + 0.4 * x + 0.3 * y, 100 + 0.5 * y, 150 - 0.4 * x + 0.1 * y], axis=-1)
    middle = (40 + 37 * row % 48, 38 + 53 * row % 52)
    inside = np.hypot(y - middle[0], x - middle[1]) < RADIUS
    colour = np.full(3, 40.0)
    colour[class_index] = 225.0
    image[inside] = colour
    image[inside & ((x + y) // 6 % 2 == 0)] *= 0.8
    return np.rint(image).astype(np.uint8), middle


def class_report(class_index: int, *, photographs: int = PHOTOGRAPHS, name: str = "") -> ClassReport:
    """A class: all photographs but the last two have a mask; a large summary, a small one, and a dropped cluster."""
    balls = [ball(class_index % 3, row) for row in range(photographs)]
    images = np.stack([image for image, _ in balls])
    y, x = np.mgrid[:SIDE, :SIDE]
    salient = np.stack([np.hypot(y - cy, x - cx) < RADIUS + 3 for _, (cy, cx) in balls])
    masked = np.arange(photographs) < max(photographs - 2, 1)
    status = [MaskStatus.OK] * photographs
    if photographs > 2:
        status[-2:] = MaskStatus.SKIPPED_PREDICTION, MaskStatus.UNREADABLE
    salient &= masked[:, None, None]
    soft = np.clip(np.stack([np.hypot(y - cy, x - cx) for _, (cy, cx) in balls]) / (2 * RADIUS), 0, 1)
    gone = np.where(masked, 0.0, np.nan)

    def members(rows: range) -> tuple[Member, ...]:
        return tuple(
            Member(
                image=row,
                box=(balls[row][1][1] - BOX // 2, balls[row][1][0] - BOX // 2, BOX, BOX),
                rank=rank,
                similarity=3.0 / (rank + 1),
                ssim=0.75 - 0.02 * rank,
                exemplar=rank == 0,
                kept=rank != 4,
            )
            for rank, row in enumerate(rows)
        )

    count = int(masked.sum())
    summaries = (
        Summary(number=0, members=members(range(count)), ssim=0.7, kept=True, importance=0.875),
        Summary(number=1, members=members(range(0, count, 4)), ssim=0.6, kept=True, importance=0.25),
        Summary(
            number=2, members=members(range(min(count, 2))), ssim=0.1, kept=False, reason="2 photographs, 3 needed"
        ),
    )
    return ClassReport(
        class_index=class_index,
        class_name=name or NAMES[class_index],
        files=tuple(f"{NAMES[class_index % 3]}/{row:02}.jpg" for row in range(photographs)),
        images=images,
        masks=MaskBatch(
            soft=np.where(masked[:, None, None], soft, 1.0).astype(np.float32),
            salient=salient,
            status=tuple(status),
            reason=tuple("" if each is MaskStatus.OK else f"because it is {each}" for each in status),
            class_index=np.full(photographs, class_index),
            predicted_index=np.where(masked, class_index, 0),
            p_original=np.linspace(0.99, 0.7, photographs),
            p_soft=np.full(photographs, 0.01) + gone,
            p_binary=np.linspace(0.001, 0.1, photographs) + gone,
            area=salient.mean((1, 2)) + gone,
            transfer_drop=np.full(photographs, 0.9) + gone,
            components=masked.astype(int),
            passes=np.full(photographs, 160),
        ),
        summaries=ClassSummaries(
            class_index=class_index,
            summaries=summaries,
            diagnostics=ClusterDiagnostics(images=count, proposals=9 * count, clustered=2 * count),
        ),
        perturbed=np.where(salient[..., None], images.mean((1, 2), keepdims=True), images).astype(np.uint8),
    )


def facts(run: Path) -> RunFacts:
    """What holds for the run; an evaluation is read from its folder."""
    folder = run / "evaluation"
    folder.mkdir(parents=True)
    table = {"headings": ["masks", "drop", "area"], "lines": [["ours", "0.999", "0.10"], ["theirs", "0.990", "0.20"]]}
    (folder / "drop.json").write_text(json.dumps({"fingerprint": "f", "images": 48, "table": table}))
    curve = np.linspace(0, 1, 11)
    plot = drop_picture({"random": curve, "rise": np.sqrt(curve)}, curve[2:5] / 3, 1 - curve[2:5] / 9, label="ours")
    (folder / "drop.png").write_bytes(plot)
    return RunFacts(
        model="ball-net",
        preset="compact",
        class_names=NAMES,
        configuration={"masks": {"steps": 160, "grid": 14}, "seed": 0},
        versions={"jax": "0.10.2"},
        device="1 x cpu",
        timings={"masks": 12.3},
        evaluations=read_evaluations(run, "f"),
        tags={(0, 0): Tag(class_index=0, summary=0, tag="stripes", share=0.8, participants=5)},
    )


def write_site(root: Path, *, config: ReportConfig | None = None) -> Path:
    """The report of three classes, in ``root/report``; its first page."""
    classes = (class_report(index) for index in range(len(NAMES)))
    return write_report(root / "report", facts(root), classes, config=config)


def write_compared(root: Path) -> Path:
    """A comparison of two networks, beside the report."""

    def card(number: int, rows: range) -> Card:
        tiles = []
        for row in rows:
            image, (y, x) = ball(0, row)
            inside = np.hypot(*(np.mgrid[:SIDE, :SIDE] - np.array([y, x])[:, None, None])) < RADIUS
            box = (x - BOX // 2, y - BOX // 2, BOX, BOX)
            picture = summary_picture(image, inside, box, PictureStyle())
            tiles.append(CardTile(f"red_ball/{row:02}.jpg", picture, f"../report/classes/0/photograph-{row}.html"))
        return Card(number, 2 * len(rows), tiles, f"../report/classes/0/index.html#summary-{number}")

    folder = root / "compared"
    folder.mkdir()
    section = ClassSection(
        name="red_ball",
        photographs=16,
        reasons=("", ""),
        only=([card(1, range(3))], [card(2, range(3, 9))]),
        matched=[Match(card(2, range(6)), card(1, range(6)), 0.42, 7, 0.61)],
    )
    other = ClassSection(
        name="green_ball", photographs=16, reasons=("nothing is salient", ""), only=([], []), matched=[]
    )
    sides = (Side("ball-net", "runs/ball", "compact", "../report"), Side("other-net", "runs/other", "paper"))
    return write_comparison(folder, sides, [section, other])


def write_pictures(root: Path) -> Path:
    """A gallery of two classes."""
    gallery = Gallery(
        model="ball-net",
        kind="Saliency",
        title="Which pixels the score depends on",
        lede="The hotter, the more.",
        figures=(Figure("photographs", "8"),),
    )
    sections = {
        name: [
            Item(
                title=f"{row:02}.jpg",
                pictures=[Picture("photograph", f"Photograph {row}", ball(index, row)[0])],
                facts=[("probability", "0.9")],
                warning="the network answers another class" if row == 2 else "",
            )
            for row in range(4)
        ]
        for index, name in enumerate(NAMES[:2])
    }
    return write_gallery(root / "gallery", gallery, sections)
