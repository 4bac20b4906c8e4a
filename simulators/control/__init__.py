"""The control API: everything that a platform's back office, its buyers and bad luck do, as JSON under `/control`."""

from fastapi import APIRouter

from simulators.control import happenings, world

router = APIRouter(prefix="/control")
router.include_router(world.router)
router.include_router(happenings.router)
