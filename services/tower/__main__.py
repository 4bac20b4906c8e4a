"""`python -m services.tower`: serve, migrate, or explain ORDER_ID."""

from libs.runtime.main import main
from services.tower.app import build, explain
from services.tower.settings import Settings

if __name__ == "__main__":
    main(Settings, build, commands={"explain": explain})
