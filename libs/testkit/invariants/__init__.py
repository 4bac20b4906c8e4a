"""Checks the twenty invariants on a running or drained system; reads the database and the topics, writes nothing."""

from libs.testkit.invariants.findings import Finding
from libs.testkit.invariants.run import CHECKS, check_all

__all__ = ["CHECKS", "Finding", "check_all"]
