#!/usr/bin/env bash
# Load what vidcam writes with the tools' own code: tests that are left out elsewhere, because the tools want an older OpenCV or numpy.
# Run it in the environment of vidcam's tests. Each tool gets an environment of its own (4 GB in all), where it finds its own packages
# first and then vidcam's: tests/support/sinks.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mkdir -p "$1" && cd "$1" && pwd)
packages_of() { "$1" -c "import sysconfig; print(sysconfig.get_path('purelib'))"; }

while read -r tool file tests; do
  own=$folder/$tool/bin/python
  python -m venv --clear "$folder/$tool"
  "$own" -m pip install -q "$tool"
  packages_of python >"$(packages_of "$own")/vidcam.pth"
  "$own" -m pytest -q -n 0 -rs "tests/$file" -k "$tests" </dev/null | tee "$folder/log"
  ! grep -q skipped "$folder/log" || { echo "tests of $tool were skipped"; exit 1; }
done <<'TOOLS'
rerun-sdk test_sinks_loaders.py rerun
label-studio-sdk test_sinks_loaders.py label_studio
datumaro test_sinks_loaders.py datumaro
fiftyone test_sinks_loaders.py fiftyone
openvino-model-api test_export.py model_api
TOOLS
