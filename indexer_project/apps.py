from django.apps import AppConfig


class IndexerProjectConfig(AppConfig):
    name = "indexer_project"

    def ready(self) -> None:
        from indexer_project import checks  # noqa: F401  # importing checks registers them
