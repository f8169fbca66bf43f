import subprocess
import sys


def test_heavy_modules_are_imported_where_they_are_used():
    script = (
        "import sys, funcnn.data; "
        "print([name for name in ('sklearn', 'pooch', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
