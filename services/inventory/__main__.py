"""`python -m services.inventory`: serve, or migrate."""

from libs.runtime.main import main
from services.inventory.app import build
from services.inventory.settings import Settings

if __name__ == "__main__":
    main(Settings, build)
