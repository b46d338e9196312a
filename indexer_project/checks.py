"""Bad settings are refused by the variable's name: as system checks, and by each process for its own part."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.management.base import CommandError

from indexer_project.environment import PARTS


@register("settings")
def check_values(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Wrong values are errors everywhere; what is missing concerns only the process that needs it (`require`)."""
    return [
        Error(problem.message, hint=problem.hint, id=f"indexer.E{PARTS.index(problem.part) + 1:03d}", obj=problem.name)
        for problem in settings.SETTINGS_PROBLEMS
        if not problem.missing
    ]


def require(*parts: str) -> None:
    """Refuse to start a process whose `parts` of the configuration are missing or wrong; raises CommandError."""
    wrong = [problem for problem in settings.SETTINGS_PROBLEMS if problem.part in parts]
    if wrong:
        raise CommandError("\n".join(f"{problem.message} {problem.hint}" for problem in wrong))
