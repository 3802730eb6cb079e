import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

# Telemetry and a person's own settings stay out of every test and of the processes that tests start.
os.environ["NEMO_TELEMETRY_ENABLED"] = "false"
for name in ("DDBUILD_CACHE_DIR", "DDBUILD_SHARED_CACHE", "DDBUILD_SHARED_MODE", "DDBUILD_JOBS"):
    os.environ.pop(name, None)
# A home for each worker: Data Designer writes its defaults in place, and another one may read them half written.
if "DATA_DESIGNER_HOME" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["DATA_DESIGNER_HOME"] = tempfile.mkdtemp(prefix="ddbuild-test-home-")
    atexit.register(shutil.rmtree, os.environ["DATA_DESIGNER_HOME"], ignore_errors=True)

sys.path.insert(0, str(Path(__file__).parent))
