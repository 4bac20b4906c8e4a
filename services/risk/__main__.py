"""`python -m services.risk`: serve, or migrate."""

from libs.runtime.main import main
from services.risk.app import build
from services.risk.settings import Settings

if __name__ == "__main__":
    main(Settings, build)
