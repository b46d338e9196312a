from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("blocks", "0006_answers_by_index"),
    ]

    operations = [
        # Both tables hold what a running synchronizer reports anew within seconds.
        migrations.RunSQL("DELETE FROM incomplete_heights; DELETE FROM endpoint_states", migrations.RunSQL.noop),
        migrations.RenameModel("IncompleteHeight", "IncompleteRange"),
        migrations.RenameField("IncompleteRange", "height", "first_height"),
        migrations.AddField(
            "IncompleteRange", "last_height", models.BigIntegerField(default=0), preserve_default=False
        ),
        migrations.AlterModelOptions(
            "IncompleteRange",
            {
                "verbose_name": "incomplete range of heights",
                "verbose_name_plural": "incomplete ranges of heights",
            },
        ),
        migrations.AlterField(
            "EndpointState",
            "url",
            models.TextField(
                help_text="Scheme, host and port; numbered where several share them.", primary_key=True, serialize=False
            ),
        ),
        migrations.AlterField(
            "EndpointState",
            "tip",
            models.BigIntegerField(help_text="Highest height of which it showed the block, -1 until it has answered."),
        ),
        migrations.AlterField(
            "EndpointState",
            "trouble",
            models.TextField(blank=True, help_text="Why it is not in use; empty when all is well."),
        ),
        migrations.AlterField(
            "EndpointState", "seen_at", models.DateTimeField(help_text="When this state was reported.")
        ),
        migrations.AddField(
            "EndpointState",
            "answered_at",
            models.DateTimeField(help_text="When it last gave a usable answer about its tip.", null=True),
        ),
        migrations.CreateModel(
            name="SynchronizerState",
            fields=[
                ("name", models.TextField(help_text="Host and process id.", primary_key=True, serialize=False)),
                ("leads", models.BooleanField(help_text="Whether it is the one that writes.")),
                ("since", models.DateTimeField(help_text="Since when it leads, or stands by.")),
                ("seen_at", models.DateTimeField(help_text="Its last sign of life.")),
            ],
            options={"db_table": "synchronizer_states"},
        ),
        migrations.AddField(
            "Chain",
            "first_height",
            models.BigIntegerField(
                help_text="Height of the chain's first block after genesis; empty until it is known.", null=True
            ),
        ),
        migrations.AddField(
            "Chain",
            "first_height_proven",
            models.BooleanField(
                db_default=False,
                help_text="Its first block has no predecessor. Otherwise no endpoint has anything below it, genesis included.",
            ),
        ),
        migrations.AddField(
            "Chain",
            "conflict",
            models.TextField(
                blank=True,
                db_default="",
                help_text="Two blocks that do not link, with both hashes; empty when all is well.",
            ),
        ),
        migrations.AddField(
            "Chain",
            "conflict_height",
            models.BigIntegerField(help_text="Height of the upper of these two blocks.", null=True),
        ),
        migrations.AddField(
            "Chain",
            "conflict_stored",
            models.BooleanField(
                db_default=False,
                help_text="Both blocks are stored, so that nothing from this height on can be trusted.",
            ),
        ),
    ]
