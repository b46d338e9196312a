"""Transfers are indexed by account alone, and holders by amount, kept with the balances: no segments, no deferred list."""

from django.db import migrations, models
from django.db.models import Q

TRANSFER_ROWS = """
CREATE VIEW transfer_rows AS
SELECT block_height || '-' || tx_index || '-' || event_index AS key, block_height, from_account_id, to_account_id,
       tx_index, event_index, token_id, amount{segment} FROM transfers
"""
BALANCE_ROWS = """
CREATE VIEW balance_rows AS
SELECT token_id || '-' || account_id AS key, balances.* FROM balances
"""
# On the way back every balance is in the list of holders again.
RANK = """
UPDATE balances SET ranked_amount = amount, address = accounts.address
FROM accounts WHERE accounts.id = balances.account_id
"""
DROP_VIEWS = "DROP VIEW transfer_rows; DROP VIEW balance_rows"


class Migration(migrations.Migration):
    dependencies = [("balances", "0008_token_listing")]

    operations = [
        migrations.RunSQL(DROP_VIEWS, TRANSFER_ROWS.format(segment=", segment") + ";" + BALANCE_ROWS),
        migrations.RemoveIndex("transfer", "transfer_from"),
        migrations.RemoveIndex("transfer", "transfer_to"),
        migrations.RemoveIndex("balance", "balance_holders"),
        migrations.RemoveIndex("balance", "balance_token"),
        # The default is for the way back, which adds the column again: all transfers are then in the first segment.
        migrations.AlterField("transfer", "segment", models.BigIntegerField(db_default=0)),
        migrations.RemoveField("transfer", "segment"),
        migrations.RemoveField("transferrow", "segment"),
        migrations.RunSQL(migrations.RunSQL.noop, RANK),
        migrations.RemoveField("balance", "ranked_amount"),
        migrations.RemoveField("balance", "address"),
        migrations.DeleteModel("TransferSegment"),
        migrations.DeleteModel("Ranking"),
        migrations.AddIndex(
            "transfer",
            models.Index(fields=["from_account", "block_height", "tx_index", "event_index"], name="transfer_from"),
        ),
        migrations.AddIndex(
            "transfer",
            models.Index(fields=["to_account", "block_height", "tx_index", "event_index"], name="transfer_to"),
        ),
        migrations.AddIndex(
            "balance",
            models.Index(fields=["token", "-amount", "account"], name="balance_holders", condition=Q(amount__gt=0)),
        ),
        migrations.AddIndex(
            "balance",
            models.Index(fields=["token", "-amount", "account"], name="balance_rest", condition=Q(amount__lte=0)),
        ),
        migrations.AddIndex("balance", models.Index(fields=["token", "account"], name="balance_token")),
        migrations.RunSQL(TRANSFER_ROWS.format(segment="") + ";" + BALANCE_ROWS, DROP_VIEWS),
    ]
