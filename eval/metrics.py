"""What is measured of a judge on a benchmark."""

from __future__ import annotations

from judge.measures import FirstErrorMetrics, first_error_metrics

__all__ = ["FirstErrorMetrics", "first_error_metrics"]
