"""`python -m services.fulfillment`: serve, or migrate."""

from libs.runtime.main import main
from services.fulfillment.app import build
from services.fulfillment.settings import Settings

if __name__ == "__main__":
    main(Settings, build)
