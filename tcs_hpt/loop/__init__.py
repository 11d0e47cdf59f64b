"""One study from its first trial to its last: the only room that knows the order.

    recover -> promote, or propose -> guard -> train -> record -> (again)

Everything that happens is written to the store before the next step begins, so that a study can be killed at any moment
and goes on from its records. Several engines may work on one study: leases settle who runs which trial, and one engine
proposes at a time.
"""

from tcs_hpt.loop._artifacts import disk_use
from tcs_hpt.loop._devices import visible_devices
from tcs_hpt.loop._external import ExternalStudy, Told
from tcs_hpt.loop._fidelity import fewer_first, require_fidelity
from tcs_hpt.loop._promotion import as_proposers_see
from tcs_hpt.loop._signals import interruptible
from tcs_hpt.loop._stopping import stop_reason
from tcs_hpt.loop._study import Study, new_name, prepare, utc_now

__all__ = [
    "ExternalStudy",
    "Study",
    "Told",
    "as_proposers_see",
    "disk_use",
    "fewer_first",
    "interruptible",
    "new_name",
    "prepare",
    "require_fidelity",
    "stop_reason",
    "utc_now",
    "visible_devices",
]
