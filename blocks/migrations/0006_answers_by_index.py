"""What a page of transfers shows of blocks and transactions stands in their keys' indexes.

Its rows are met at random: a visit to the table besides the index is a page read from somewhere else, for each row of
the page. Django has no `INCLUDE` for primary keys.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("blocks", "0005_chain_waiting"),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE blocks DROP CONSTRAINT blocks_pkey,"
            ' ADD CONSTRAINT blocks_pkey PRIMARY KEY (height) INCLUDE ("time")',
            "ALTER TABLE blocks DROP CONSTRAINT blocks_pkey, ADD CONSTRAINT blocks_pkey PRIMARY KEY (height)",
        ),
        migrations.RunSQL(
            "ALTER TABLE transactions DROP CONSTRAINT transactions_pkey,"
            " ADD CONSTRAINT transactions_pkey PRIMARY KEY (block_height, index) INCLUDE (hash)",
            "ALTER TABLE transactions DROP CONSTRAINT transactions_pkey,"
            " ADD CONSTRAINT transactions_pkey PRIMARY KEY (block_height, index)",
        ),
    ]
