"""Begin an upload: find out whose its asset's name is, and claim it.

| there is | without a permission | `--repair` | `--overwrite` |
|---|---|---|---|
| nothing, or our own claim | goes on | goes on | goes on |
| a complete asset of the same bytes | done | done | done |
| a complete asset of other bytes | next name, or refused | sent as its manifest says | replaced |
| the same bytes, and a damaged manifest | next name, or refused | written | written |
| a claim of another upload | next name, or refused | refused | replaced |
| objects, and no claim of this toolkit | next name, or refused | refused | refused |

`--overwrite-foreign` goes on in each case.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from aind_capsule.records.naming import make_run_id
from aind_capsule.storage.errors import StorageError, TakenError
from aind_capsule.upload.asset import AssetUpload, name_some
from aind_capsule.upload.claim import (
    Claim,
    ClaimState,
    FoundClaim,
    confirm_claim,
    find_claim,
    put_claim,
)
from aind_capsule.upload.keys import MANIFEST
from aind_capsule.upload.manifest_object import FoundManifest, ManifestState
from aind_capsule.upload.rows import Target

_OTHER_NAME = "Give another name by --asset-name"


class AssetTakenError(StorageError):
    """The asset's name is another's."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What somebody said may be done to what is there.

    Attributes:
        overwrite: What this toolkit has written may be replaced.
        overwrite_foreign: What others have written may be replaced, too.
        repair: Objects may be replaced that are not as the manifest says.
    """

    overwrite: bool = False
    overwrite_foreign: bool = False
    repair: bool = False

    @property
    def may_replace(self) -> bool:
        """Whether an upload of this toolkit may be replaced."""
        return self.overwrite or self.overwrite_foreign


class NameClaimer:
    """Claims one name for an upload.

    The journal's rows are forgotten where they belong to another place.

    Args:
        upload: The upload.
        claim: Its claim; the id of the upload in it is another one for each name.
        look_at_files: Takes what is in the folder into the journal.
        permission: What may be done to what is there.
        announce: Takes one sentence before something is replaced.
    """

    def __init__(
        self,
        upload: AssetUpload,
        claim: Claim,
        look_at_files: Callable[[], object],
        permission: Permission,
        announce: Callable[[str], object],
    ) -> None:
        self._upload = upload
        self._claim = claim
        self._look_at_files = look_at_files
        self._permission = permission
        self._announce = announce
        self._bucket, self._asset = upload.bucket, upload.asset
        target = upload.journal.target
        here = Target(upload.bucket.origin, upload.asset.folder, "")
        self._target = target if target is not None and target.is_same_place(here) else None
        if self._target is None:
            upload.journal.leave_place()

    def take(self, *, is_new: bool) -> bool:
        """Claim the name, or go on with our claim.

        Args:
            is_new: Whether the name was made for this upload: a complete asset is another's then.

        Returns:
            Whether nothing is left to do: the asset is complete and holds just these files.

        Raises:
            AssetTakenError: It is another's.
            StorageError: There is no answer.
        """
        found = find_claim(self._bucket, self._asset)
        is_ours = self._is_ours(found)
        manifest = self._upload.manifest.find()
        if self._is_complete(manifest, is_ours=is_ours):
            if is_new and not is_ours:
                raise AssetTakenError(f"{self._asset} is complete already", hint=_OTHER_NAME)
            if self._is_unchanged(has_manifest=True):
                return True
            self._check_may_replace(manifest, is_ours=is_ours)
            self._put(replaced=None if found.state is ClaimState.FREE else found, has_manifest=True)
            return False
        if not is_ours:
            self._claim_incomplete(found, manifest)
        elif self._permission.overwrite_foreign or manifest.state is ManifestState.DAMAGED:
            self._upload.journal.set_job("may_have_manifest", value=True)
        return False

    def check_is_ours(self) -> None:
        """Check that no other upload has taken the name meanwhile.

        Raises:
            AssetTakenError: One has.
            StorageError: There is no answer.
        """
        found = find_claim(self._bucket, self._asset)
        target = self._upload.journal.target
        assert target is not None
        claim = found.claim
        if found.state is ClaimState.UNKNOWN:
            return  # no right to look: it was confirmed when the upload began
        if claim is None or claim.upload_id != target.upload_id:
            whose = f"by {claim.run_id} since {claim.claimed_at}" if claim else "by another program"
            raise AssetTakenError(
                f"{self._asset} was claimed {whose} while this upload ran",
                hint=f"Wait for its end. {_OTHER_NAME}, or say --overwrite.",
            )

    def _is_ours(self, found: FoundClaim) -> bool:
        """Return whether the claim is the one that this journal has written."""
        if self._target is None:
            return False
        if found.state is not ClaimState.UNKNOWN:
            return found.claim is not None and found.claim.upload_id == self._target.upload_id
        claim = dataclasses.replace(self._claim, upload_id=self._target.upload_id)
        is_confirmed = confirm_claim(self._bucket, self._asset, claim, self._target.claim_etag)
        if is_confirmed is None:  # then a claim counts that was answered when it was written
            return bool(self._target.claim_etag)
        return is_confirmed

    def _is_complete(self, manifest: FoundManifest, *, is_ours: bool) -> bool:
        """Return whether there is a complete asset: another's, or that of this very upload."""
        if manifest.state is not ManifestState.WHOLE:
            return False
        return not is_ours or manifest.head.get("upload_id") == self._get_upload_id()

    def _get_upload_id(self) -> str | None:
        return None if self._target is None else self._target.upload_id

    def _is_unchanged(self, *, has_manifest: bool) -> bool:
        upload = self._upload
        upload.journal.count_nothing()  # something else may have written there since
        self._look_at_files()
        if not upload.list_objects():
            return False
        upload.compare(is_thorough=self._permission != Permission())
        return upload.is_unchanged(has_manifest=has_manifest)

    def _check_may_replace(self, manifest: FoundManifest, *, is_ours: bool) -> None:
        """Check that a complete asset may be replaced, and announce it.

        Raises:
            AssetTakenError: It may not.
        """
        ledger, permission = self._upload.journal.ledger, self._permission
        if permission.repair and not permission.may_replace:
            different = self._upload.find_different()
            if different:
                raise AssetTakenError(
                    f"{self._asset} cannot be repaired from here: these files are not as its"
                    f" manifest says: {name_some(different)}",
                    hint=f"--overwrite replaces the asset. {_OTHER_NAME}, and it stays.",
                )
        elif not permission.may_replace:
            what = "what is there is not what the manifest says, or the folder"
            raise AssetTakenError(
                f"{self._asset} is complete, and {what if is_ours else 'the folder'} holds"
                " something else",
                hint=f"{_OTHER_NAME}, or say --overwrite. --repair sends what the server has lost.",
            )
        head = manifest.head
        word = "Repairs" if permission.repair and not permission.may_replace else "Replaces"
        self._announce(
            f"{word} {self._asset}: {ledger.count_known():,} files of"
            f" {head.get('run_id', 'an unknown upload')}, complete since"
            f" {head.get('created_at', 'an unknown time')}"
        )

    def _claim_incomplete(self, found: FoundClaim, manifest: FoundManifest) -> None:
        """Claim a name that is not ours, and not that of a complete asset.

        Raises:
            AssetTakenError: It is another's.
        """
        permission, asset = self._permission, self._asset
        has_manifest = manifest.state is not ManifestState.ABSENT
        if found.state is ClaimState.CLAIMED:
            claim = found.claim
            assert claim is not None
            may_repair = (
                permission.repair and has_manifest and self._is_unchanged(has_manifest=False)
            )
            if not permission.may_replace and not may_repair:
                raise AssetTakenError(
                    f"{asset} is claimed by {claim.run_id} since {claim.claimed_at}, and not whole",
                    hint="Have that upload finished (capsule upload --resume where it was begun),"
                    f" or say --overwrite. {_OTHER_NAME}, and it stays.",
                )
            if not permission.overwrite_foreign:
                self._is_unchanged(has_manifest=False)
                self._upload.refuse_conflicts()
            self._announce(
                f"Replaces the upload of {asset} that {claim.run_id} began at {claim.claimed_at}"
            )
            self._put(replaced=found, has_manifest=True)
            return
        if permission.overwrite_foreign:
            self._announce(f"Replaces what others have written at {asset}")
            self._put(replaced=found, has_manifest=True)
            return
        upload = self._upload
        is_listed = upload.list_objects()  # where no S3 server answers, this says so
        if found.state is ClaimState.FOREIGN:
            raise AssetTakenError(
                f"{asset}/.claim is there, and this toolkit has not written it", hint=_OTHER_NAME
            )
        is_foreign = manifest.state is ManifestState.DAMAGED and not manifest.head
        if is_listed or is_foreign:
            strangers = upload.journal.ledger.find_strangers() if is_listed else []
            strangers += [MANIFEST] if is_foreign else []
            if strangers:
                raise AssetTakenError(
                    f"{asset} holds objects that no upload of this toolkit has written:"
                    f" {name_some(strangers)}",
                    hint=f"{_OTHER_NAME}. --overwrite-foreign replaces those that the folder has.",
                )
        try:
            self._put(replaced=None, has_manifest=has_manifest and found.state is ClaimState.FREE)
        except TakenError as error:
            hint = f"{_OTHER_NAME}."
            if found.state is ClaimState.UNKNOWN:
                hint += (
                    " Whose it is cannot be read: grant s3:GetObject for --overwrite, or say"
                    " --overwrite-foreign."
                )
            raise AssetTakenError(f"{asset} was claimed by another upload", hint=hint) from error

    def _put(self, *, replaced: FoundClaim | None, has_manifest: bool) -> None:
        """Write our claim; from now on the journal's rows are of this claim."""
        journal = self._upload.journal
        claim = dataclasses.replace(self._claim, upload_id=make_run_id())
        # Remembered before it is written: a claim whose answer is lost is ours nevertheless.
        target = Target(self._bucket.origin, self._asset.folder, claim.upload_id)
        journal.set_target(target)
        journal.set_job("may_have_manifest", has_manifest)
        journal.commit()
        try:
            etag = put_claim(self._bucket, self._asset, claim, replaced=replaced)
            self._look_at_claim(claim)
        except TakenError as error:
            if not error.may_be_ours:  # the name is another's: nothing here is of this claim
                if self._target is None:
                    journal.leave_place()
                else:
                    journal.set_target(self._target)
            raise
        journal.set_claim_etag(etag or claim.compute_etag())
        self._target = journal.target

    def _look_at_claim(self, claim: Claim) -> None:
        """Look whether the claim is ours indeed: some servers ignore conditions.

        Raises:
            TakenError: Another upload was faster.
        """
        found = find_claim(self._bucket, self._asset)
        if found.state is not ClaimState.UNKNOWN and found.claim != claim:
            raise TakenError(f"{self._asset} was claimed by another upload")
