from django.apps import AppConfig


class IndexerProjectConfig(AppConfig):
    name = "indexer_project"

    def ready(self) -> None:
        from events.queues import dead_letters
        from indexer_project import checks, wiring  # noqa: F401  # importing checks registers them

        dead_letters.open_queue = wiring.dead_letter_queue
