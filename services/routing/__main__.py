"""`python -m services.routing`: serve, or migrate."""

from libs.runtime.main import main
from services.routing.app import build
from services.routing.settings import Settings

if __name__ == "__main__":
    main(Settings, build)
