from __future__ import annotations

from hypothesis import settings

settings.register_profile("tcs-hpt", deadline=None, print_blob=True)  # the machines are shared and noisy
settings.load_profile("tcs-hpt")
