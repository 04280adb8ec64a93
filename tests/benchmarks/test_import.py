"""What `import fedapay_sync` costs, beside the import of the two libraries that it cannot do without."""

import statistics
import subprocess
import sys
import time

ROUNDS = 15
#: Times `import requests, marshmallow`.
BOUND = 1.3


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def test_importing_the_package_costs_little_more_than_its_libraries():
    """
    At most 1.3 times `import requests, marshmallow`, the interpreter's own start taken off both.
    """
    codes = {
        "bare": "pass",
        "libraries": "import requests, marshmallow",
        "package": "import fedapay_sync",
        "connector": "from fedapay_sync import FedapayConnector",
    }
    for code in codes.values():
        seconds(code)  # compiled once
    times = {name: [] for name in codes}
    for _ in range(ROUNDS):
        for name, code in codes.items():
            times[name].append(seconds(code))
    bare, libraries, package, connector = (statistics.median(times[name]) for name in codes)
    ratio = (package - bare) / (libraries - bare)
    print(
        f"\nimport requests, marshmallow {1e3 * (libraries - bare):.0f} ms   "
        f"import fedapay_sync {1e3 * (package - bare):.0f} ms   ratio {ratio:.2f} (at most {BOUND})\n"
        f"from fedapay_sync import FedapayConnector {1e3 * (connector - bare):.0f} ms   "
        f"ratio {(connector - bare) / (libraries - bare):.2f}"
    )
    assert ratio <= BOUND
