"""Devices, EPID groups, TCB records, credentials, revocation lists, nonces.

The first version under Alembic. A store that was made before it has these tables already (``meta`` says version 1):
it is taken over as it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, or take over those of a store from before Alembic."""
    if not sa.inspect(op.get_bind()).has_table("meta"):
        _create()
    # Those who clean up look for what has expired.
    op.create_index("nonces_by_expiry", "nonces", ["purpose", "expires"])
    # The version stands in Alembic's table from here on. An older fusequote reads this one, and refuses in words.
    meta = sa.table("meta", sa.column("key"), sa.column("value"))
    op.execute(meta.delete().where(meta.c.key == "version"))
    op.execute(meta.insert().values(key="version", value="alembic"))


def _create() -> None:
    gid = sa.LargeBinary(4)
    op.create_table(
        "meta",
        sa.Column("key", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(64), nullable=False),
    )
    op.create_table(
        "devices",
        sa.Column("ppid", sa.LargeBinary(16), primary_key=True),
        sa.Column("device_id", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("rpk_sealed", sa.LargeBinary(64), nullable=False),
        sa.Column("cpusvn", sa.LargeBinary(16), nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )
    op.create_table(
        "groups",
        sa.Column("gid", gid, primary_key=True),
        sa.Column("public_key", sa.LargeBinary(260), nullable=False),
        sa.Column("issuer_sealed", sa.LargeBinary(512), nullable=False),
        sa.Column("revocation_reason", sa.Integer),
    )
    op.create_table(
        "tcb_records",
        sa.Column("gid", gid, sa.ForeignKey("groups.gid"), primary_key=True),
        sa.Column("cpusvn", sa.LargeBinary(16), nullable=False),
        sa.Column("isvsvn", sa.Integer, nullable=False),
        sa.Column("pce_svn", sa.Integer, nullable=False),
        sa.Column("joins", sa.Boolean, nullable=False),
        sa.Column("out_of_date", sa.Boolean, nullable=False),
        sa.Column("configuration_needed", sa.Boolean, nullable=False),
        sa.Column("sw_hardening_needed", sa.Boolean, nullable=False),
        sa.Column("advisory_ids", sa.JSON, nullable=False),
    )
    op.create_table(
        "credentials",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("gid", gid, sa.ForeignKey("groups.gid"), nullable=False),
        sa.Column("ppid", sa.LargeBinary(16), sa.ForeignKey("devices.ppid"), nullable=False),
        sa.Column("psvn", sa.LargeBinary(18), nullable=False),
        sa.Column("x", sa.LargeBinary(32), nullable=False),
        sa.Column("point", sa.LargeBinary(64), nullable=False),
        sa.Column("escrow", sa.LargeBinary(64), nullable=False),
        sa.Column("issued", sa.DateTime, nullable=False),
        sa.UniqueConstraint("gid", "x"),
    )
    op.create_table(
        "revocation_lists",
        sa.Column("gid", gid, sa.ForeignKey("groups.gid"), primary_key=True),
        sa.Column("kind", sa.String(4), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "nonces",
        sa.Column("purpose", sa.String(16), primary_key=True),
        sa.Column("value", sa.LargeBinary(64), primary_key=True),
        sa.Column("context", sa.LargeBinary, nullable=False),
        sa.Column("expires", sa.DateTime, nullable=False),
        sa.Column("used", sa.Boolean, nullable=False),
    )
