"""Names that PCEs give, memberships, provisioning sessions, groups for a performance rekey."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the provisioning server's tables; devices get their PCE's name when they are imported the next time."""
    gid = sa.LargeBinary(4)
    ppid = sa.LargeBinary(16)
    op.create_table(
        "pce_names",
        sa.Column("pce_ppid", ppid, primary_key=True),
        sa.Column("ppid", ppid, sa.ForeignKey("devices.ppid"), nullable=False, unique=True),
    )
    op.create_table(
        "memberships",
        sa.Column("ppid", ppid, sa.ForeignKey("devices.ppid"), primary_key=True),
        sa.Column("gid", gid, sa.ForeignKey("groups.gid"), primary_key=True),
        sa.Column("credential_id", sa.Integer, sa.ForeignKey("credentials.id"), nullable=False),
        sa.Column("platform_info", sa.LargeBinary(26), nullable=False),
        sa.Column("join_point", sa.LargeBinary(64), nullable=False),
    )
    op.create_table(
        "provisioning_sessions",
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        sa.Column("state_sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires", sa.DateTime, nullable=False),
    )
    op.create_index("ix_provisioning_sessions_expires", "provisioning_sessions", ["expires"])
    op.create_table(
        "rekey_groups",
        sa.Column("gid", gid, sa.ForeignKey("groups.gid"), primary_key=True),
        sa.Column("successor", gid, sa.ForeignKey("groups.gid"), nullable=False, unique=True),
    )
