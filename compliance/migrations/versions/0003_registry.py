"""imported reports"""

revision = "0003_registry"
down_revision = "0002_access"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
