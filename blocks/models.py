"""What is stored of the chain itself: blocks, transactions, and which heights are complete."""

from django.db import models
from django.db.models.functions import Now

from postgres.fields import HeightRangesField, RawJSONField

ABSENT_HEIGHTS = """
CASE WHEN first_height > 1
     THEN int8multirange(int8range(CASE WHEN first_height_proven THEN 1 ELSE 0 END, first_height)) ELSE '{}' END
"""
"""SQL over the row of `chain`: the heights below the chain's first block, which no endpoint can give (int8multirange).

Where that block has no predecessor, genesis (height 0) stays a height of its own.
"""


class Chain(models.Model):
    """The one chain of this deployment: its identity, and which heights are in (`coverage`).

    A height is in `coverage` only when its block and as many transactions as its `num_txs` says are stored. Progress is
    never the highest height, so a gap is the complement of `coverage` and is seen wherever it is.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    chain_id = models.TextField()
    first_block_hash = models.TextField(blank=True, help_text="Hash of block 1; empty until block 1 is stored.")
    start_height = models.BigIntegerField(default=0)
    coverage = HeightRangesField(default=list)
    tip = models.BigIntegerField(default=-1, help_text="Highest height that the source said it has.")
    tip_seen_at = models.DateTimeField(null=True)
    generation = models.BigIntegerField(db_default=0, help_text="Counts corrections of what was applied already.")
    waiting_height = models.BigIntegerField(null=True, help_text="The lowest height below the tip that is not in.")
    waiting_since = models.DateTimeField(null=True, help_text="Since when it is that height that is waited for.")
    first_height = models.BigIntegerField(
        null=True, help_text="Height of the chain's first block after genesis; empty until it is known."
    )
    first_height_proven = models.BooleanField(
        db_default=False,
        help_text="Its first block has no predecessor. Otherwise no endpoint has anything below it, genesis included.",
    )
    conflict = models.TextField(
        blank=True, db_default="", help_text="Two blocks that do not link, with both hashes; empty when all is well."
    )
    conflict_height = models.BigIntegerField(null=True, help_text="Height of the upper of these two blocks.")
    conflict_stored = models.BooleanField(
        db_default=False, help_text="Both blocks are stored, so that nothing from this height on can be trusted."
    )

    class Meta:
        db_table = "chain"
        verbose_name = "chain and coverage"
        verbose_name_plural = "chain and coverage"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="chain_is_one")]

    def __str__(self) -> str:
        return self.chain_id


class Block(models.Model):
    """A block as the source gave it; hashes are base64, empty for genesis (height 0)."""

    height = models.BigIntegerField(primary_key=True)
    hash = models.TextField(db_collation="C")
    last_block_hash = models.TextField()
    time = models.DateTimeField(help_text="Chain time, to the microsecond (the chain has nanoseconds).")
    num_txs = models.IntegerField()
    total_txs = models.BigIntegerField(help_text="Since block 1; at height 0 the number of genesis transactions.")
    proposer_address = models.TextField()

    class Meta:
        db_table = "blocks"
        indexes = [
            models.Index(fields=["hash"], name="block_hash"),
            models.Index(fields=["time"], name="block_time"),
        ]

    def __str__(self) -> str:
        return f"block {self.height}"


class AcceptedGap(models.Model):
    """Heights that a person declared impossible to complete; they count as indexed, and every answer says how many."""

    first_height = models.BigIntegerField()
    last_height = models.BigIntegerField()
    reason = models.TextField()
    accepted_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "accepted_gaps"
        constraints = [
            models.CheckConstraint(condition=models.Q(last_height__gte=models.F("first_height")), name="gap_not_empty")
        ]

    def __str__(self) -> str:
        return f"heights {self.first_height} to {self.last_height}: {self.reason}"


class IncompleteRange(models.Model):
    """Heights that no endpoint has given whole, though asked again and again; the row goes when they are complete."""

    first_height = models.BigIntegerField(primary_key=True)
    last_height = models.BigIntegerField()
    reason = models.TextField()
    attempts = models.IntegerField()
    asked_at = models.DateTimeField()

    class Meta:
        db_table = "incomplete_heights"
        verbose_name = "incomplete range of heights"
        verbose_name_plural = "incomplete ranges of heights"

    def __str__(self) -> str:
        return f"heights {self.first_height} to {self.last_height}: {self.reason}"


class EndpointState(models.Model):
    """The state of an endpoint as the leading synchronizer last reported it."""

    url = models.TextField(primary_key=True, help_text="Scheme, host and port; numbered where several share them.")
    tip = models.BigIntegerField(help_text="Highest height of which it showed the block, -1 until it has answered.")
    trouble = models.TextField(blank=True, help_text="Why it is not in use; empty when all is well.")
    seen_at = models.DateTimeField(help_text="When this state was reported.")
    answered_at = models.DateTimeField(null=True, help_text="When it last gave a usable answer about its tip.")

    class Meta:
        db_table = "endpoint_states"

    def __str__(self) -> str:
        return self.url


class SynchronizerState(models.Model):
    """A running synchronizer: the one that writes, or one that stands by."""

    name = models.TextField(primary_key=True, help_text="Host and process id.")
    leads = models.BooleanField(help_text="Whether it is the one that writes.")
    since = models.DateTimeField(help_text="Since when it leads, or stands by.")
    seen_at = models.DateTimeField(help_text="Its last sign of life.")

    class Meta:
        db_table = "synchronizer_states"

    def __str__(self) -> str:
        return self.name


class TransactionColumns(models.Model):
    """Columns of a stored transaction, shared by the table and the admin's view of it."""

    block_height = models.BigIntegerField()
    index = models.IntegerField(help_text="Position in the block, from 0.")
    hash = models.TextField(db_collation="C", help_text="Base64 SHA-256 of the bytes; not unique on real chains.")
    success = models.BooleanField()
    gas_wanted = models.BigIntegerField()
    gas_used = models.BigIntegerField()
    gas_fee = models.TextField(help_text="Amount and denomination, as 1000ugnot; empty when none.")
    memo = models.TextField()
    error = models.TextField(help_text="The chain's error; empty when the transaction succeeded.")
    messages = RawJSONField()
    events = RawJSONField()

    class Meta:
        abstract = True


class Transaction(TransactionColumns):
    """A transaction and its events, as the source gave them; known by (block_height, index)."""

    pk = models.CompositePrimaryKey("block_height", "index")

    class Meta:
        db_table = "transactions"
        indexes = [models.Index(fields=["hash"], name="transaction_hash")]

    def __str__(self) -> str:
        return f"transaction {self.block_height}/{self.index}"


class TransactionRow(TransactionColumns):
    """The admin's view of `transactions`: Django's admin cannot register a model with a composite key."""

    key = models.TextField(primary_key=True)

    class Meta:
        managed = False
        db_table = "transaction_rows"
        verbose_name = "transaction"
        constraints = [models.UniqueConstraint(fields=["block_height", "index"], name="transaction_row_position")]

    def __str__(self) -> str:
        return self.key
