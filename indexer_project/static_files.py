"""Static files storage: WhiteNoise, with URLs under the path prefix of the request."""

from django.urls import get_script_prefix
from whitenoise.storage import CompressedStaticFilesStorage


class PrefixedStaticFiles(CompressedStaticFilesStorage):  # type: ignore[misc]  # whitenoise ships no types
    """Prefix each URL by the current request: Django caches the prefix of the first request for good."""

    def url(self, name: str | None, *arguments: object, **named: object) -> str:
        return get_script_prefix().removesuffix("/") + str(super().url(name, *arguments, **named))
