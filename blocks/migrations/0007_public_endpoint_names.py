"""Forget what was stored with the whole address of an endpoint: it may hold credentials, and is written anew.

From here on tables have the public name of an endpoint only: scheme, host and port.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("blocks", "0006_answers_by_index"),
    ]

    operations = [
        migrations.RunSQL(
            "DELETE FROM endpoint_states; UPDATE incomplete_heights SET reason = ''", migrations.RunSQL.noop
        ),
    ]
