"""Let a process that is measured write down what it measured, wherever it restricted itself to change no files."""

import os
from typing import Any

if "COVERAGE_PROCESS_CONFIG" in os.environ:
    from coverage import Coverage

    measured = Coverage.current()
    if measured is not None:
        from ambassador.net import privileges
        from tests.support.prelude import replace

        folder = os.path.dirname(os.path.abspath(str(measured.get_option("run:data_file"))))

        def widened(*, changeable: tuple[str, ...] = (), **others: Any) -> Any:
            """Do as `restrict_files`, and leave the folder to be written to."""
            return restrict_files(changeable=(*changeable, folder), **others)

        restrict_files = replace(privileges, "restrict_files", widened)
