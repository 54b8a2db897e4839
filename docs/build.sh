#!/usr/bin/env bash
# Build the docs site into build/site: run the tutorials, draw the pictures, check every link, compare it with the public names.
# It needs `pip install -e '.[docs]'`; PYTHON names another Python than that of .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
"$python" docs/tools/make_pages.py
# The page that needs no server, if `npm ci --prefix docs/live-demo` has fetched what it runs on.
[ ! -d docs/live-demo/node_modules ] || "$python" docs/build_demo.py --out build/docs/demo
NO_MKDOCS_2_WARNING=1 "$python" -m mkdocs build --strict --quiet
VIDCAM_SITE=build/site "$python" -m pytest -q -n 0 tests/test_docs.py tests/test_docs_site.py
