from django.apps import AppConfig


class IndexerProjectConfig(AppConfig):
    name = "indexer_project"

    def ready(self) -> None:
        from django.db.backends.signals import connection_created

        from events import dead_letters
        from indexer_project import checks, databases, wiring  # noqa: F401  # importing checks registers them

        connection_created.connect(databases.prepare_session, dispatch_uid="session settings")
        dead_letters.open_queue = wiring.dead_letter_queue
