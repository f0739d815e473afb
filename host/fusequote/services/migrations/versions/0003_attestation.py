"""Subscriptions and their keys, admin keys, verifiers' lists, TCB evaluation data, PSE records."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the attestation service's tables."""
    spid = sa.LargeBinary(16)
    op.create_table(
        "subscriptions",
        sa.Column("spid", spid, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("linkable", sa.Boolean, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
    )
    op.create_table(
        "subscription_keys",
        sa.Column("spid", spid, sa.ForeignKey("subscriptions.spid"), primary_key=True),
        sa.Column("slot", sa.String(9), primary_key=True),
        sa.Column("key_hash", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("created", sa.DateTime, nullable=False),
    )
    op.create_table(
        "admin_keys",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("key_hash", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("created", sa.DateTime, nullable=False),
    )
    op.create_table(
        "verifier_lists",
        sa.Column("gid", sa.LargeBinary(4), sa.ForeignKey("groups.gid"), primary_key=True),
        sa.Column("spid", spid, sa.ForeignKey("subscriptions.spid"), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "tcb_evaluation",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.create_table(
        "pse_records",
        sa.Column("manifest_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("status", sa.String(20), nullable=False),
    )
