"""All extras in one service: `uvicorn examples.all:app`. Leave out the name of one, and it is.

Each adds itself when it is imported; agents needs examples/requirements-agents.txt.
"""

from examples import agents, bulk, json_server, live, products, together  # noqa: F401
from main import app  # noqa: F401
