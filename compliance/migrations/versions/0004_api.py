"""idempotency keys"""

revision = "0004_api"
down_revision = "0003_registry"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
