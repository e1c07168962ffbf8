import subprocess
import sys
from pathlib import Path


def test_the_package_loads_nothing_heavy():
    code = "import sys, star_search.data; print([name for name in ('torch', 'datasets', 'pymoo', 'numpy') if name in sys.modules])"
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
