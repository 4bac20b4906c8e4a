"""What cannot end well is refused before anything is started."""

from pathlib import Path

import pytest

from demo.__main__ import parse


def test_figures_go_into_a_folder_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (tmp_path / "none" / "f.json", tmp_path, Path("/proc/f.json/f.json")):
        with pytest.raises(SystemExit) as ended:
            parse(["--figures", str(file)])
        assert ended.value.code == 2
        assert "cannot be written" in capsys.readouterr().err
    assert parse(["--figures", str(tmp_path / "f.json")]).figures == tmp_path / "f.json"
    assert not (tmp_path / "f.json").exists()
    assert parse([]).figures is None
