from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from qcore.disk.held_folder import HeldFolder
from qcore.model.errors import DiskFailed


@pytest.mark.parametrize("instead", [False, True], ids=["moved away", "replaced"])
def test_a_folder_that_is_another_by_now_is_noticed(tmp_path: Path, instead: bool) -> None:
    folder = tmp_path / "node_1"
    folder.mkdir()
    held = HeldFolder(str(folder))
    held.check_place()
    folder.rename(tmp_path / "away")
    if instead:
        folder.mkdir()
    with pytest.raises(DiskFailed, match=r"node_1 was moved away or replaced while the node used it"):
        held.check_place()
    held.close()


def test_a_folder_in_a_held_one_is_not_opened_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    with closing(HeldFolder(str(tmp_path))) as above:
        HeldFolder(str(tmp_path / "real"), "real", above.descriptor).close()
        with pytest.raises(DiskFailed, match=r"cannot open .*linked"):
            HeldFolder(str(tmp_path / "linked"), "linked", above.descriptor)
