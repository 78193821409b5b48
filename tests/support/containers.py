"""How strict a cluster can be with the container of a step."""

from typing import Any

# As strict as a cluster can be: a user that no file knows, nothing writable but /tmp, no rights, no network.
RESTRICTED: dict[str, Any] = {
    "user": "1000650000:0",
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "network_mode": "none",
}
