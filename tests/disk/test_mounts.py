from __future__ import annotations

import pytest

from qcore.disk.mounts import durability_warning, mount_table

MOUNTS = r"""/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw,nosuid 0 0
/dev/sdb1 /tmp/disk ext4 rw 0 0
overlay /box overlay rw,lowerdir=/a,volatile 0 0
overlay /image overlay rw,lowerdir=/a 0 0
tmpfs /with\040blank tmpfs rw 0 0
/dev/sdc1 /twice ext4 rw 0 0
tmpfs /twice tmpfs rw 0 0
too short
"""


@pytest.mark.parametrize("folder", ["/tmp/x", "/tmp", "/box/node_1", "/with blank/node_1", "/twice/x"])
def test_a_file_system_that_forgets_is_named(folder: str) -> None:
    warning = durability_warning(folder, MOUNTS)
    assert warning is not None
    assert folder in warning


@pytest.mark.parametrize("folder", ["/var/lib/qcore", "/tmp/disk/x", "/tmpx", "/image/x"])
def test_a_file_system_that_keeps_gets_no_warning(folder: str) -> None:
    assert durability_warning(folder, MOUNTS) is None


def test_without_a_table_nothing_is_claimed() -> None:
    assert durability_warning("/x", "") is None


def test_the_kernel_s_table_is_read() -> None:
    assert durability_warning("/proc/self", mount_table()) is None
    assert " /proc " in mount_table()
