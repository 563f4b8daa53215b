"""The static report and its pictures."""

from vissum_jax.report.config import ReportConfig as ReportConfig
from vissum_jax.report.model import ClassReport as ClassReport
from vissum_jax.report.model import RunFacts as RunFacts
from vissum_jax.report.site import ReportWriter as ReportWriter
from vissum_jax.report.site import write_report as write_report
