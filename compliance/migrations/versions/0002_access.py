"""API clients, users and sign-ins"""

revision = "0002_access"
down_revision = "0001_log"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
