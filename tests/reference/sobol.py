#!/usr/bin/env python3
"""Records points of SciPy's Sobol sequence (direction numbers of Joe and Kuo 2008).

    pip install scipy
    python3 tests/reference/sobol.py > core/tests/sobol.json

Rows of 64 dimensions in units of 1/1024, for the points 0 to 15 and 1000 to 1007. With `table` it prints the direction numbers as
they stand in core/src/plan/sobol.rs.
"""
import json
import os
import sys

import numpy as np
import scipy
from scipy.stats import qmc

if sys.argv[1:] == ["table"]:
    data = np.load(os.path.join(os.path.dirname(scipy.__file__), "stats", "_sobol_direction_numbers.npz"))
    for poly, start in list(zip(data["poly"], data["vinit"]))[1:64]:
        print(f"    ({poly}, &[{', '.join(str(m) for m in start if m)}]),")
else:
    points = qmc.Sobol(64, scramble=False, bits=32).random(1024)
    rows = {i: [int(x * 1024) for x in points[i]] for i in [*range(16), *range(1000, 1008)]}
    print("{\n" + ",\n".join(f'"{i}":{json.dumps(row, separators=(",", ":"))}' for i, row in rows.items()) + "\n}")
