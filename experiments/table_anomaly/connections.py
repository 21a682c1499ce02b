"""Generated network connections of which some have an unusual combination of cells."""

import numpy as np

SERVICES = {"tcp": ("http", "ftp", "smtp"), "udp": ("dns", "ntp", "snmp")}
SIZES = {"http": 8, "ftp": 11, "smtp": 6, "dns": 4, "ntp": 2, "snmp": 3}  # mean logarithms of bytes
COLUMNS = ("duration", "protocol", "service", "bytes", "label")


def generate_connections(count: int, seed: int) -> list[tuple[str, ...]]:
    """Returns rows of cells by `COLUMNS`, a tenth labelled `attack` and the others `normal`.

    An attack has a protocol, or a number of bytes, that does not fit its service; each cell by itself is usual. The
    last row is an attack with a protocol that no other row has.
    """
    rng, rows = np.random.default_rng(seed), list[tuple[str, ...]]()
    for i in range(count):
        protocol = str(rng.choice(["tcp", "udp"]))
        service = str(rng.choice(SERVICES[protocol]))
        label, size = "normal" if rng.random() > 0.1 else "attack", SIZES[service]
        if label == "attack" and i % 2:
            size = 13 - size
        elif label == "attack":
            protocol = "udp" if protocol == "tcp" else "tcp"
        if i == count - 1:
            protocol, label = "icmp", "attack"
        duration, sent = rng.exponential(), np.exp(size + 0.3 * rng.normal())
        rows.append((f"{duration:.3f}", protocol, service, f"{sent:.0f}", label))
    return rows
