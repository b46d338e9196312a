from django.db import migrations

VIEW = """
CREATE VIEW transaction_rows AS
SELECT block_height || '-' || index AS key, transactions.* FROM transactions
"""


class Migration(migrations.Migration):
    """The admin needs one column as a key; a view gives it without an index more on the table."""

    dependencies = [("blocks", "0001_initial")]
    operations = [migrations.RunSQL(VIEW, "DROP VIEW transaction_rows")]
