"""Tokens of scripts (gno.land/e/…) are not standard, and come after the others in lists."""

from django.db import migrations, models

NOT_STANDARD = "UPDATE tokens SET standard = false WHERE standard AND split_part(path, '/', 2) = 'e'"


class Migration(migrations.Migration):
    dependencies = [
        ("balances", "0007_segments"),
    ]

    operations = [
        # What it changes is a rule: going back, `manage.py reparse` by the older rules makes it so again.
        migrations.RunSQL(NOT_STANDARD, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="token",
            name="standard",
            field=models.BooleanField(
                help_text="Stamped by the chain's GRC20 library, or of a chain that had none; never of a script."
            ),
        ),
        migrations.AddField(
            model_name="token",
            name="listing_key",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Func(
                    models.F("path"),
                    template="(CASE WHEN split_part(%(expressions)s, '/', 2) = 'e' THEN '~' ELSE '' END"
                    " || %(expressions)s)",
                ),
                help_text="The order of lists of all tokens: by path, those of scripts after all others.",
                output_field=models.TextField(db_collation="C"),
            ),
        ),
        migrations.AddIndex(
            model_name="token",
            index=models.Index(fields=["listing_key"], name="token_listing"),
        ),
    ]
