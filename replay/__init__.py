"""A stand-in for gno.land's tx-indexer: GraphQL over HTTP and websocket, answered from a folder of recordings.

It knows nothing of the product that reads from it, and the product knows nothing of it: both know only the wire.
Tests use :class:`replay.server.ReplaySource`; people use ``python -m replay FOLDER``.
"""
