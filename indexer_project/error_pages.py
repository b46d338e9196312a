"""Django's error pages with details (DEBUG=true) without addresses that may hold a password."""

import re

from django.views.debug import SafeExceptionReporterFilter


class HideAddresses(SafeExceptionReporterFilter):
    """What Django hides by the name of a setting or variable, and URLs of endpoints, databases and proxies."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|_URLS?$|PROXY", re.IGNORECASE)
