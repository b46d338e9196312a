"""An account's address stands in the index of its key: pages of transfers show addresses met at random.

Django has no `INCLUDE` for primary keys.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("balances", "0005_account_ids_by_index"),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE accounts DROP CONSTRAINT accounts_pkey,"
            " ADD CONSTRAINT accounts_pkey PRIMARY KEY (id) INCLUDE (address)",
            "ALTER TABLE accounts DROP CONSTRAINT accounts_pkey, ADD CONSTRAINT accounts_pkey PRIMARY KEY (id)",
        ),
    ]
