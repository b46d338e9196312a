"""The API and the admin for a WSGI server: `granian --interface wsgi indexer_project.wsgi:application`."""

import gc
import logging
import os
import sys
import warnings

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import InterfaceError, OperationalError, connection

from indexer_project.checks import require
from indexer_project.database_checks import check_database
from indexer_project.databases import serve_from
from indexer_project.embedded_postgres import ensure_database_url

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "indexer_project.settings")
ensure_database_url(sys.argv)
require("database", "api", "metrics")


# WhiteNoise serves the files from where they are installed when none were collected: that is no news.
warnings.filterwarnings("ignore", "No directory at", UserWarning)

serve_from(
    settings.DATABASES["default"],
    settings.READ_DATABASE,
    timeout=settings.STATEMENT_TIMEOUT_SECONDS,
    pool_size=settings.DATABASE_POOL_SIZE,
)

_django = get_wsgi_application()

try:
    check_database()
except (OperationalError, InterfaceError) as error:
    logging.getLogger(__name__).warning("The database does not answer yet error=%s", str(error).strip())
finally:
    connection.close()

# They read tables and routes, and models are there only now.
from balances.api.fast_path import FastPath  # noqa: E402
from indexer_project.metrics import MetricsPortTaken, serve_metrics  # noqa: E402

application = FastPath(_django)

# What is there now stays. Looking through it for garbage would stop the process for a tenth of a second now and then.
gc.collect()
gc.freeze()

try:
    serve_metrics(dict)
except MetricsPortTaken:
    # Of several server processes on one machine the first has the port, and what it tells is read from the database.
    logging.getLogger(__name__).info("Metrics are served by another process port=%d", settings.METRICS_PORT)
