"""The API and the admin for a WSGI server: `granian --interface wsgi indexer_project.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "indexer_project.settings")

application = get_wsgi_application()
