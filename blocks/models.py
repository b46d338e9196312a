"""What is stored of the chain itself: blocks, transactions, and which heights are complete."""

from django.db import models
from django.db.models.functions import Now

from blocks.fields import HeightRangesField, RawJSONField


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


class IncompleteHeight(models.Model):
    """A height that no endpoint has given whole, though asked again and again; it goes when the height is complete."""

    height = models.BigIntegerField(primary_key=True)
    reason = models.TextField()
    attempts = models.IntegerField()
    asked_at = models.DateTimeField()

    class Meta:
        db_table = "incomplete_heights"

    def __str__(self) -> str:
        return f"height {self.height}: {self.reason}"


class EndpointState(models.Model):
    """What the running synchronizer last saw of an endpoint."""

    url = models.TextField(primary_key=True)
    tip = models.BigIntegerField(help_text="Minus one while it is left alone.")
    trouble = models.TextField(blank=True, help_text="Why it is left alone; empty when all is well.")
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "endpoint_states"

    def __str__(self) -> str:
        return self.url


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
