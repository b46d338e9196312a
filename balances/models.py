"""Tokens, accounts, transfers and balances.

Token paths and addresses are interned (`Token`, `Account`): transfers are the largest table, and three 40-byte strings
a row would triple it and each of its indexes. No foreign key is checked by the database on the hot tables: ids come
from the same transaction that writes them.
"""

from django.db import models
from django.db.models import Q

MAX_AMOUNT = 10**78 - 1
"""The largest value of `numeric(78, 0)`, the type of every amount."""


class Token(models.Model):
    """A token by its id exactly as the chain gives it (`path`), with the metadata of its first `NewToken`."""

    id = models.AutoField(primary_key=True)
    path = models.TextField(db_collation="C", help_text="The token's id, to the letter.")
    key = models.TextField(db_collation="C", help_text="realm.SYMBOL; the path itself for realm-stamped tokens.")
    realm = models.TextField(db_collation="C", help_text="The realm that holds the token.")
    standard = models.BooleanField(
        help_text="Stamped by the chain's GRC20 library, or of a chain that had none; never of a script."
    )
    name = models.TextField(blank=True, db_default="")
    symbol = models.TextField(blank=True, db_default="")
    decimals = models.SmallIntegerField(null=True)
    announcements = models.IntegerField(db_default=0, help_text="NewToken events for this id; more than one: doubt.")
    # Tokens of scripts are free to make, and would fill the first page of every list.
    listing_key = models.GeneratedField(
        expression=models.Func(
            models.F("path"),
            template="(CASE WHEN split_part(%(expressions)s, '/', 2) = 'e' THEN '~' ELSE '' END || %(expressions)s)",
        ),
        output_field=models.TextField(db_collation="C"),
        db_persist=True,
        help_text="The order of lists of all tokens: by path, those of scripts after all others.",
    )

    class Meta:
        db_table = "tokens"
        # Constraints rather than unique=True, which would make a second index, for LIKE.
        constraints = [models.UniqueConstraint(fields=["path"], name="token_path_unique")]
        indexes = [
            models.Index(fields=["key", "path"], name="token_key"),
            models.Index(fields=["realm", "path"], name="token_realm"),
            models.Index(fields=["listing_key"], name="token_listing"),
        ]

    def __str__(self) -> str:
        return self.path


class TokenTotals(models.Model):
    """Sums over a token's transfers, kept with them. Raw units; `supply` is minted − burned."""

    token = models.OneToOneField(Token, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="totals")
    minted = models.DecimalField(max_digits=78, decimal_places=0, db_default=0)
    burned = models.DecimalField(max_digits=78, decimal_places=0, db_default=0)
    transfers = models.BigIntegerField(db_default=0)
    holders = models.BigIntegerField(db_default=0, help_text="Accounts with more than zero.")

    class Meta:
        db_table = "token_totals"
        verbose_name_plural = "token totals"

    def __str__(self) -> str:
        return f"totals of token {self.token_id}"


class Announcement(models.Model):
    """A `NewToken` event of a trusted library; the first one names the token, a second one casts doubt on it."""

    block_height = models.BigIntegerField()
    tx_index = models.IntegerField()
    event_index = models.IntegerField()
    token = models.ForeignKey(Token, models.DO_NOTHING, db_constraint=False, db_index=False)
    name = models.TextField()
    symbol = models.TextField()
    decimals = models.SmallIntegerField()

    class Meta:
        db_table = "announcements"
        constraints = [
            models.UniqueConstraint(
                fields=["block_height", "tx_index", "event_index"], name="announcement_position_unique"
            )
        ]
        indexes = [models.Index(fields=["token", "block_height", "tx_index", "event_index"], name="announcement_token")]

    def __str__(self) -> str:
        return f"NewToken at {self.block_height}/{self.tx_index}/{self.event_index}"


class Account(models.Model):
    """A ledger key, to the letter: addresses that differ by case are different accounts."""

    address = models.TextField(db_collation="C")

    class Meta:
        db_table = "accounts"
        # With the id, so that an address is looked up without a visit to the table.
        constraints = [models.UniqueConstraint(fields=["address"], include=["id"], name="account_address_unique")]

    def __str__(self) -> str:
        return self.address


class TransferColumns(models.Model):
    """Columns of a transfer, shared by the table and the admin's view of it."""

    block_height = models.BigIntegerField()
    from_account = models.ForeignKey(
        Account, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    to_account = models.ForeignKey(
        Account, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    tx_index = models.IntegerField()
    event_index = models.IntegerField(help_text="Position among all events of the transaction, from 0.")
    token = models.ForeignKey(Token, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    amount = models.DecimalField(max_digits=78, decimal_places=0)

    class Meta:
        abstract = True

    @property
    def type(self) -> str:
        """`mint`, `burn` or `transfer`: which side is empty decides, never what the event calls itself."""
        if self.from_account_id is None:
            return "mint"
        return "burn" if self.to_account_id is None else "transfer"


class Transfer(TransferColumns):
    """A movement of a token; a mint has no `from_account`, a burn no `to_account`."""

    pk = models.CompositePrimaryKey("block_height", "tx_index", "event_index")

    class Meta:
        db_table = "transfers"
        indexes = [
            models.Index(fields=["from_account", "block_height", "tx_index", "event_index"], name="transfer_from"),
            models.Index(fields=["to_account", "block_height", "tx_index", "event_index"], name="transfer_to"),
            models.Index(fields=["token", "block_height", "tx_index", "event_index"], name="transfer_token"),
        ]

    def __str__(self) -> str:
        return f"transfer {self.block_height}/{self.tx_index}/{self.event_index}"


class TransferRow(TransferColumns):
    """The admin's view of `transfers`: Django's admin cannot register a model with a composite key."""

    key = models.TextField(primary_key=True)

    class Meta:
        managed = False
        db_table = "transfer_rows"
        verbose_name = "transfer"
        constraints = [
            models.UniqueConstraint(fields=["block_height", "tx_index", "event_index"], name="transfer_row_position")
        ]

    def __str__(self) -> str:
        return self.key


class BalanceColumns(models.Model):
    """Columns of a balance, shared by the table and the admin's view of it."""

    token = models.ForeignKey(Token, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    account = models.ForeignKey(Account, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    amount = models.DecimalField(max_digits=78, decimal_places=0)
    transfers = models.BigIntegerField(db_default=0, help_text="Of this token, from or to this account.")

    class Meta:
        abstract = True


class Balance(BalanceColumns):
    """What an account holds of a token: the sum of its transfers, never clamped, so it may be negative for a while."""

    pk = models.CompositePrimaryKey("account_id", "token_id")

    class Meta:
        db_table = "balances"
        indexes = [
            models.Index(fields=["token", "-amount", "account"], name="balance_holders", condition=Q(amount__gt=0)),
            models.Index(fields=["token", "-amount", "account"], name="balance_rest", condition=Q(amount__lte=0)),
            models.Index(fields=["token", "account"], name="balance_token"),
        ]

    def __str__(self) -> str:
        return f"balance of account {self.account_id} of token {self.token_id}"


class BalanceRow(BalanceColumns):
    """The admin's view of `balances`: Django's admin cannot register a model with a composite key."""

    key = models.TextField(primary_key=True)

    class Meta:
        managed = False
        db_table = "balance_rows"
        verbose_name = "balance"
        constraints = [models.UniqueConstraint(fields=["account", "token"], name="balance_row_pair")]

    def __str__(self) -> str:
        return self.key


class CheckpointWalk(models.Model):
    """How far checkpoints are made (`balances/history/checkpoints.py`); one row, none before the first walk."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    height = models.BigIntegerField(help_text="Marks up to here count; movements up to here are counted.")
    claimed = models.BigIntegerField(help_text="Up to here somebody may be counting: what is applied below is late.")
    stale = models.BooleanField(help_text="Marks above the height wait to be deleted.")

    class Meta:
        db_table = "checkpoint_walk"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="checkpoint_walk_is_one")]

    def __str__(self) -> str:
        return f"checkpoints up to height {self.height}"


class CheckpointCount(models.Model):
    """How often an account moved since its last mark, or what is more; `due` when that is enough for another."""

    account_id = models.BigIntegerField(primary_key=True)
    movements = models.BigIntegerField()
    due = models.BooleanField()

    class Meta:
        db_table = "checkpoint_counts"
        indexes = [models.Index(fields=["account_id"], name="checkpoint_due", condition=Q(due=True))]

    def __str__(self) -> str:
        return f"{self.movements} movements of account {self.account_id}"


class CheckpointMark(models.Model):
    """A height as of which the balances of an account are known; account 0 is nobody, the empty side of a transfer."""

    pk = models.CompositePrimaryKey("account_id", "block_height")
    account_id = models.BigIntegerField()
    block_height = models.BigIntegerField()

    class Meta:
        db_table = "checkpoint_marks"

    def __str__(self) -> str:
        return f"mark of account {self.account_id} at {self.block_height}"


class BalanceCheckpoint(models.Model):
    """What an account held at a mark of its own of a token that it moved since the mark before."""

    pk = models.CompositePrimaryKey("account_id", "token_id", "block_height")
    account_id = models.BigIntegerField()
    token_id = models.IntegerField()
    block_height = models.BigIntegerField()
    balance = models.DecimalField(max_digits=78, decimal_places=0)

    class Meta:
        db_table = "balance_checkpoints"

    def __str__(self) -> str:
        return f"balance of account {self.account_id} of token {self.token_id} at {self.block_height}"
