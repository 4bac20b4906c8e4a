"""`python -m services.notification`: serve, or migrate."""

from libs.runtime.main import main
from services.notification.app import build
from services.notification.settings import Settings

if __name__ == "__main__":
    main(Settings, build)
