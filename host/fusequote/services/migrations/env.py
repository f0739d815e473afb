"""How Alembic runs the versions: on the connection, and in the transaction, that the store gives it."""

from alembic import context

from fusequote.services.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite's too, because the store begins its transactions itself: a migration is done, or was never begun.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
