"""Downloading a file: bounded waiting, few retries, the checksum, and no file that is only half there.

Who downloads names the file (:class:`Remote`) and brings the transfer itself (``torch.hub``'s, say) and what becomes of
the file, which gets its name in the cache after its checksum was found right. Until then it lies in a temporary folder
that nothing reads. ``huggingface_hub`` tells where a file of the hub lies and which SHA-256 it has (``HF_ENDPOINT``
names a mirror, ``HF_TOKEN`` a login).
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from pyimgano.core.errors import MissingDependencyError, ParameterError, WeightsError
from pyimgano.core.files import sha256_file
from pyimgano.core.weight_files import SUFFIXES, hub_endpoint, stated_digits

__all__ = ["Remote", "Transfer", "check_digits", "fetch_file", "remote_at", "remote_on_hub", "steps_by_hand"]

logger = logging.getLogger(__name__)

Transfer = Callable[[str, Path], None]
"""Copies what an address gives into a file; raises what ``urllib`` does."""

ATTEMPTS = 3
PAUSE = 1.0
"""Seconds before the second attempt; each further pause is twice as long."""

TIMEOUT = 20.0
"""Seconds without a byte after which an attempt is given up."""

ASK_TIMEOUT = 10.0
"""Seconds that the hub has to say what a file is."""

RETRIED = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Remote:
    """A file on a server.

    Attributes
    ----------
    url : str
        Its address, as people know it.
    location : str
        The address that its content comes from: the hub's may be valid for minutes only.
    sha256 : str or None
        Its SHA-256 or the first digits of it.
    size : int or None
        In bytes.
    """

    url: str
    location: str
    sha256: Optional[str] = None
    size: Optional[int] = None


class _Unreachable(Exception):
    """One attempt failed; ``again`` says whether another one may succeed."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


def fetch_file(
    remote: Remote,
    folder: Path,
    keep: Callable[[Path], Path],
    *,
    name: str,
    transfer: Transfer,
    hint: str,
    sha256: Optional[str] = None,
) -> Path:
    """Download a file, check it, and return what ``keep`` makes of it.

    Parameters
    ----------
    remote : Remote
    folder : Path
        Where the temporary folder is made: on the cache's file system, so that ``keep`` may move the file.
    keep : callable
        Takes the file; raises WeightsError when it does not fit.
    name : str
        Full name of the model, for messages.
    transfer : callable
        See :data:`Transfer`.
    hint : str
        What to do when it cannot be had; see :func:`steps_by_hand`.
    sha256 : str, optional
        What the file's SHA-256 must be, or begin with, beside what ``remote`` says.

    Raises
    ------
    WeightsError
        When the file cannot be had, has another checksum or does not fit. Nothing is kept then.
    """
    logger.info("%s: downloading %s", name, remote.url)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
        file = Path(temporary, "weights" + Path(urlsplit(remote.url).path).suffix.lower())
        _download(remote, file, hint, transfer)
        _check(remote.sha256, file, remote, hint)
        _check(sha256, file, remote, hint)
        if remote.sha256 is None and sha256 is None:
            logger.warning("%s states no checksum; the file was checked for fitting %s only", remote.url, name)
        try:
            return keep(file)
        except WeightsError as error:  # it names the temporary file, which is about to vanish
            raise WeightsError(f"{error.message}; nothing was kept", where=remote.url, hint=hint) from error


def check_digits(sha256: Optional[str]) -> None:
    """Refuse a checksum that is none: 8 to 64 hexadecimal digits."""
    if sha256 is not None and not (8 <= len(sha256) <= 64 and set(sha256.lower()) <= set("0123456789abcdef")):
        raise ParameterError(f"sha256 = {sha256!r}", where="--sha256", allowed="8 to 64 hexadecimal digits")


def steps_by_hand(
    page: Optional[str], command: str, target: str, *, url: Optional[str] = None, hub: bool = False
) -> str:
    """Return what to do where there is no connection, one step a line.

    Parameters
    ----------
    page : str or None
        Where the file can be had.
    command : str
        What is typed to bring the weights into the cache.
    target : str
        What the file is called there.
    url : str, optional
        An address that was given in place of ``page``.
    hub : bool
        Whether the file lies on the Hugging Face hub, which may have a mirror.
    """
    page = _without_secrets(url) if url else page
    if page is None:
        return f"bring a file of your own: {command} --from FILE"
    digits = stated_digits(page)
    stated = f" (its sha256 begins with {digits})" if digits else ""
    file = page.rpartition("/")[2]
    mirror = "HF_ENDPOINT=https://MIRROR names a mirror of the hub; or" if hub else "from a mirror:"
    return (
        f"on a machine with internet, download {page}{stated}, copy {file} to this machine, and type: "
        f"{command} --from {file}\n"
        f"it becomes {target}: with its .json beside it, that file can be copied from another machine's cache as well\n"
        f"{mirror} {command} --url URL"
    )


def remote_at(url: str, sha256: Optional[str]) -> Remote:
    """Return the file at an address; ``sha256`` is what somebody states.

    Raises
    ------
    ParameterError
        When it is no address of a weights file, or is not encrypted and nothing states the checksum.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or not parts.path.lower().endswith(SUFFIXES):
        allowed = f"the http(s) address of a file called …{', …'.join(SUFFIXES)}"
        raise ParameterError(
            f"url = {url!r}", where="--url", allowed=allowed, hint="a file on this machine: --from FILE"
        )
    digits = stated_digits(parts.path)
    if parts.scheme == "http" and digits is None and sha256 is None:
        raise ParameterError(
            f"url = {url!r} is not encrypted, and nothing states the file's checksum",
            where="--url",
            allowed="https://, or a checksum",
            hint="--sha256 HEX",
        )
    return Remote(_without_secrets(url), url, digits)


def _without_secrets(url: str) -> str:
    """Return an address without what may be a password or a signature: it is shown, and kept in the sidecar."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def remote_on_hub(hub_id: str, names: Sequence[str], *, hint: str, pip: str) -> Remote:
    """Return where the first of some files of a repository of the hub lies; asks the hub.

    Parameters
    ----------
    hub_id : str
    names : sequence of str
        The preferred name first.
    hint : str
        What to do when the hub cannot be asked.
    pip : str
        The command that brings ``huggingface_hub``.
    """
    page = f"{hub_endpoint()}/{hub_id}/resolve/main/{names[0]}"
    found: Remote = _attempts(lambda: _ask_hub(hub_id, names, pip), f"the Hugging Face hub ({page})", hint)
    return found


def _ask_hub(hub_id: str, names: Sequence[str], pip: str) -> Remote:
    """Return the file of a repository: what the hub's answer to HEAD says of it, LFS checksum included."""
    try:
        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import (
            EntryNotFoundError,
            GatedRepoError,
            HfHubHTTPError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
        )
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"downloading from the hub needs {error.name!r}", hint=pip) from error
    if not constants.HF_HUB_OFFLINE:
        _connect(hub_endpoint())
    missing = ""
    for name in names:
        url = hf_hub_url(hub_id, name, endpoint=hub_endpoint())
        try:
            found = get_hf_file_metadata(url, timeout=ASK_TIMEOUT)
        except OfflineModeIsEnabled as error:
            raise _Unreachable("HF_HUB_OFFLINE is set, which forbids it: unset it first", again=False) from error
        except GatedRepoError as error:
            raise _Unreachable(
                f"{hub_id} is given to logged-in users only: accept its licence on its page, then set HF_TOKEN",
                again=False,
            ) from error
        except EntryNotFoundError as error:
            missing = str(error).strip().splitlines()[0]
            continue
        except RepositoryNotFoundError as error:
            raise _Unreachable(f"it has no {hub_id}, or not for everybody (HF_TOKEN)", again=False) from error
        # The base of all errors of its HTTP client, which is requests, httpx or httpx2 as its version wants.
        except (OSError, *HfHubHTTPError.__bases__) as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status == 404:  # of a mirror that does not say what is missing
                missing = _reason(error)
                continue
            raise _Unreachable(_reason(error), again=status in RETRIED) from error
        digest = str(found.etag or "").lower()
        whole = len(digest) == 64 and set(digest) <= set("0123456789abcdef")  # another etag is no checksum
        location = found.location if str(found.location).startswith(("https://", "http://")) else url
        return Remote(url, str(location), digest if whole else None, found.size)
    raise _Unreachable(f"{hub_id} holds none of {', '.join(names)}: {missing}", again=False)


def _connect(address: str) -> None:
    """Fail at once where there is no connection: huggingface_hub before 1.0 tries for half a minute."""
    parts = urlsplit(address)
    host = str(parts.hostname)
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return  # the proxy is asked, not this host
    try:
        with socket.create_connection((host, parts.port or (80 if parts.scheme == "http" else 443)), ASK_TIMEOUT):
            pass
    except OSError as error:
        raise _Unreachable(_reason(error), again=False) from error


def _download(remote: Remote, file: Path, hint: str, transfer: Transfer) -> None:
    def once() -> None:
        try:
            with _bounded_waiting():
                transfer(remote.location, file)
        except HTTPError as error:
            raise _Unreachable(f"HTTP {error.code} {error.reason}", again=error.code in RETRIED) from error
        except URLError as error:  # refused, or no such host: another attempt would say the same
            again = isinstance(error.reason, (TimeoutError, socket.timeout, ConnectionResetError))
            raise _Unreachable(_reason(error), again=again) from error
        except (http.client.HTTPException, ConnectionError, TimeoutError, socket.timeout, ssl.SSLError) as error:
            raise _Unreachable(_reason(error), again=not isinstance(error, http.client.InvalidURL)) from error
        except OSError as error:
            raise WeightsError(f"cannot write the file: {error.strerror or error}", where=str(file.parent)) from error
        size = file.stat().st_size
        if remote.size is not None and size < remote.size:
            raise _Unreachable(f"the download was cut off after {size} of {remote.size} bytes", again=True)

    _attempts(once, remote.url, hint)


def _attempts(action: Any, what: str, hint: str) -> Any:
    """Return ``action()``, tried again a few times when it fails in a way that may pass."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except _Unreachable as error:
            if attempt == ATTEMPTS or not error.again:
                tried = f" ({attempt} attempts)" if attempt > 1 else ""
                raise WeightsError(f"cannot download from {what}: {error}{tried}", hint=hint) from error
            pause = PAUSE * 2 ** (attempt - 1)
            logger.warning("%s: %s; trying again in %g s", what, error, pause)
            time.sleep(pause)
    raise AssertionError("unreachable")


@contextlib.contextmanager
def _bounded_waiting() -> Iterator[None]:
    """Give sockets a timeout, which torch.hub has no argument for; the default is the process's, so it is put back."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    text = str(getattr(reason, "strerror", None) or reason).strip()
    first = re.sub(r"^\[Errno -?\d+\] ", "", text.splitlines()[0]) if text else ""
    return first or type(error).__name__


def _check(sha256: Optional[str], file: Path, remote: Remote, hint: str) -> None:
    if sha256 is None:
        return
    actual = sha256_file(file)
    if not actual.startswith(sha256.lower()):
        raise WeightsError(
            f"checksum mismatch: the {file.stat().st_size} bytes received have sha256 {actual}, expected was "
            f"{sha256.lower()}: cut off or altered on the way, or another file; nothing was kept",
            where=remote.url,
            hint=hint,
        )
