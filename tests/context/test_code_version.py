"""Which version of the code runs: stamp, task script, variables, and real git repositories."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aind_capsule.context.code_addresses import strip_credentials
from aind_capsule.context.code_sources import is_same_address
from aind_capsule.context.code_version import CodeVersion, find_code_version
from aind_capsule.context.task_script import find_cloned_code
from tests.context.trees import write_tree

SHA = "26c2b127281288fe5197185e663b91bef5011fba"
#: Git without the user's own configuration.
GIT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": f"{who}@x"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *arguments]
    return subprocess.run(
        command, env=GIT, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A capsule in git with one commit, cloned from an address with a token in it."""
    folder = write_tree(tmp_path / "capsule", {"code/run": "true\n"})
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "first")
    _git(folder, "remote", "add", "origin", "https://user:ghp_secret@host.org/capsule-1.git")
    return folder


def _find(folder: Path, **environ: str) -> CodeVersion | None:
    return find_code_version(str(folder), {**GIT, **environ}, None)


# Git


@needs_git
def test_a_repository(repository: Path) -> None:
    """Commit, branch, and the address without its token."""
    assert _find(repository / "code") == CodeVersion(
        url="https://host.org/capsule-1.git",
        commit=_git(repository, "rev-parse", "HEAD"),
        branch="main",
        is_dirty=False,
        found_in=f"git repository {repository}",
    )


@needs_git
def test_changed_files(repository: Path) -> None:
    """A changed file makes it dirty, a new one does not and is named; the index is untouched."""
    index = (repository / ".git/index").read_bytes()
    (repository / "new").touch()
    os.utime(repository / "code/run", (1, 1))
    found = _find(repository)
    assert found is not None
    assert found.is_dirty is False
    assert found.notes == ("Files beside the code that are in no commit: new",)
    assert (repository / ".git/index").read_bytes() == index
    (repository / "code/run").write_text("false\n")
    found = _find(repository)
    assert found is not None
    assert found.is_dirty is True


@needs_git
@pytest.mark.parametrize(
    "change",
    [
        ("add",),
        ("rm", "code/run"),
        ("mv", "code/run", "code/walk"),
        ("rm", "--cached", "code/run"),
    ],
    ids=lambda change: "-".join(change),
)
def test_changes_of_every_kind(repository: Path, change: tuple[str, ...]) -> None:
    """A file that is staged, removed, renamed, or known no more makes it dirty, and no version."""
    (repository / "code/more").touch()
    _git(repository, *change, *(["code/more"] if change == ("add",) else []))
    found = _find(repository / "code")
    assert found is not None
    assert (found.is_dirty, found.version) == (True, None)
    assert found.commit == _git(repository, "rev-parse", "HEAD")


@needs_git
def test_new_files_count_where_the_code_is(repository: Path) -> None:
    """Not what git ignores, what is hidden, what Python leaves, nor what is in folders of the run."""
    names = ("data/x", "results/x", ".cache/x", "__pycache__/x.pyc", "x.pyc", "x.log", "lib/a.py")
    write_tree(repository / "code", {name: "x" for name in names})
    write_tree(repository, {"above": "", "code/.gitignore": "*.log\n"})
    folders = [str(repository / "code" / name) for name in ("data", "results")]
    found = find_code_version(str(repository / "code"), GIT, ignored=folders)
    assert found is not None
    assert (found.is_dirty, found.notes) == (
        False,
        ("Files beside the code that are in no commit: lib/",),
    )
    found = find_code_version(str(repository / "code"), GIT)
    assert found is not None
    assert found.notes == ("Files beside the code that are in no commit: data/, lib/, results/",)


@needs_git
@pytest.mark.parametrize("rule", ["", "other/\n"])
def test_a_folder_that_no_commit_holds(repository: Path, rule: str) -> None:
    """A repository around code that it does not know, or ignores, is not the code's."""
    write_tree(repository, {"other/run": "true\n", ".gitignore": rule})
    found = _find(repository / "other")
    place = f"git repository {repository}"
    assert found == CodeVersion(found_in=place)
    assert found.notes == (f"The code is in no commit of the {place} around it",)


@needs_git
def test_names_of_new_files(repository: Path) -> None:
    """Few of many are named, and a name that breaks lines is shown in another way."""
    write_tree(repository / "code", {f"{name}\n": "" for name in "abcdefg"})
    found = _find(repository / "code")
    assert found is not None
    (note,) = found.notes
    assert note.isprintable()
    assert note.endswith(r"'e\n' and 2 more")


@needs_git
@pytest.mark.parametrize("ignored", ["", "all"])
def test_a_submodule_inside(repository: Path, tmp_path: Path, ignored: str) -> None:
    """Changes of its files and of its commit count, also where git is told to pass them over.

    A new file in it does not make the code another, and is named. No watcher of it is started.
    """
    parent = tmp_path / "parent"
    parent.mkdir()
    _git(parent, "init", "-q", "-b", "trunk")
    _git(parent, "submodule", "add", "-q", str(repository), "sub")
    if ignored:
        _git(parent, "config", "-f", ".gitmodules", "submodule.sub.ignore", ignored)
    _git(parent, "add", ".gitmodules")
    _git(parent, "commit", "-q", "-m", "sub")
    script = write_tree(tmp_path, {"spy": f"#!/bin/sh\ntouch {tmp_path}/started\n"}) / "spy"
    script.chmod(0o755)
    _git(parent / "sub", "config", "core.fsmonitor", str(script))

    def ask() -> tuple[bool | None, tuple[str, ...]]:
        found = _find(parent)
        assert found is not None
        return found.is_dirty, found.notes

    assert ask() == (False, ())
    (parent / "sub/new").touch()
    assert ask() == (False, ("Files beside the code that are in no commit: sub/",))
    (parent / "sub/code/run").write_text("false\n")
    assert ask()[0] is True
    assert not (tmp_path / "started").exists()
    (parent / "sub/new").unlink()
    _git(parent / "sub", "commit", "-q", "-a", "-m", "second")
    assert ask() == (True, ())


@needs_git
def test_in_the_middle_of_a_merge(repository: Path) -> None:
    """The commit is the one before, and what both sides changed makes it dirty."""
    for branch, text in (("other", "1"), ("main", "2")):
        _git(repository, "checkout", "-q", "-B", branch, *([] if branch == "other" else ["HEAD~1"]))
        (repository / "code/run").write_text(text)
        _git(repository, "commit", "-q", "-a", "-m", branch)
    commit = _git(repository, "rev-parse", "HEAD")
    with pytest.raises(subprocess.CalledProcessError):
        _git(repository, "merge", "-q", "other")
    assert (repository / ".git/MERGE_HEAD").exists()
    found = _find(repository)
    assert found is not None
    assert (found.commit, found.branch, found.is_dirty) == (commit, "main", True)


@needs_git
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_user(repository: Path, tmp_path: Path) -> None:
    """As in a container that runs as root: looked into where its owner's code runs, else unknown."""
    (repository / "code/run").write_text("false\n")
    home = write_tree(tmp_path / "home", {".gitconfig": "[core]\n\texcludesFile = /x\n"})
    for path in [repository, *repository.rglob("*")]:
        os.lchown(path, 4321, 4321)
    found = _find(repository / "code", HOME=str(home))
    assert found is not None
    assert (found.is_dirty, found.notes) == (True, ())
    os.lchown(repository / "code", 0, 0)
    found = _find(repository / "code", HOME=str(home))
    assert found is not None
    assert (found.commit, found.is_dirty) == (_git_as_root(repository), None)
    (note,) = found.notes
    assert note.startswith("Whether the code was changed after this commit is not known: fatal: ")


@needs_git
def test_a_git_that_takes_safe_folders_of_a_file_alone(repository: Path, tmp_path: Path) -> None:
    """As of 2.35: that file names every folder, and includes what the user has configured."""
    (repository / "code/run").write_text("false\n")
    home = write_tree(
        tmp_path / "home",
        {".gitconfig": "[a]\n\tb = home\n", ".config/git/config": "[a]\n\tc = xdg\n"},
    )
    script = f"""#!/bin/sh
PATH={GIT["PATH"]}
if [ "$(git config --global --includes safe.directory)" != "*" ]; then
    echo "fatal: unsafe repository ('/x' is owned by someone else)" >&2
    exit 128
fi
git config --global --includes a.b >>{tmp_path}/said
git config --global --includes a.c >>{tmp_path}/said
exec git "$@"
"""
    write_tree(tmp_path / "bin", {"git": script})
    (tmp_path / "bin/git").chmod(0o755)
    found = _find(repository, PATH=f"{tmp_path}/bin", HOME=str(home))
    assert found is not None
    assert (found.is_dirty, found.notes) == (True, ())
    assert (tmp_path / "said").read_text().splitlines()[:2] == ["home", "xdg"]


def _git_as_root(repository: Path) -> str:
    return (repository / ".git/refs/heads/main").read_text().strip()


@needs_git
@pytest.mark.parametrize(
    ("program", "why"),
    [
        (None, "git is not installed"),
        ("exit 1", "git ended with status 1"),
        ("echo 'bad\aconfig' >&2; exit 128", r"'bad\x07config'"),
        ("exec sleep 60", "git did not answer in 2 s"),
    ],
)
def test_git_that_is_missing_fails_or_hangs(
    repository: Path, tmp_path: Path, program: str | None, why: str
) -> None:
    """Everything but `is_dirty` is still known, and that it is not is said."""
    (tmp_path / "bin").mkdir()
    if program:
        script = tmp_path / "bin/git"
        asked = f"echo asked >>{tmp_path}/asked"
        script.write_text(f"#!/bin/sh\nPATH={GIT['PATH']}\n{asked}\n{program}\n")
        script.chmod(0o755)
    found = _find(repository, PATH=str(tmp_path / "bin"))
    assert found is not None
    assert (found.branch, found.is_dirty) == ("main", None)
    assert found.commit == _git(repository, "rev-parse", "HEAD")
    assert found.notes == (f"Whether the code was changed after this commit is not known: {why}",)
    assert program is None or (tmp_path / "asked").read_text() == "asked\n"


@needs_git
def test_no_program_of_the_repositorys_is_started(repository: Path, tmp_path: Path) -> None:
    """A watcher that the repository's configuration names is not run."""
    script = write_tree(tmp_path, {"spy": f"#!/bin/sh\ntouch {tmp_path}/started\n"}) / "spy"
    script.chmod(0o755)
    _git(repository, "config", "core.fsmonitor", str(script))
    assert _find(repository) is not None
    assert not (tmp_path / "started").exists()


@needs_git
def test_variables_of_git_lead_nowhere_else(repository: Path) -> None:
    """GIT_DIR of a hook that runs us does not count."""
    (repository / "code/run").write_text("false\n")
    found = _find(repository, GIT_DIR="/nowhere", GIT_WORK_TREE="/nowhere")
    assert found is not None
    assert found.is_dirty is True


@needs_git
def test_packed_refs_and_detached_heads(repository: Path) -> None:
    """Refs in one file; no branch where a commit is checked out."""
    _git(repository, "pack-refs", "--all", "--prune")
    commit = _git(repository, "rev-parse", "HEAD")
    found = _find(repository)
    assert found is not None
    assert (found.commit, found.branch) == (commit, "main")
    _git(repository, "checkout", "-q", "--detach")
    found = _find(repository)
    assert found is not None
    assert (found.commit, found.branch) == (commit, None)


@needs_git
def test_worktrees_and_submodules(repository: Path, tmp_path: Path) -> None:
    """Where `.git` is a file: the worktree's own branch, the submodule's own repository."""
    _git(repository, "worktree", "add", "-q", "-b", "feature/x", str(tmp_path / "tree"))
    found = _find(tmp_path / "tree/code")
    assert found is not None
    assert (found.branch, found.is_dirty) == ("feature/x", False)
    assert found.url == "https://host.org/capsule-1.git"
    assert found.commit == _git(repository, "rev-parse", "HEAD")
    parent = tmp_path / "parent"
    parent.mkdir()
    _git(parent, "init", "-q", "-b", "trunk")
    _git(parent, "submodule", "add", "-q", str(repository), "sub")
    _git(parent, "commit", "-q", "-m", "sub")
    found = _find(parent / "sub/code")
    assert found is not None
    assert (found.branch, found.url, found.is_dirty) == ("main", str(repository), False)
    assert found.commit == _git(repository, "rev-parse", "HEAD")


@needs_git
def test_before_the_first_commit(tmp_path: Path) -> None:
    """The branch is known, the commit is not, and that there is none is said."""
    _git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "run").touch()
    found = _find(tmp_path)
    assert found is not None
    assert (found.branch, found.commit, found.is_dirty) == ("main", None, None)
    assert found.notes == ("The code is in no commit: its git repository has none yet",)


@needs_git
def test_before_the_first_commit_without_git(tmp_path: Path) -> None:
    """Nothing is said of changes after a commit that is not known."""
    _git(tmp_path, "init", "-q", "-b", "main")
    found = _find(tmp_path, PATH=str(tmp_path))
    assert found is not None
    assert (found.branch, found.commit, found.notes) == ("main", None, ())


@needs_git
def test_the_code_folder_may_be_a_link(repository: Path, tmp_path: Path) -> None:
    """`/code` leads into the checkout."""
    (tmp_path / "code").symlink_to(repository / "code")
    found = _find(tmp_path / "code")
    assert found is not None
    assert found.branch == "main"


@pytest.mark.parametrize(
    "files",
    [
        {".git": "nonsense"},
        {".git": "gitdir: /nowhere\n"},
        {".git/": ""},
        {".git/HEAD": ""},
        {".git/HEAD": "nonsense"},
        {".git/HEAD": "ref: ../../etc/passwd"},
        {".git/HEAD": "ref: refs/../../../etc/passwd"},
        {".git/HEAD": "ref: refs/heads/.invalid", ".git/reftable/x": ""},
        {".git/HEAD/": ""},
        {".git/HEAD": "ref: refs/a", ".git/refs/a": "ref: refs/a", ".git/config": "[remote"},
    ],
)
def test_broken_repositories(tmp_path: Path, files: dict[str, str]) -> None:
    """Nothing is known, and nothing is raised."""
    assert _find(write_tree(tmp_path / "capsule", files)) is None


def test_the_origin_in_a_configuration(tmp_path: Path) -> None:
    """The section `remote "origin"` in any spelling, its first address, quoted or not."""
    config = '[remote "fork"]\n url = a://b\n[Remote "origin"]\n\tfetch = x\n\tURL="ssh://git@h/r"\nurl = c\n'
    write_tree(tmp_path, {".git/HEAD": SHA, ".git/config": config})
    found = _find(tmp_path)
    assert found is not None
    assert (found.url, found.commit, found.branch) == ("ssh://git@h/r", SHA, None)


@pytest.mark.parametrize("folder", ["nowhere", "a\0b", ""])
def test_folders_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Nothing is known, and nothing is raised."""
    monkeypatch.chdir(tmp_path)
    assert find_code_version(folder, GIT, "no\0where") is None


# The order


@needs_git
def test_the_order(repository: Path, tmp_path: Path) -> None:
    """Stamp, task script, variables, repository; what is broken gives way to the next."""
    code = repository / "code"
    script = write_tree(
        tmp_path / "task",
        {".command.sh": "git clone --branch v3.0 https://t@h/capsule-2.git capsule-repo"},
    )
    stamp = code / ".capsule-version.json"
    stamp.write_text(
        json.dumps(
            {
                "url": "https://t@h/stamped",
                "commit": SHA.upper(),
                "branch": "b",
                "version": "1.2",
                "dirty": True,
                "time": "t",
            }
        )
    )
    environ = {**GIT, "CO_COMMIT": "undefined", "GIT_COMMIT": "not hex", "COMMIT_ID": SHA[:12]}

    def find(task: str | None = str(script / ".command.sh")) -> CodeVersion | None:
        return find_code_version(str(code), environ, task)

    assert find() == CodeVersion(
        "https://h/stamped", SHA, "b", "1.2", True, ".capsule-version.json"
    )
    stamp.write_text('{"time": "now", "dirty": true, "commit": "xyz"}')
    assert find() == CodeVersion(
        "https://h/capsule-2.git", None, None, "v3.0", None, "git clone of capsule-2 in .command.sh"
    )
    (script / ".command.sh").write_text("echo git clone nothing")
    assert find() == CodeVersion(commit=SHA[:12], found_in="COMMIT_ID")
    environ["COMMIT_ID"] = "12"
    assert find(None) == _find(code)


@needs_git
def test_a_commit_of_the_environment_in_a_changed_checkout(repository: Path) -> None:
    """Where the repository is of that commit its changes count; where it is not, both are named."""
    commit = _git(repository, "rev-parse", "HEAD")
    (repository / "code/run").write_text("false\n")
    found = _find(repository, GIT_COMMIT=commit[:12])
    assert found is not None
    assert (found.commit, found.is_dirty, found.found_in) == (commit[:12], True, "GIT_COMMIT")
    assert found.notes == ()
    found = _find(repository, GIT_COMMIT=SHA)
    assert found is not None
    assert (found.commit, found.is_dirty) == (SHA, None)
    assert found.notes == (
        f"The code's commit differs by source: {SHA} (GIT_COMMIT), {commit}"
        f" (git repository {repository}). The first is recorded",
    )


@needs_git
@pytest.mark.parametrize("stamped", [False, True])
def test_a_stamp_beside_a_repository(repository: Path, stamped: bool) -> None:
    """Changes that either place knows of count."""
    commit = _git(repository, "rev-parse", "HEAD")
    stamp = json.dumps({"commit": commit, "dirty": stamped})
    write_tree(repository, {"code/.capsule-version.json": stamp})
    found = _find(repository / "code")
    assert found is not None
    assert (found.is_dirty, found.notes) == (stamped, ())
    (repository / "code/run").write_text("false\n")
    found = _find(repository / "code")
    assert found is not None
    assert found.is_dirty is True


@needs_git
def test_the_repository_around_a_task_is_the_pipelines(repository: Path) -> None:
    """A work folder in the pipeline's checkout: what the task holds is not of that commit."""
    task = write_tree(repository / "work/ab/cd", {"capsule/code/run": "true\n"})

    def find(task_folder: str | None) -> CodeVersion | None:
        return find_code_version(str(task / "capsule/code"), GIT, task_folder=task_folder)

    assert find(str(task)) is None
    assert find(None) is not None
    _git(task / "capsule", "init", "-q", "-b", "own")
    found = find(str(task))
    assert found is not None
    assert found.branch == "own"


IMAGE = {"VERSION": "0.3.1", "CODE_URL": "https://t@github.com/Lab/Sorter"}


def test_what_the_image_says(tmp_path: Path) -> None:
    """Version and address of the image's variables, where no other place says anything."""
    found = find_code_version(str(tmp_path), IMAGE, is_container=True)
    assert found == CodeVersion(
        url="https://github.com/Lab/Sorter",
        version="0.3.1",
        found_in="VERSION and CODE_URL",
        from_image=("VERSION", "CODE_URL"),
    )
    assert "notes" not in found.describe()


@pytest.mark.parametrize(
    ("environ", "is_container", "version"),
    [
        ({"VERSION": "0.3"}, True, "0.3"),
        ({"VERSION": "0.3"}, False, None),
        ({"VERSION": "0.3", "CODE_URL": "https://h/x"}, False, "0.3"),
        ({"VERSION": "22.04.1 LTS (Jammy)"}, True, None),
        ({"VERSION": "/opt/version"}, True, None),
        ({"VERSION": "stable"}, True, None),
        ({"VERSION": "undefined", "CODE_URL": "null"}, True, None),
        ({"VERSION": ""}, True, None),
    ],
)
def test_versions_of_images(
    tmp_path: Path, environ: dict[str, str], is_container: bool, version: str | None
) -> None:
    """On a workstation the variable alone is anybody's; what is no version is none."""
    found = find_code_version(str(tmp_path), environ, is_container=is_container)
    assert (found and found.version) == version


@needs_git
def test_the_image_fills_what_other_places_leave_open(repository: Path) -> None:
    """What they say stands, and where the image says another thing that is named."""
    commit = _git(repository, "rev-parse", "HEAD")
    found = find_code_version(str(repository), {**GIT, **IMAGE}, is_container=True)
    assert found is not None
    assert (found.url, found.commit, found.version) == (
        "https://host.org/capsule-1.git",
        commit,
        "0.3.1",
    )
    assert found.from_image == ("VERSION",)
    assert found.notes == (
        f"The code's url differs by source: https://host.org/capsule-1.git (git repository"
        f" {repository}), https://github.com/Lab/Sorter (VERSION and CODE_URL). The first is recorded",
    )
    same = {**GIT, "VERSION": "0.3.1", "CODE_URL": "git@host.org:Capsule-1"}
    found = find_code_version(str(repository), same, is_container=True)
    assert found is not None
    assert found.notes == ()
    _git(repository, "remote", "remove", "origin")
    found = find_code_version(str(repository), {**GIT, **IMAGE}, is_container=True)
    assert found is not None
    assert (found.url, found.from_image) == (
        "https://github.com/Lab/Sorter",
        ("VERSION", "CODE_URL"),
    )


@pytest.mark.parametrize(("stamped", "is_said"), [("v0.3.1", False), ("0.3", True)])
def test_versions_that_disagree(tmp_path: Path, stamped: str, is_said: bool) -> None:
    """The first place's is recorded, and all are named; a `v` before it makes no other version."""
    write_tree(tmp_path, {".capsule-version.json": json.dumps({"version": stamped})})
    found = find_code_version(str(tmp_path), {"VERSION": "0.3.1"}, is_container=True)
    assert found is not None
    assert (found.version, found.from_image) == (stamped, ())
    told = "The code's version differs by source: 0.3 (.capsule-version.json), 0.3.1 (VERSION)."
    assert found.notes == ((f"{told} The first is recorded",) if is_said else ())


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r", True),
        ("git@github.com:o/r.git", "https://github.com/o/r/", True),
        ("ssh://git@github.com/o/r", "http://GitHub.com/O/R.git/", True),
        ("https://github.com/o/r", "https://github.com/o/other", False),
        ("https://github.com/o/r", "https://gitlab.com/o/r", False),
        ("https://host:8443/o/r", "https://host/o/r", False),
        ("/srv/git/r.git", "/srv/git/r", True),
        ("../r", "r", False),
    ],
)
def test_addresses_of_one_repository(one: str, other: str, is_same: bool) -> None:
    """However it is reached."""
    assert is_same_address(one, other) is is_same
    assert is_same_address(other, one) is is_same


@pytest.mark.parametrize("name", ["CO_COMMIT", "GIT_COMMIT", "COMMIT_ID"])
@pytest.mark.parametrize(
    ("value", "commit"),
    [
        (SHA, SHA),
        (f" {SHA.upper()}\n", SHA),
        ("abcdef0", "abcdef0"),
        ("abcdef", None),
        ("a" * 61, None),
        ("v1.0", None),
        ("", None),
        ("null", None),
    ],
)
def test_variables(tmp_path: Path, name: str, value: str, commit: str | None) -> None:
    """Only what can be a commit."""
    found = _find(tmp_path, **{name: value})
    assert found == (CodeVersion(commit=commit, found_in=name) if commit else None)


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "[]",
        "{",
        "{}",
        "null",
        '{"commit": 1234567, "url": [], "version": {}, "branch": null}',
        '{"version": "a\\nb"}',
        '{"dirty": false, "time": "x"}',
    ],
)
def test_broken_stamps(tmp_path: Path, stamp: str) -> None:
    """A stamp that says nothing is none."""
    write_tree(tmp_path, {".capsule-version.json": stamp})
    assert _find(tmp_path) is None


# The task's script

GENERATED = """#!/usr/bin/env bash
set -e
export CO_CAPSULE_ID=56956b65-72a4-4248-9718-468df22b23ff
echo "[capsule-7841426] cloning git repo..."
if [[ "$(printf '%s\\n' "2.20.0" "$(git version | awk '{print $3}')" | sort -V | head -n1)" = "2.20.0" ]]; then
	git -c credential.helper= clone --filter=tree:0 BRANCH "https://$GIT_ACCESS_TOKEN@HOST/capsule-7841426.git" capsule-repo
else
	git -c credential.helper= clone BRANCH "https://$GIT_ACCESS_TOKEN@HOST/capsule-7841426.git" capsule-repo
fi
CHECKOUT
mv capsule-repo/code capsule/code && ln -s $PWD/capsule/code /code
./run git clone https://u:p@elsewhere/x.git
"""
CHECKOUT = f"git -C capsule-repo checkout {SHA} --quiet"


@pytest.mark.parametrize("host", ["$GIT_HOST", "${GIT_HOST}", "codeocean.example.org"])
@pytest.mark.parametrize("environ", [{}, {"GIT_ACCESS_TOKEN": "secret"}])
def test_generated_scripts(host: str, environ: dict[str, str]) -> None:
    """As the platform makes them: of a released version, and of a pinned commit."""
    environ = {**environ, "GIT_HOST": "codeocean.example.org"}
    url = "https://codeocean.example.org/capsule-7841426.git"
    script = (
        GENERATED.replace("HOST", host, 2)
        if host == "codeocean.example.org"
        else GENERATED.replace("@HOST", f"@{host}")
    )
    released = find_cloned_code(
        script.replace("BRANCH", "--branch v2.0").replace("CHECKOUT", ""), environ
    )
    assert released is not None
    assert (released.url, released.version, released.commit) == (url, "v2.0", None)
    pinned = find_cloned_code(script.replace("BRANCH", "").replace("CHECKOUT", CHECKOUT), environ)
    assert pinned is not None
    assert (pinned.url, pinned.version, pinned.commit) == (url, None, SHA)
    head = find_cloned_code(
        script.replace("BRANCH", "").replace(
            "CHECKOUT", "git -C capsule-repo checkout HEAD --quiet"
        ),
        environ,
    )
    assert head is not None
    assert (head.url, head.version, head.commit) == (url, None, None)


def test_a_host_that_is_not_known() -> None:
    """An address with a variable that is not set is none; the repository's name is still told."""
    found = find_cloned_code(
        GENERATED.replace("HOST", "$GIT_HOST").replace("BRANCH", "--branch=v2.0"), {}
    )
    assert found is not None
    assert (found.url, found.version, found.repository) == (None, "v2.0", "capsule-7841426")


def test_a_variable_may_hold_credentials() -> None:
    """They are removed after it is put in, too."""
    environ = {"GIT_HOST": "user:secret@host", "URL": "https://user:secret@host/a.git"}
    for script in ("git clone https://$T@$GIT_HOST/a.git", 'git clone "$URL" capsule-repo'):
        found = find_cloned_code(script, environ)
        assert found is not None
        assert found.url == "https://host/a.git"


def test_scripts_for_slurm() -> None:
    """A function that clones its first argument and checks out its second."""
    script = f"""clone_repo() {{
    local repo_url="$1"
    local commit_hash="$2"
    git clone "${{repo_url}}" capsule-repo
    git -C capsule-repo -c core.fileMode=false checkout "${{commit_hash}}" --quiet
}}
clone_repo "https://github.com/AllenNeuralDynamics/aind-x.git" "{SHA}"
"""
    found = find_cloned_code(script, {})
    assert found is not None
    assert (found.url, found.commit, found.version) == (
        "https://github.com/AllenNeuralDynamics/aind-x.git",
        SHA,
        None,
    )
    tagged = find_cloned_code(script.replace(SHA, "v1.2"), {})
    assert tagged is not None
    assert (tagged.commit, tagged.version) == (None, "v1.2")


@pytest.mark.parametrize(
    ("script", "url", "version", "commit"),
    [
        ("git clone -b v1 --depth 1 https://h/a.git", "https://h/a.git", "v1", None),
        (
            "git clone --depth 1 \\\n  --branch v1 \\\n  https://h/a.git x",
            "https://h/a.git",
            "v1",
            None,
        ),
        (
            f"git clone https://h/a.git x && cd x && git checkout {SHA}",
            "https://h/a.git",
            None,
            SHA,
        ),
        (
            "git clone https://h/tools.git; git clone https://h/a.git capsule-repo",
            "https://h/a.git",
            None,
            None,
        ),
        ("git clone git@h:o/a.git capsule-repo", "git@h:o/a.git", None, None),
        ("A=1 time git clone -- https://h/a.git", "https://h/a.git", None, None),
        ("git clone $(cat url) capsule-repo", None, None, None),
        ("git clone `cat url` capsule-repo", None, None, None),
    ],
)
def test_scripts_of_people(
    script: str, url: str | None, version: str | None, commit: str | None
) -> None:
    """Options in any order, several commands in a line, several clones."""
    found = find_cloned_code(script, {})
    assert (found and found.url, found and found.version, found and found.commit) == (
        url,
        version,
        commit,
    )


@pytest.mark.parametrize(
    "script",
    [
        "",
        "# git clone https://h/a",
        "echo 'git clone https://h/a'",
        "git clone",
        "git -C",
        "git clone 'open",
        "git checkout x",
        "clone_repo",
        'git clone "$1"',
    ],
)
def test_scripts_that_clone_nothing(script: str) -> None:
    """Comments, messages, commands that are cut off."""
    assert find_cloned_code(script, {}) is None


@given(script=st.lists(st.sampled_from(["git", "clone", "checkout", "clone_repo", "-C", "-b", "--", "$X", "${", "`", "'", '"', "\\", "\n", ";", "(", "#", "https://u:secret@h/a", "capsule-repo", "=", "\0", "\udcff"])))  # fmt: skip
@example(["clone_repo", "git", "https://u:secret@h/a"])
@example(["git", "clone", "-b", "$X", "https://h/a"])
def test_any_script_is_taken(tmp_path_factory: pytest.TempPathFactory, script: list[str]) -> None:
    """No script raises, and no secret is told."""
    assert "secret" not in repr(find_cloned_code(" ".join(script), {"X": "https://u:secret@h/b"}))


# Addresses


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r.git"),
        ("https://token@github.com/o/r", "https://github.com/o/r"),
        ("https://user:p@ss@github.com:8443/o/r", "https://github.com:8443/o/r"),
        ("https://user:pa/ss@github.com/o/r", "https://github.com/o/r"),
        ("https://user:pa/s#s?@github.com/o/r", "https://github.com/o/r"),
        ("https://user:p#a?ss@github.com/o/r", "https://github.com/o/r"),
        ("https://git@github.com/o/r", "https://github.com/o/r"),
        ("https://github.com/o/r?access_token=secret#x", "https://github.com/o/r"),
        ("https://github.com/@scope/r", "https://github.com/@scope/r"),
        ("https://[::1]:80/r", "https://[::1]:80/r"),
        ("https://$GIT_ACCESS_TOKEN@$GIT_HOST:$PORT/r.git", "https://$GIT_HOST:$PORT/r.git"),
        ("ssh://git@host:22/o/r", "ssh://git@host:22/o/r"),
        ("ssh://user:secret@host/o/r", "ssh://host/o/r"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git"),
        ("token@github.com:o/r.git", "github.com:o/r.git"),
        ("git::https://u:secret@host/r", "git::https://host/r"),
        ("../other", "../other"),
        ("https://user:pa/ss", None),
        ("https://", None),
        ("", None),
        (None, None),
        ("https://h/a b", None),
        ("https://h/\udcff", None),
        ("/ /://x", None),
        ("x" * 3000, None),
    ],
)
def test_addresses(url: str | None, bare: str | None) -> None:
    """User, password, query and fragment are removed; the user `git` of SSH is no secret."""
    assert strip_credentials(url) == bare


@given(
    user=st.text("abc:$#?@%/", max_size=6),
    secret=st.text("abc:$#?@%/", max_size=6),
    path=st.from_regex(r"\A[a-z]{1,5}(/[a-z]{1,5}){0,2}\Z"),
)
def test_no_secret_stays(user: str, secret: str, path: str) -> None:
    """Whatever a password holds, what is left is the address alone, or nothing of it."""
    for scheme in ("https", "ssh"):
        url = f"{scheme}://{user.replace('/', '')}:SECRET{secret}@host.org/{path}"
        bare = strip_credentials(url)
        assert "SECRET" not in str(bare)
        if "@" not in secret:
            assert bare == f"{scheme}://host.org/{path.strip()}"


@given(url=st.text(max_size=40) | st.from_regex(r"[a-z]{1,5}://[^/]*@.*"))
def test_any_address_is_taken(url: Any) -> None:
    """No address raises, and stripping twice changes nothing."""
    bare = strip_credentials(url)
    assert bare is None or strip_credentials(bare) in (bare, None)
