"""Transfers are indexed by account in segments of the chain; those that are there already are in the first one.

No default is left: what a processor of an older version applies would be in the wrong segment. It is refused, and sets its
messages aside, until it is stopped; `deadletters redrive --all` brings them back.
"""

from django.db import migrations, models

_VIEW = """
CREATE OR REPLACE VIEW transfer_rows AS
SELECT block_height || '-' || tx_index || '-' || event_index AS key, block_height, from_account_id, to_account_id,
       tx_index, event_index, token_id, amount{segment} FROM transfers
"""


class Migration(migrations.Migration):
    dependencies = [
        ("balances", "0006_addresses_by_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="TransferSegment",
            fields=[
                ("first_height", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "bytes_before",
                    models.BigIntegerField(help_text="How large the table of transfers was when it began."),
                ),
            ],
            options={
                "db_table": "transfer_segments",
            },
        ),
        migrations.RemoveIndex(
            model_name="transfer",
            name="transfer_from",
        ),
        migrations.RemoveIndex(
            model_name="transfer",
            name="transfer_to",
        ),
        migrations.AddField(
            model_name="transfer",
            name="segment",
            field=models.BigIntegerField(
                default=0, help_text="First height of its segment: by it transfers are indexed by account."
            ),
            preserve_default=False,
        ),
        migrations.AddIndex(
            model_name="transfer",
            index=models.Index(
                fields=["segment", "from_account", "block_height", "tx_index", "event_index"], name="transfer_from"
            ),
        ),
        migrations.AddIndex(
            model_name="transfer",
            index=models.Index(
                fields=["segment", "to_account", "block_height", "tx_index", "event_index"], name="transfer_to"
            ),
        ),
        migrations.AddField(
            model_name="transferrow",
            name="segment",
            field=models.BigIntegerField(
                default=0, help_text="First height of its segment: by it transfers are indexed by account."
            ),
            preserve_default=False,
        ),
        migrations.RunSQL(_VIEW.format(segment=", segment"), "DROP VIEW transfer_rows;" + _VIEW.format(segment="")),
    ]
