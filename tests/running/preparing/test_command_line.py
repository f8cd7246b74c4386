"""Which program of a command line is the processing's own."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.running.parameters import find_parameters
from aind_capsule.running.preparing.command_line import Kind, find_program

#: Command line, and its own program with its arguments.
SCRIPTS = [
    # Shells
    ("bash -e run", "run"),
    ("bash -eo pipefail ./run a", "./run a"),
    ("bash -euo pipefail run --rate 3", "run --rate 3"),
    ("bash -oO pipefail extglob run", "run"),
    ("bash -O extglob -l run", "run"),
    ("bash +O extglob +e run", "run"),
    ("bash --posix -o pipefail -- run -x", "run -x"),
    ("/bin/bash --rcfile x --init-file y -i run", "run"),
    ("bash --norc --login run", "run"),
    ("bash - run", "run"),
    ("-bash run", "run"),
    ("bash5.2 run", "run"),
    ("sh -e run", "run"),
    ("dash -eu run", "run"),
    ("mksh -o pipefail run", "run"),
    ("zsh -o sh_word_split run", "run"),
    ("rbash run", "run"),
    ("busybox sh -e run", "run"),
    ("busybox ash -o pipefail run a", "run a"),
    ("fish -C x run", "run"),
    ("tcsh -f run", "run"),
    ("qemu-x86_64 /bin/bash -e run", "run"),
    # Other interpreters
    ("python3.12 -u run.py --rate 3", "run.py --rate 3"),
    ("python -X dev -W error -u run.py", "run.py"),
    ("python -Xdev -Wd -uB run.py", "run.py"),
    ("python -uX dev run.py", "run.py"),
    ("/opt/conda/bin/python --check-hash-based-pycs always run.py", "run.py"),
    ("python3-dbg run.py", "run.py"),
    ("pypy3 run.py", "run.py"),
    ("python -- run.py", "run.py"),
    ("ipython --profile x run.py", "run.py"),
    ("Rscript --vanilla x.R a", "x.R a"),
    ("Rscript --default-packages=base x.R", "x.R"),
    ("R --no-save -f x.R --args a", "x.R --args a"),
    ("R --file=x.R", "x.R"),
    ("R CMD BATCH --vanilla x.R", "x.R"),
    ("julia --project=. -t 4 -O2 x.jl", "x.jl"),
    ("perl -w -I lib -Mstrict -MList::Util=first x.pl", "x.pl"),
    ("ruby -I lib -W:no-deprecated x.rb", "x.rb"),
    ("node -r ./hook --max-old-space-size=4 x.js", "x.js"),
    ("octave --path p x.m", "x.m"),
    ("java -Xmx4g -cp lib -jar x.jar a", "x.jar a"),
    ("papermill -k python3 -p alpha 0.6 in.ipynb out.ipynb", "in.ipynb out.ipynb"),
    ("jupyter nbconvert --to notebook --execute x.ipynb", "x.ipynb"),
    ("jupyter nbconvert --to=html x.ipynb", "x.ipynb"),
    ("jupyter-nbconvert --execute x.ipynb", "x.ipynb"),
    ("quarto render x.qmd", "x.qmd"),
    ("coverage run --source pkg x.py a", "x.py a"),
    ("torchrun --nproc_per_node 4 --nnodes=1 x.py a", "x.py a"),
    ("python -m torch.distributed.run --nproc-per-node 2 x.py", "x.py"),
    ("python -m cProfile -o out x.py a", "x.py a"),
    ("python -m coverage run x.py", "x.py"),
    ("python -m papermill -k python3 in.ipynb out.ipynb", "in.ipynb out.ipynb"),
    ("python -m nbconvert --to html --execute x.ipynb", "x.ipynb"),
    ("python -m memory_profiler x.py a", "x.py a"),
    ("mprof run -T 1 x.py", "x.py"),
    ("r x.R", "x.R"),
    ("apptainer run --nv image.sif --rate 3", "image.sif --rate 3"),
    ("wine x.exe a", "x.exe a"),
    # Launchers of interpreters
    ("mpirun -x OMP_NUM_THREADS -x A=1 -np 4 python x.py", "x.py"),
    ("setpriv --reuid=1000 --clear-groups python x.py", "x.py"),
    ("systemd-run --user --scope -p MemoryMax=4G python x.py", "x.py"),
    ("nsys profile -o out python x.py", "x.py"),
    ("stdbuf -oL -e 0 python x.py", "x.py"),
    ("env A=1 B=2 python x.py", "x.py"),
    ("env -S 'bash -eo pipefail' ./run a", "./run a"),
    ("env '-Sbash -e' ./run", "./run"),
    ("env '--split-string=A=1 bash -e' ./run", "./run"),
    ("env -vS 'bash -e' ./run", "./run"),
    ("xvfb-run -a python x.py", "x.py"),
    ("conda run -n env --no-capture-output python x.py a", "x.py a"),
    ("uv run python -u x.py", "x.py"),
    ("uv run --with numpy x.py a", "x.py a"),
    ("uv run --script tool", "tool"),
    ("pixi run -e gpu python x.py", "x.py"),
    ("apptainer exec --nv -B /data image.sif python x.py", "x.py"),
    ("mpirun -np 4 --mca btl tcp python x.py", "x.py"),
    ("capsule run --process-name x -- bash -e run", "run"),
    ("nice -n 5 time env A=1 conda run -n e bash -eo pipefail ./run --rate 3", "./run --rate 3"),
]
COMMANDS = [
    ("nice ./run", "./run"),
    ("nice -n 5 ./run a", "./run a"),
    ("nice -10 ./run", "./run"),
    ("nice --adjustment=5 ./run", "./run"),
    ("nohup setsid -w ./run", "./run"),
    ("time ./run", "./run"),
    ("/usr/bin/time -v -o t ./run", "./run"),
    ("timeout -k 5 10m ./run", "./run"),
    ("taskset -c 0-3 ./run", "./run"),
    ("ionice -c 3 ./run", "./run"),
    ("flock /tmp/lock ./run", "./run"),
    ("env -i -u HOME -C /tmp A=1 ./run", "./run"),
    ("env - A=1 ./run", "./run"),
    ("xvfb-run -a -s '-screen 0 1x1x24' -- ./run", "./run"),
    ("micromamba run -p /env ./run", "./run"),
    ("poetry run ./run", "./run"),
    ("srun -n 4 --mem=4G ./run", "./run"),
    ("sudo -E -u me A=1 ./run", "./run"),
    ("tini -g -- ./run", "./run"),
    ("strace -f -o t ./run", "./run"),
    ("runuser -u me -- ./run", "./run"),
    ("chroot /x ./run", "./run"),
    ("perf stat -e cycles ./run", "./run"),
    ("uv tool run --with a fit x", "fit x"),
    ("uv tool install fit", "uv tool install fit"),
    ("flock /tmp/lock -c ./run", "flock /tmp/lock -c ./run"),
    ("echo hello", "echo hello"),
    ("./run a.py", "./run a.py"),
    ("./x.py a", "./x.py a"),
    ("nice A=1 x", "A=1 x"),
    ("nextflow run main.nf", "nextflow run main.nf"),
    ("conda list", "conda list"),
    ("uv sync", "uv sync"),
    ("jupyter lab", "jupyter lab"),
    ("my-python x.py", "my-python x.py"),
    ("nice", "nice"),
    ("env", "env"),
    ("env -S 'a \"b'", "env -S 'a \"b'"),
    ("timeout 5", "timeout 5"),
    ("poetry run fit x.py", "fit x.py"),
    ("uv run fit a", "fit a"),
]
MODULES = [
    ("python -m x --a 1", "x --a 1"),
    ("python -um pkg.main a", "pkg.main a"),
    ("python -mx", "x"),
    ("coverage run -m x", "x"),
    ("python -m coverage run -m x a", "x a"),
    ("python -m cProfile -m x", "x"),
    ("uv run -m x a", "x a"),
    ("julia -m x", "x"),
    ("matlab -nodisplay -batch main_sorting", "main_sorting"),
    ("matlab -batch \"addpath('/code'); sort_spikes(1, 'a;b')\"", "sort_spikes"),
    ("matlab -r 'try, fit; catch, exit(1); end'", "fit"),
    ("matlab -batch \"addpath(genpath('a'), 'b'), fit\"", "fit"),
    ("matlab -batch 'x = rand(3); pkg.fit(x, 2)'", "pkg.fit"),
    ("matlab -batch \"disp('a; fit'), [a, b] = sort_spikes(1, g(2)); save x\"", "sort_spikes"),
    ("octave --no-gui --eval fit", "fit"),
    ("matlab -sd /code -batch \"run('x/fit.m')\"", "x/fit.m"),
]
#: Command line, what runs the code, and what that is given.
CODE = [
    ("bash -c 'echo a'", "bash", ""),
    ("bash -c -e 'echo a' name b", "bash", "name b"),
    ("bash -euo pipefail -c 'echo a'", "bash", ""),
    ("bash -ceo pipefail 'echo a' b", "bash", "b"),
    ("bash", "bash", ""),
    ("bash -e", "bash", ""),
    ("bash -o pipefail", "bash", ""),
    ("bash -s a b", "bash", "a b"),
    ("bash -es a", "bash", "a"),
    ("bash /dev/stdin", "bash", ""),
    ("bash /dev/fd/63 a", "bash", "a"),
    ("bash /proc/self/fd/3", "bash", ""),
    ("busybox sh -c x", "sh", ""),
    ("python -c 'x' a", "python", "a"),
    ("python -uc 'x'", "python", ""),
    ("python -W ignore -cprint", "python", ""),
    ("python - a", "python", "a"),
    ("python", "python", ""),
    ("Rscript -e 1 -e 2 a", "Rscript", "a"),
    ("perl -ne 'print' file", "perl", "file"),
    ("perl -lane 'print' file", "perl", "file"),
    ("node -e 1", "node", ""),
    ("julia --eval=1", "julia", ""),
    ("octave --eval 1", "octave", ""),
    ("matlab -batch 'x = 3'", "matlab", ""),
    ("matlab -batch \"disp('x'); exit\"", "matlab", ""),
]


@pytest.mark.parametrize(
    ("line", "expected", "kind"),
    [
        *((*row, Kind.SCRIPT) for row in SCRIPTS),
        *((*row, Kind.COMMAND) for row in COMMANDS),
        *((*row, Kind.MODULE) for row in MODULES),
    ],
)
def test_the_processings_own_program(line: str, expected: str, kind: Kind) -> None:
    """Flags and their operands belong to interpreters and launchers, the rest to the program."""
    program = find_program(shlex.split(line))
    assert ([program.word, *program.arguments], program.kind) == (shlex.split(expected), kind)


@pytest.mark.parametrize(("line", "interpreter", "arguments"), CODE)
def test_code_has_no_name(line: str, interpreter: str, arguments: str) -> None:
    """Code of the command line or of stdin: what runs it is known, and what it is given."""
    program = find_program(shlex.split(line))
    assert (program.kind, program.word, program.interpreter) == (Kind.CODE, "", interpreter)
    assert program.arguments == tuple(shlex.split(arguments))


def test_parameters_stand_behind_the_program() -> None:
    """Parameters are read from the same place: never an interpreter's or a launcher's flag."""
    line = "nice -n 5 bash -eo pipefail ./run --rate 3 --fast in.nwb -n -1"
    assert find_parameters(line.split()) == {"rate": "3", "fast": "in.nwb", "n": "-1"}
    assert find_parameters(["python", "-X", "dev", "-m", "fit", "--rate=3"]) == {"rate": "3"}


@given(words=st.lists(st.text(max_size=8), max_size=5), start=st.sampled_from([
    "bash", "env", "nice", "python", "perl", "matlab", "java", "uv run", "capsule run", "env -S",
    "jupyter nbconvert", "R CMD BATCH", "papermill -p", "timeout",
]))  # fmt: skip
def test_every_command_line_is_read(words: list[str], start: str) -> None:
    """No command line raises or is read for ever, whatever its words are."""
    program = find_program([*start.split(), *words])
    assert bool(program.word) or program.interpreter or program.kind is not Kind.CODE
