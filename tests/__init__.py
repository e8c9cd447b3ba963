"""The tests: trial test cases, a module for a module; see CONTRIBUTING.rst."""

from tests.support.tiers import forbidProcesses

forbidProcesses()
