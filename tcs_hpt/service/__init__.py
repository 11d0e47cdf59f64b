"""Studies over HTTP: a web process that answers, workers that run what is in the queue, and the database between them.

The web process never trains, and workers never listen. Either can be killed and started again: what is known is in the
database, and leases settle who works on what.
"""
