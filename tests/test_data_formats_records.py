import os
import re
import signal
import subprocess
import time

import pytest

from gancli.data.formats import records
from gancli.data.formats.records import Shard, read


def written(path, contents, options="group_size:1"):
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(path), options)
    for content in contents:
        writer.write(content)
    writer.close()
    return path


def test_the_records_of_several_files_are_read_in_order(tmp_path):
    contents = [str(number).encode() for number in range(100)]
    first, second = written(tmp_path / "a", contents[:60]), written(tmp_path / "b", contents[60:])
    assert list(read([Shard(first, 60, 0, 60), Shard(second, 40, 0, 40)])) == contents
    assert list(read([Shard(first, 60, 50, 60), Shard(second, 40, 0, 1)])) == contents[50:61]
    assert list(read([])) == []


def test_a_path_that_is_not_text_is_read(tmp_path):
    path = written(tmp_path / "a", [b"x"]).rename(tmp_path / "\udcff\n")
    assert list(read([Shard(path, 1, 0, 1)])) == [b"x"]


def test_a_record_that_expands_a_thousandfold_is_refused(tmp_path):
    # 70 MiB in 128 kB: its reader would hold three times as much, and a gigabyte as gladly.
    path = written(tmp_path / "a", [bytes(70 << 20)])
    assert path.stat().st_size < 1 << 18
    with pytest.raises(ValueError, match="67,108,864 bytes"):
        list(read([Shard(path, 1, 0, 1)]))


def test_records_that_expand_a_thousandfold_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("gancli.files.ALWAYS_ALLOWED_BYTES", 1 << 20)
    path = written(tmp_path / "a", [bytes(9 << 20)] * 4)
    with pytest.raises(ValueError, match=rf"\b{path.stat().st_size:,} bytes"):
        list(read([Shard(path, 4, 0, 4)]))


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-1],
        lambda data: data[:70_000],
        lambda data: b"\0" * len(data),
        lambda data: data[:100] + b"\xff" * 8 + data[108:],
        lambda data: b"hello",
    ],
)
def test_a_damaged_file_is_an_error_and_not_the_end_of_the_process(tmp_path, harm):
    path = written(tmp_path / "a", [os.urandom(300) for _ in range(40)])
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ValueError, match=r"\w"):
        list(read([Shard(path, 40, 0, 40)]))


def test_another_number_of_records_is_an_error(tmp_path):
    path = written(tmp_path / "a", [b"x"] * 3)
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}.*\b3 records.*\b4\b"):
        list(read([Shard(path, 4, 0, 4)]))


def end(process):
    process.send_signal(signal.SIGSEGV)


def stop(process):
    process.send_signal(signal.SIGSTOP)


@pytest.mark.parametrize(("harm", "words"), [(end, r"-11\b"), (stop, r"\b1 second")])
def test_a_reader_that_crashes_or_hangs_is_an_error_and_leaves_no_process(
    tmp_path, monkeypatch, harm, words
):
    started = []

    class Process(subprocess.Popen):
        def __init__(self, *given, **options):
            super().__init__(*given, **options)
            started.append(self)
            harm(self)

    monkeypatch.setattr(records, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(subprocess, "Popen", Process)
    path = written(tmp_path / "a", [b"x"])
    with pytest.raises(ValueError, match=words):
        list(read([Shard(path, 1, 0, 1)]))
    assert started[0].returncode is not None


def test_a_reader_that_is_left_early_ends(tmp_path):
    path = written(tmp_path / "a", [os.urandom(1000)] * 5000)
    begun = time.monotonic()
    reading = read([Shard(path, 5000, 0, 5000)])
    next(reading)
    reading.close()
    assert time.monotonic() - begun < 10


def test_modules_of_the_current_folder_are_not_imported(tmp_path, monkeypatch):
    path = written(tmp_path / "a", [b"x"])
    for name in ("json", "resource", "importlib", "array_record"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert list(read([Shard(path, 1, 0, 1)])) == [b"x"]
