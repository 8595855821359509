"""Pushing an export to a hub, which answers here as that of Hugging Face does."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from refusals import refused
from tiny_runs import digits_run, gan, labelled_run, points_run, restoring_run

from gancli.export import Repository, export, load_part

NAME = "someone/digits"
WRITER, READER = "hf_writer", "hf_reader"
LARGE = (".safetensors", ".npz")

# huggingface_hub gives files to its HTTP library in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


class Hub(ThreadingHTTPServer):
    """What a repository holds, and what was asked; `broken` paths end with the status there."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.visibility, self.ignored, self.broken = None, (), {}
        self.files, self.objects, self.commits, self.uploads = {}, {}, [], []

    def oid(self, path):
        """As the hub knows a file: by its SHA-256 where it is large, otherwise as Git does."""
        if (content := self.files.get(path)) is None:
            return None
        if path.endswith(LARGE):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def answer(self, method, path, body):
        """The status and the object that a request is answered with."""
        match method, path.removeprefix(f"/api/models/{NAME}"):
            case "POST", "/api/repos/create":
                asked = json.loads(body)
                assert (asked["organization"], asked["name"]) == tuple(NAME.split("/"))
                new = self.visibility is None
                self.visibility = asked["visibility"] if new else self.visibility
                return 200 if new else 409, {"url": f"{self.address}/{NAME}"}
            case "POST", "/api/validate-yaml":
                assert json.loads(body)["content"].startswith("---\nlibrary_name: ")
                return 200, {"warnings": [], "errors": []}
            case "POST", "/preupload/main":
                return 200, {"files": [self.mode(**one) for one in json.loads(body)["files"]]}
            case "POST", batch if batch == f"/{NAME}.git/info/lfs/objects/batch":
                asked = json.loads(body)["objects"]
                return 200, {"objects": [self.transfer(**one) for one in asked]}
            case "PUT", upload if upload.startswith("/upload/"):
                assert hashlib.sha256(body).hexdigest() == upload.removeprefix("/upload/")
                self.objects[upload.removeprefix("/upload/")] = body
                self.uploads.append(len(body))
                return 200, {}
            case "POST", "/verify":
                asked = json.loads(body)
                return 200 if len(self.objects[asked["oid"]]) == asked["size"] else 422, {}
            case "POST", "/commit/main":
                header, *lines = map(json.loads, body.splitlines())
                self.files |= dict(map(self.committed, lines))
                self.commits.append((header["value"]["summary"], len(lines)))
                return 200, {"commitUrl": f"{self.address}/{NAME}/commit/1", "commitOid": "1"}
            case "GET", "/revision/main":
                return 200, {"id": NAME, "sha": "1"}
            case "POST", "/paths-info/1":
                held = [one for one in parse_qs(body.decode())["paths"] if one in self.files]
                kind = {"type": "file", "oid": "", "size": 0}
                return 200, [kind | {"path": one} for one in held]
        return 404, {"error": f"no {path}"}

    def mode(self, path, sample, size):
        kind = "lfs" if path.endswith(LARGE) else "regular"
        ignored = path.endswith(self.ignored)
        return {"path": path, "uploadMode": kind, "shouldIgnore": ignored, "oid": self.oid(path)}

    def transfer(self, oid, size):
        places = {"upload": "/upload/" + oid, "verify": "/verify"}
        actions = {name: {"href": self.address + place} for name, place in places.items()}
        return {"oid": oid, "size": size} | ({} if oid in self.objects else {"actions": actions})

    def committed(self, line):
        value = line["value"]
        if line["key"] == "lfsFile":
            return value["path"], self.objects[value["oid"]]
        return value["path"], base64.b64decode(value["content"])


class Handler(BaseHTTPRequestHandler):
    def respond(self):
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if (broken := self.server.broken.get(path.rpartition("/")[2])) is not None:
            status, answer = broken, {"error": "so it is"}
        elif path.startswith("/upload/") or token == WRITER:
            status, answer = self.server.answer(self.command, path, body)
        elif token == READER:
            status, answer = 403, {"error": "You have no right to create this model"}
        else:
            status, answer = 401, {"error": "Invalid username or password."}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = respond  # noqa: N815

    def log_message(self, format, *args):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    served = Hub()
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", served.address)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", WRITER)
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_the_files_of_the_export_arrive_in_one_commit_of_a_private_repository(hub, tmp_path):
    """By the command as it is installed: where to and by which token, the environment says."""
    folder = tmp_path / "out"
    own = {"HF_ENDPOINT": hub.address, "HF_TOKEN": WRITER, "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "gancli", "export", labelled_run(), "--out", folder, "--push", NAME],
        env=os.environ | own | {"HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        check=True,
        text=True,
    )
    *written, address = done.stdout.splitlines()
    assert address == f"{hub.address}/{NAME}"
    assert sorted(os.path.basename(path) for path in written) == sorted(hub.files)
    assert hub.files == contents(folder)
    assert hub.commits == [("generator at step 6 as stablehlo", 4)]
    assert hub.uploads == [(folder / "weights.npz").stat().st_size]
    assert hub.visibility == "private"
    front = b"---\nlibrary_name: jax\ntags:\n- gan\n- stablehlo\n---\n"
    assert hub.files["README.md"].startswith(front)


@pytest.mark.slow
def test_a_second_push_sends_what_has_changed_and_keeps_the_repository(hub, tmp_path):
    trained, folder = load_part(labelled_run()), tmp_path / "out"
    export(trained, "safetensors", folder)
    repository = Repository(NAME, public=True)
    assert repository.push(folder) == f"{hub.address}/{NAME}"
    assert Repository(NAME).push(folder) == f"{hub.address}/{NAME}"
    assert (len(hub.commits), len(hub.uploads), hub.visibility) == (1, 1, "public")
    export(load_part(labelled_run(), raw=True), "safetensors", folder)
    hub.files["mine"] = b"kept"
    repository.push(folder)
    assert (len(hub.commits), len(hub.uploads)) == (2, 2)
    assert hub.files == {**contents(folder), "mine": b"kept"}


def refuse_token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_unknown")


def refuse_repository(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", READER)


def refuse_upload(hub, monkeypatch):
    monkeypatch.setattr(hub, "mode", lambda **one: Hub.mode(hub, **one) | {"uploadMode": "lfs"})
    hub.broken = {"verify": 403}


def fail(hub, monkeypatch):
    hub.broken = {"create": 500}


def leave_out(hub, monkeypatch):
    hub.ignored = LARGE


def close(hub, monkeypatch):
    hub.shutdown()
    hub.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (refuse_token, ("401 Invalid username or password.", "hf auth login", "HF_TOKEN")),
        (refuse_repository, ("403 You have no right", NAME, "--push")),
        (refuse_upload, ("403 so it is", "--push")),
        (fail, ("500 so it is", "HF_ENDPOINT")),
        (leave_out, ("generator.safetensors", ".gitignore")),
        (close, ("Connection refused", "HF_ENDPOINT")),
    ],
)
def test_whatever_the_hub_does_the_export_is_complete(hub, tmp_path, monkeypatch, break_it, said):
    break_it(hub, monkeypatch)
    folder = tmp_path / "out"
    result = gan("export", f"{points_run()} --format safetensors --out {folder} --push {NAME}")
    assert result.exit_code == 2, result.exception
    message = result.stderr[result.stderr.index("error: ") :]
    for name in (*said, str(folder), "run the same command again"):
        assert name in message
    named = {*json.loads((folder / "manifest.json").read_text())["files"], "manifest.json"}
    assert named == {"generator.safetensors", "README.md", "manifest.json"} == {*contents(folder)}
    assert hub.address not in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "someone/", "a/b/c", "some one/digits", ""])
def test_what_names_no_repository_is_refused(hub, name):
    with refused("--push", repr(name), allowed="OWNER/NAME", remedy="--push"):
        Repository(name)


@pytest.mark.slow
def test_without_a_token_nothing_is_written(hub, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    result = gan("export", f"{points_run()} --out {tmp_path / 'out'} --push {NAME}")
    assert result.exit_code == 2
    assert all(name in result.stderr for name in (NAME, "hf auth login", "HF_TOKEN"))
    assert not (tmp_path / "out").exists()


def test_without_the_package_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    result = gan("export", f"{points_run()} --out {tmp_path / 'out'} --push {NAME}")
    assert result.exit_code == 2
    assert "pip install huggingface_hub" in result.stderr
    assert not (tmp_path / "out").exists()


def test_public_is_said_of_a_repository(tmp_path):
    result = gan("export", f"{points_run()} --out {tmp_path / 'out'} --public")
    assert result.exit_code == 2
    assert "--push" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "kind"),
    [(digits_run, "unconditional-image-generation"), (restoring_run, "image-to-image")],
)
def test_the_card_says_to_the_hub_what_makes_images_of_what(tmp_path, run, kind):
    export(load_part(run()), "safetensors", tmp_path)
    lines = ["library_name: gancli", "tags:", "- gan", "- safetensors", f"pipeline_tag: {kind}"]
    assert (tmp_path / "README.md").read_text().splitlines()[:7] == ["---", *lines, "---"]
