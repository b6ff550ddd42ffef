"""`soak_chart.py SOAK.JSON`: draw memory, descriptors and latency beside it, over the minutes."""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

PANELS = (
    ("Memory, MiB", ("memory",)),
    ("Descriptors and threads", ("descriptors", "threads")),
    ("A read, ms", ("p50", "p99")),
)


def main(file: str) -> None:
    """Draw one panel for each."""
    samples = json.loads(Path(file).read_text())
    minutes = [each["minutes"] for each in samples]
    figure, axes = plt.subplots(len(PANELS), figsize=(9, 8), sharex=True)
    for panel, (title, keys) in zip(axes, PANELS, strict=True):
        for key in keys:
            panel.plot(minutes, [each[key] for each in samples], label=key)
        panel.set_title(title, loc="left")
        panel.set_ylim(0, 1.2 * max(each[key] for each in samples for key in keys))
        panel.legend(frameon=False)
    axes[-1].set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(Path(file).with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    main(sys.argv[1])
