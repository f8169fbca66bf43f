"""For every test: hypothesis without a clock, and the same examples each time where CI is set."""

import os

from hypothesis import settings

# compiling takes the time, not the test, so a deadline would measure the machine
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
