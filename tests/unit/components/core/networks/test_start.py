"""What importing TensorFlow by way of this package leaves behind."""

import subprocess
import sys

CODE = """
import gc, sys
import headstart.components.core.network
print(sorted({"tensorflow", "keras", "matplotlib.pyplot", "pandas", "sklearn"} & set(sys.modules)), gc.isenabled())
import matplotlib.pyplot, pandas, sklearn
"""


def test_keras_imports_nothing_that_is_not_needed_and_others_still_can() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['keras', 'tensorflow'] True"
