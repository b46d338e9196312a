"""The whole system on one machine: a recorded chain, an embedded PostgreSQL, and every process of the product."""
