"""Listings of a bucket, page by page: objects, uploads that have not ended, and their parts."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aind_capsule.storage.answers import Node, choose_decoder, strip_quotes
from aind_capsule.storage.errors import RefusedError
from aind_capsule.storage.held import Held, HeldPart
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.storage.signed_requests import Request, SignedRequests
from aind_capsule.storage.signing import build_query


@dataclass(frozen=True, slots=True)
class Listings:
    """Lists what a bucket holds.

    Attributes:
        requests: Sends requests to it.
        retries: How long each page is tried.
    """

    requests: SignedRequests
    retries: RetryPolicy

    def list_objects(self, name: str, folder: str) -> Iterator[Held]:
        """Yield the objects whose keys begin so, as the server orders them.

        Args:
            name: The folder's address, for messages.
            folder: What the keys begin with.

        Raises:
            StorageError: They cannot be listed.
        """
        what, roots = f"Listing {name}", ("ListBucket", "ListObjects")
        pages = self._pages(
            Request(what, "GET", permission="s3:ListBucket", roots=roots),
            {"list-type": "2", "prefix": folder, "encoding-type": "url"},
            {"continuation-token": "NextContinuationToken"},
        )
        for page in pages:
            decode = choose_decoder(page)
            for row in page.find_all("Contents"):
                key = decode(row.get("Key"))
                if key.startswith(folder):
                    etag = strip_quotes(row.get("ETag")) or f"~{row.get('LastModified')}"
                    yield Held(key, int(row.get("Size")), etag)

    def list_uploads(self, name: str, folder: str) -> Iterator[tuple[str, str]]:
        """Yield keys and ids of uploads below a prefix that were begun and not ended.

        Args:
            name: The folder's address, for messages.
            folder: What the keys begin with.

        Raises:
            StorageError: They cannot be listed.
        """
        what, right = f"Listing uploads to {name}", "s3:ListBucketMultipartUploads"
        pages = self._pages(
            Request(what, "GET", permission=right, roots=("ListMultipartUploads",)),
            {"uploads": "", "prefix": folder, "encoding-type": "url"},
            {"key-marker": "NextKeyMarker", "upload-id-marker": "NextUploadIdMarker"},
        )
        for page in pages:
            decode = choose_decoder(page)
            for row in page.find_all("Upload"):
                key = decode(row.get("Key"))
                if key.startswith(folder):
                    yield key, row.get("UploadId")

    def list_parts(self, name: str, key: str, upload_id: str, checksum: str) -> Iterator[HeldPart]:
        """Yield the parts that the server holds of an upload, by number.

        Args:
            name: The object's address, for messages.
            key: Its key.
            upload_id: The upload.
            checksum: The element of a part's checksum; empty for none.

        Raises:
            StorageError: They cannot be listed.
        """
        what, right = f"Listing parts of {name}", "s3:ListMultipartUploadParts"
        pages = self._pages(
            Request(what, "GET", key, permission=right, roots=("ListParts",)),
            {"uploadId": upload_id},
            {"part-number-marker": "NextPartNumberMarker"},
        )
        for page in pages:
            for row in page.find_all("Part"):
                number, size = int(row.get("PartNumber")), int(row.get("Size"))
                etag = strip_quotes(row.get("ETag"))
                yield HeldPart(number, size, etag, row.get(checksum) if checksum else "")

    def _pages(
        self, request: Request, query: Mapping[str, str], markers: Mapping[str, str]
    ) -> Iterator[Node]:
        """Yield the pages of a listing.

        Args:
            request: What asks for it, without its query.
            query: The parameters of the first page.
            markers: Parameters of the next page, and the elements that have their values.
        """
        following: dict[str, str] = {}
        while True:
            asked = request.with_query(build_query({**query, **following}))
            page = self.retries.call(functools.partial(self.requests.ask, asked))
            yield page
            if page.get("IsTruncated").lower() != "true":
                return
            before, decode = following, choose_decoder(page)
            found = {name: page.get(element) for name, element in markers.items()}
            if "key-marker" in found:
                found["key-marker"] = decode(found["key-marker"])
            following = {name: value for name, value in found.items() if value}
            if not following or following == before:
                raise RefusedError(
                    f"{request.what} failed: the server does not say how its list goes on",
                    hint="Ask who runs the server.",
                )
