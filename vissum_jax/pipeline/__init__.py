"""The stages composed: in memory for a notebook, from files to files for a run."""

from vissum_jax.pipeline.memory import SummarySet, extract_masks, summarize
from vissum_jax.pipeline.outcome import Outcome, outcome
from vissum_jax.pipeline.preflight import LabelCheck, LabelCheckError, check_labels
from vissum_jax.pipeline.run import NotReadyError, Run, open_run, start_run
from vissum_jax.pipeline.settings import RunConfig, StageConfigs, read_settings
from vissum_jax.pipeline.stages import ChangedError, mask_stage, preflight, report_stage, summary_stage

__all__ = [
    "ChangedError",
    "LabelCheck",
    "LabelCheckError",
    "NotReadyError",
    "Outcome",
    "Run",
    "RunConfig",
    "StageConfigs",
    "SummarySet",
    "check_labels",
    "extract_masks",
    "mask_stage",
    "open_run",
    "outcome",
    "preflight",
    "read_settings",
    "report_stage",
    "start_run",
    "summarize",
    "summary_stage",
]
