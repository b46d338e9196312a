"""Static files, as whitenoise serves them, under the path prefix of the request."""

from django.urls import get_script_prefix
from whitenoise.storage import CompressedStaticFilesStorage


class PrefixedStaticFiles(CompressedStaticFilesStorage):  # type: ignore[misc]  # whitenoise ships no types
    """URLs begin with the prefix of the request: Django would remember that of the first one for ever."""

    def url(self, name: str | None, *arguments: object, **named: object) -> str:
        return get_script_prefix().removesuffix("/") + str(super().url(name, *arguments, **named))
