from django.db import migrations, models
from django.db.models import Q

BALANCE_ROWS = """
CREATE VIEW balance_rows AS
SELECT token_id || '-' || account_id AS key, balances.* FROM balances
"""

RANK = """
UPDATE balances SET ranked_amount = balances.amount, transfers = coalesce(moved.number, 0)
FROM balances AS same LEFT JOIN (
    SELECT account_id, token_id, count(*) AS number FROM (
        SELECT to_account_id AS account_id, token_id FROM transfers WHERE to_account_id IS NOT NULL
        UNION ALL
        SELECT from_account_id, token_id FROM transfers
        WHERE from_account_id IS NOT NULL AND from_account_id IS DISTINCT FROM to_account_id
    ) AS sides GROUP BY account_id, token_id
) AS moved USING (account_id, token_id)
WHERE balances.account_id = same.account_id AND balances.token_id = same.token_id
"""


class Migration(migrations.Migration):
    """The list of holders gets a column of its own, so that a change of an amount changes no index."""

    dependencies = [("balances", "0002_transfer_and_balance_rows")]
    operations = [
        migrations.RunSQL("DROP VIEW balance_rows", BALANCE_ROWS),
        migrations.RemoveIndex("balance", "balance_holders"),
        migrations.RemoveIndex("balance", "balance_negative"),
        migrations.AddField(
            "balance",
            "transfers",
            models.BigIntegerField(db_default=0, help_text="Of this token, from or to this account."),
        ),
        migrations.AddField(
            "balance",
            "ranked_amount",
            models.DecimalField(
                max_digits=78, decimal_places=0, null=True, help_text="Where the list of holders has it; null: not yet."
            ),
        ),
        migrations.AlterField(
            "balance",
            "address",
            models.TextField(
                db_collation="C",
                null=True,
                help_text="The account's address again: holders are ordered by it. null: not yet.",
            ),
        ),
        migrations.RunSQL(RANK, migrations.RunSQL.noop),
        # Room on each page for the next version of a row: without it, no update stays on its page.
        migrations.RunSQL("ALTER TABLE balances SET (fillfactor = 85)", "ALTER TABLE balances RESET (fillfactor)"),
        migrations.AddIndex(
            "balance",
            models.Index(
                fields=["token", "-ranked_amount", "address"],
                name="balance_holders",
                condition=Q(ranked_amount__isnull=False),
            ),
        ),
        migrations.AddIndex(
            "balance",
            models.Index(fields=["token", "account"], name="balance_token", condition=Q(ranked_amount__isnull=False)),
        ),
        migrations.RunSQL(BALANCE_ROWS, "DROP VIEW balance_rows"),
        migrations.CreateModel(
            name="Ranking",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("level", "every balance is where it belongs"),
                            ("behind", "balances moved and the list did not follow"),
                            ("passing", "being brought up to date"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "indexed_height",
                    models.BigIntegerField(help_text="Everything up to here is in the list, unless it is level."),
                ),
                (
                    "passing_to",
                    models.BigIntegerField(
                        null=True, help_text="Everything up to here will be, after the pass under way."
                    ),
                ),
                ("passed_at", models.DateTimeField(help_text="When it was last up to date, or being brought so.")),
                ("pass_seconds", models.FloatField(db_default=0, help_text="How long that took.")),
            ],
            options={
                "verbose_name": "ranking of holders",
                "verbose_name_plural": "ranking of holders",
                "db_table": "ranking",
                "constraints": [models.CheckConstraint(condition=Q(id=1), name="ranking_is_one")],
            },
        ),
    ]
