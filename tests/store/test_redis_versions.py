"""Redis supports the commands that are used, not the embedded Valkey alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ASK_REDIS = (
    "tests/store/test_sessions.py",
    "tests/store/test_imported_tokens.py",
    "tests/store/test_access.py",
    "tests/handlers/test_limits.py",
)
SERVER = shutil.which("redis-server")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not SERVER, reason="redis-server is not installed")
def test_with_the_redis_of_this_system():
    """Debian 12 has Redis 7.0."""
    version = subprocess.run([SERVER, "--version"], capture_output=True, text=True, check=True)
    print(version.stdout)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ASK_REDIS],
        cwd=ROOT,
        env={**os.environ, "TEST_REDIS_SERVER": SERVER},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
