"""The store's tables, version by version (Alembic); see :mod:`fusequote.services.migrate`."""
