"""Dividing a message into smaller ones that carry the same transfers and announcements."""

from heapq import merge

from events.outbox.message import Message, Packed, Packer


def divided(message: Message, max_bytes: int) -> list[Packed]:
    """`message` as messages of at most `max_bytes`, in chain order; a row that is larger makes one by itself."""
    packer = Packer(message.chain_id, max_bytes)
    accounts = [*message.accounts, ""]  # the empty side is position −1
    transfers = (((row[0], row[1], row[2]), row, None) for row in message.transfers)
    announcements = (((row[0], row[1], row[2]), None, row) for row in message.announcements)
    for position, transfer, announcement in merge(transfers, announcements, key=lambda entry: entry[0]):
        if transfer is not None:
            _, _, _, token, sender, recipient, amount = transfer
            path, standard = message.tokens[token]
            packer.add_transfer(*position, path, standard, accounts[sender], accounts[recipient], int(amount))
        elif announcement is not None:
            _, _, _, token, name, symbol, decimals = announcement
            path, standard = message.tokens[token]
            packer.add_announcement(*position, path, name, symbol, decimals, standard)
    return list(packer.messages())
