"""``python -m ibistrain``: how `accelerate launch -m ibistrain` starts every process."""

from __future__ import annotations

from ibistrain.cli import main

main()
