"""The stages composed: in memory for a notebook, from files to files for a run."""

from vissum_jax.pipeline.memory import SummarySet, extract_masks, summarize
from vissum_jax.pipeline.outcome import Outcome, outcome
from vissum_jax.pipeline.settings import RunConfig, StageConfigs, read_settings
from vissum_jax.pipeline.stages import (
    ChangedError,
    NotReadyError,
    Run,
    mask_stage,
    open_run,
    report_stage,
    start_run,
    summary_stage,
)

__all__ = [
    "ChangedError",
    "NotReadyError",
    "Outcome",
    "Run",
    "RunConfig",
    "StageConfigs",
    "SummarySet",
    "extract_masks",
    "mask_stage",
    "open_run",
    "outcome",
    "read_settings",
    "report_stage",
    "start_run",
    "summarize",
    "summary_stage",
]
