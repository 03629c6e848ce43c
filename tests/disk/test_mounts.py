from __future__ import annotations

import pytest

from qcore.disk.mounts import durability_warning, is_flushed_whole, mount_table

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


@pytest.mark.parametrize(
    ("folder", "kernel", "whole"),
    [
        ("/var/lib/qcore", "6.1.0-18-amd64", True),
        ("/var/lib/qcore", "5.17", True),
        ("/tmp/disk/x", "10.0.1", True),
        ("/var/lib/qcore", "5.16.20", False),
        ("/var/lib/qcore", "4.19.0-26", False),
        ("/var/lib/qcore", "unknown", False),
        ("/tmp/x", "6.1.0", False),
        ("/image/x", "6.1.0", False),
    ],
)
def test_only_a_file_system_that_tells_is_flushed_as_a_whole(folder: str, kernel: str, whole: bool) -> None:
    assert is_flushed_whole(folder, MOUNTS, kernel) is whole


@pytest.mark.parametrize("kind", ["xfs", "btrfs", "ext4"])
def test_which_file_systems_are_flushed_as_a_whole(kind: str) -> None:
    assert is_flushed_whole("/d/node_1", f"/dev/sda1 / {kind} rw 0 0\n", "6.1.0")
    assert not is_flushed_whole("/d/node_1", "/dev/sda1 / fuse.sshfs rw 0 0\n", "6.1.0")
    assert not is_flushed_whole("/d/node_1", "", "6.1.0")
