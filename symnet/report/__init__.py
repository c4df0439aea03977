"""The report on a model: formulas, derivations, kernels, costs and training on one page."""

from __future__ import annotations

from symnet.report.page import Report as Report
from symnet.report.page import make_report as make_report
from symnet.report.recorder import Recorder as Recorder
from symnet.report.subject import Parts as Parts
from symnet.report.subject import Subject as Subject
