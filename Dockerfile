# One image for every process; the command says which (docker-compose.yml).
FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home indexer
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY manage.py .
COPY indexer_project indexer_project
COPY postgres postgres
COPY blocks blocks
COPY events events
COPY balances balances
# Collecting needs settings and no database; the key is for this one command.
RUN SECRET_KEY=collectstatic DATABASE_URL=postgresql://unused@unused/unused python manage.py collectstatic --no-input
USER indexer
EXPOSE 8000 8001
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "4", "indexer_project.wsgi:application"]
