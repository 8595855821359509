"""Repositories of the Hugging Face hub, to which an export that has been written is pushed."""

from pathlib import Path

from gancli import __version__
from gancli.errors import UserError, cut, excerpt, printable, shown
from gancli.files import MANIFEST, read_json

_INSTALL = "pip install huggingface_hub"
_LOG_IN = "hf auth login"
_REFUSED = (400, 402, 403, 404)


class Repository:
    """A repository of models on the hub; endpoint and token are those of huggingface_hub.

    Args:
        name: `OWNER/NAME`.
        public: whether everybody sees it, where it has to be made.

    Raises:
        UserError: if the package is missing, the name is none, or there is no token.
    """

    def __init__(self, name: str, public: bool = False):
        self.name, self.public = name, public
        try:
            from huggingface_hub import HfApi, get_token  # pyright: ignore[reportMissingImports]
            from huggingface_hub.utils import validate_repo_id  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise UserError(
                f"--push needs a package that is not installed: {excerpt(error)}",
                "an export without --push",
                f"Install it: {_INSTALL}",
            ) from None
        try:
            validate_repo_id(name)
        except ValueError as error:
            raise _misnamed(name, excerpt(error)) from None
        if "/" not in name:
            raise _misnamed(name, "it has no owner")
        try:
            token = get_token()
        except Exception as error:  # Of a file, or of a service that gives tokens.
            raise _without_token(name, excerpt(error)) from error
        if token is None:
            raise _without_token(name, "there is none")
        self._api = HfApi(token=token, library_name="gancli", library_version=__version__)

    def push(self, folder: Path) -> str:
        """Commits all files that the manifest of an export names; others there stay.

        Args:
            folder: of the export.

        Returns:
            The address of the repository.

        Raises:
            UserError: if the hub refuses, cannot be reached, or leaves files out.
        """
        from huggingface_hub import CommitOperationAdd  # pyright: ignore[reportMissingImports]

        manifest = read_json(folder / MANIFEST)
        names, place = [*manifest["files"], MANIFEST], folder.absolute()
        said = f"{manifest['part']} at step {manifest['step']:,} as {manifest['format']}"
        try:
            address = self._api.create_repo(self.name, private=not self.public, exist_ok=True)
            commit = self._api.create_commit(
                self.name,
                [CommitOperationAdd(name, place / name) for name in names],
                commit_message=said,
            )
            taken = self._api.get_paths_info(self.name, names, revision=commit.oid)
        except Exception as error:  # Each of its major versions has another HTTP library.
            raise self._refused(folder, error) from error
        # What the .gitignore of a repository names is not committed, and nothing says so.
        if left_out := sorted({*names} - {one.path for one in taken}):
            raise UserError(
                f"{address} has taken the export in {shown(str(folder))} without "
                f"{', '.join(left_out)}",
                "a repository whose .gitignore names no file of an export",
                "Remove its .gitignore, and run the same command again",
            )
        return str(address)

    def _refused(self, folder: Path, error: Exception) -> UserError:
        """The error for what went wrong, and for an export that is complete all the same."""
        # The upload of a large file fails as the cause of another error.
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        status = getattr(getattr(cause, "response", None), "status_code", None)
        own = getattr(cause, "server_message", None)
        reason = cut(printable(f"{status} {own}")) if own else excerpt(cause)
        if status == 401:
            allowed, remedy = "a token that the hub knows", f"Run {_LOG_IN}, or set HF_TOKEN"
        elif status in _REFUSED:
            allowed = "a repository that the token may write to"
            remedy = "Choose another --push or another token"
        else:
            allowed = "a hub that can be reached, which HF_ENDPOINT chooses"
            remedy = "Wait until it answers"
        return UserError(
            f"the export is complete in {shown(str(folder))}, but {self._api.endpoint} has not "
            f"taken it for {self.name}: {reason}",
            allowed,
            f"{remedy}, and run the same command again to push it",
        )


def _misnamed(name: str, reason: str) -> UserError:
    return UserError(
        f"--push {shown(name)} names no repository: {reason}",
        "OWNER/NAME, each of letters, digits, '-', '_' and '.'",
        "Choose another --push",
    )


def _without_token(name: str, reason: str) -> UserError:
    return UserError(
        f"--push {shown(name)} without a token of the Hugging Face hub: {reason}",
        "a token that may write to it",
        f"Run {_LOG_IN}, or set HF_TOKEN",
    )
