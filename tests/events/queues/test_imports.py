"""boto3 is imported where the queue is SQS, and nowhere else."""

import subprocess
import sys

from tests.conftest import ROOT

PROGRAM = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "indexer_project.settings"
import django
django.setup()
import balances.processor, indexer_project.wiring
import indexer_project.management.commands.processevents, indexer_project.management.commands.runsync
print(sorted(name for name in sys.modules if name.split(".")[0] in ("boto3", "botocore")))
"""


def test_the_processes_do_not_import_boto3_with_the_postgres_queue() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
