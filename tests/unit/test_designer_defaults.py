"""Data Designer's file of default models, which several processes read and write."""

import os
import subprocess
import sys

import pytest

USE = "from ddbuild.designer import prepare_home; prepare_home(); from ddbuild.designer.default_models import "
USE += "read_defaults_once; read_defaults_once(); import data_designer.config as dd; "
USE += "from data_designer.config.default_model_settings import resolve_seed_default_model_settings as write; write(); "
USE += "dd.DataDesignerConfigBuilder(); "


def run(home, code):
    environment = os.environ | {"DATA_DESIGNER_HOME": str(home / ".data-designer")}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["model_configs.yaml", "model_providers.yaml"])
def test_an_empty_file_that_a_killed_process_has_left_is_written_anew(tmp_path, name):
    file = tmp_path / ".data-designer" / name
    file.parent.mkdir()
    file.touch()
    done = run(tmp_path, USE)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_size > 0


def test_a_reader_never_sees_half_a_file(tmp_path):
    watch = "import yaml, os; dump = yaml.safe_dump\n"
    watch += "def look(*args, **options):\n"
    watch += "    seen.append(sorted(n for n in os.listdir(folder) if n.endswith('.yaml') and n[0] != '.'))\n"
    watch += "    return dump(*args, **options)\n"
    watch += f"seen, folder = [], {str(tmp_path / '.data-designer')!r}\nyaml.safe_dump = look\n"
    done = run(tmp_path, watch + USE + "print(seen, sorted(os.listdir(folder)))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[[], ['model_configs.yaml']] ['managed-assets', 'model_configs.yaml', 'model_pr")
