from django.db import migrations

TRANSFER_ROWS = """
CREATE VIEW transfer_rows AS
SELECT block_height || '-' || tx_index || '-' || event_index AS key, transfers.* FROM transfers
"""

BALANCE_ROWS = """
CREATE VIEW balance_rows AS
SELECT token_id || '-' || account_id AS key, balances.* FROM balances
"""


class Migration(migrations.Migration):
    """The admin needs one column as a key; a view gives it without an index more on the table."""

    dependencies = [("balances", "0001_initial")]
    operations = [
        migrations.RunSQL(TRANSFER_ROWS, "DROP VIEW transfer_rows"),
        migrations.RunSQL(BALANCE_ROWS, "DROP VIEW balance_rows"),
    ]
