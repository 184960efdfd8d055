"""``python -m sgpo_client.report RUN_DIR``."""

import sys

from sgpo_client.report.run_report import main

if __name__ == "__main__":
    sys.exit(main())
