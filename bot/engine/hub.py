"""What is there of the hub's repositories, and its answers to a download, in sentences."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import OperatorError


def on_disk(model: str, name: str) -> Path | None:
    """Return a file of a folder, or of a repository that was downloaded; None: it is not there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if Path(model).is_dir():
        found = Path(model) / name
        return found if found.is_file() else None
    try:
        cached = try_to_load_from_cache(model, name)
    except HFValidationError:  # a folder that does not exist is no repository either
        return None
    return Path(cached) if isinstance(cached, str) and Path(cached).is_file() else None


@contextmanager
def in_a_sentence(repository: str, kind: str, name: str) -> Iterator[None]:
    """Turn whatever a download raises into an OperatorError.

    It is of the file `name` first, without which a repository is not one of that `kind`.
    """
    from huggingface_hub import constants, errors

    away = f"The hub cannot be reached at {constants.ENDPOINT}: {repository} was not downloaded."
    if constants.HF_HUB_OFFLINE:
        away = f"HF_HUB_OFFLINE is set: unset it to download {repository}."
    try:
        yield
    except errors.HFValidationError as error:
        raise OperatorError(f"{repository} is neither a folder nor a name on the hub.") from error
    except errors.RepositoryNotFoundError as error:
        raise OperatorError(
            f"The hub has no {repository}: it does not exist or needs a login (`hf auth login`)."
        ) from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise OperatorError(away) from error
    except errors.EntryNotFoundError as error:
        raise OperatorError(f"{repository} is not {kind}: it has no {name}.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise OperatorError(f"The hub answered {status} when asked for {repository}.") from error
    except errors.HTTPError as error:  # type: ignore[attr-defined]  # httpx or its successor
        raise OperatorError(away) from error
    except OSError as error:
        full = error.errno == errno.ENOSPC
        why = "the disk is full" if full else error.strerror or error
        raise OperatorError(f"{repository} cannot be written: {why}.") from error
    except RuntimeError as error:  # the hub's own transfer library, hf_xet
        raise OperatorError(f"The download of {repository} failed: {error}") from error
