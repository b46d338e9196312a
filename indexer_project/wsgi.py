"""The API and the admin for a WSGI server: `granian --interface wsgi indexer_project.wsgi:application`."""

import logging
import os
import warnings

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from indexer_project.checks import require

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "indexer_project.settings")
require("database", "api", "metrics")


def use_pool(size: int) -> None:
    """Let the requests of this process share up to `size` database connections.

    Only here: the other processes hold session locks on their connections and LISTEN on them, and a pool would hand
    these to others. Django asks that pooled connections are not kept by a thread as well, hence no `CONN_MAX_AGE`.
    """
    database = settings.DATABASES["default"]
    database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": size, "timeout": 5}
    database["CONN_MAX_AGE"] = 0


# WhiteNoise serves the files from where they are installed when none were collected: that is no news.
warnings.filterwarnings("ignore", "No directory at", UserWarning)

if settings.DATABASE_POOL_SIZE:
    use_pool(settings.DATABASE_POOL_SIZE)

application = get_wsgi_application()

from indexer_project.metrics import MetricsPortTaken, serve_metrics  # noqa: E402  # it reads tables, and models are there only now

try:
    serve_metrics(dict)
except MetricsPortTaken:
    # Of several server processes on one machine the first has the port, and what it tells is read from the database.
    logging.getLogger(__name__).info("Metrics are served by another process port=%d", settings.METRICS_PORT)
